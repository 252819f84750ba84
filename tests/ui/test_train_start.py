"""What a training starts from: the last model, the network of the package, or scratch."""

from __future__ import annotations

import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.regions import Region
from napari_apgan.train.runfile import INIT_FILE, RunFile
from napari_apgan.ui.workbench import Workbench

pytestmark = pytest.mark.gui

PATIENCE_MS = 150_000


@pytest.fixture
def tab(bundled_network, workbench: Workbench, centres):
    """The Train tab of a project with labels to learn from."""
    workbench.session.add_atoms(make_atoms(centres[centres[:, 0] < 64], "Pb"))
    workbench.session.add_region(Region.rectangle(-0.5, -0.5, 64, 95.5))
    workbench.session.project.add_pair(workbench.session.source_id, 0)
    workbench.show_tab("train")
    workbench.train_tab.refresh_now()
    return workbench.train_tab


def offered(tab) -> list[str]:
    start = tab.advanced.start
    return [start.itemText(i) for i in range(start.count())]


def choose(tab, text: str) -> None:
    """Choose an entry of "Start from" as a hand does."""
    start = tab.advanced.start
    start.setCurrentIndex(start.findText(text))
    start.activated.emit(start.currentIndex())
    tab.refresh_now()


def choose_preset(tab, name: str) -> None:
    tab.choices.choose_preset(name)
    tab.refresh_now()


def test_the_first_training_may_start_from_the_network_of_the_package(tab, workbench, qtbot):
    project = workbench.session.project
    assert offered(tab) == ["scratch", "the bundled start", "a model file…"]
    assert tab.plan.settings(project).init == "scratch"
    choose(tab, "the bundled start")
    assert tab.plan.settings(project).init == "bundled"
    assert tab.plan.settings(project, warm=True).init == "bundled"
    assert tab.plan.settings(project, warm=False).init == "scratch"
    assert tab.estimate.text().startswith("Starts from a network that knows atoms in general.")
    assert "half" not in tab.estimate.text()
    assert tab.primary.text() == "Train"
    tab.advanced.run_form.editors["steps"].setText("2")
    tab.press()
    qtbot.waitUntil(lambda: tab.monitor.running, timeout=PATIENCE_MS)
    run_dir = project.runs()[-1]
    assert RunFile.read(run_dir).settings.init == "bundled"
    assert (run_dir / INIT_FILE).stat().st_size > 100_000


def test_it_is_offered_only_where_the_preset_has_such_a_network(tab, workbench):
    choose_preset(tab, "fcn2")
    assert offered(tab) == ["scratch", "a model file…"]
    assert tab.plan.settings(workbench.session.project).init == "scratch"
    assert "knows atoms" not in tab.estimate.text()
    choose_preset(tab, "fast")
    assert "the bundled start" in offered(tab)


def test_the_bundled_start_stays_chosen_until_there_is_a_last_model(tab, workbench, model_file):
    choose(tab, "the bundled start")
    for preset, init in (("fcn2", "scratch"), ("fast", "bundled")):
        choose_preset(tab, preset)
        assert tab.advanced.init == init
    workbench.session.model = model_file
    tab.refresh_now()
    assert offered(tab)[1:] == ["scratch", "the bundled start", "a model file…"]
    assert tab.advanced.init == str(model_file)
    assert tab.primary.text() == "Train again"
    choose(tab, "the bundled start")
    assert tab.plan.settings(workbench.session.project).init == "bundled"
    assert tab.plan.settings(workbench.session.project, warm=True).init == str(model_file)


def test_an_installation_without_it_starts_from_scratch(tab, workbench, bundled_network):
    bundled_network.unlink()
    tab.refresh_now()
    assert offered(tab) == ["scratch", "a model file…"]
    assert tab.plan.settings(workbench.session.project).init == "scratch"
