"""Simulate in the window: forms, a live frame, pairs into the training set, by the real helper."""

from __future__ import annotations

import psutil
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_apgan.project import Project
from napari_apgan.simulate.examples import EXAMPLES
from napari_apgan.simulate.settings import SimulationSettings
from napari_apgan.train.runfolder import RunFolder
from napari_apgan.ui.simulate_set import simulated_in
from napari_apgan.ui.simulate_words import command_of

pytestmark = pytest.mark.gui

#: A busy machine takes its time.
PATIENCE_MS = 120_000
LEFT = Qt.MouseButton.LeftButton


def typed(line, text: str) -> None:
    """Put a text in a line as a hand does."""
    line.setFocus()
    line.selectAll()
    QTest.keyClick(line, Qt.Key.Key_Backspace)
    QTest.keyClicks(line, text)


def click(button) -> None:
    QTest.mouseClick(button, LEFT)
    QApplication.processEvents()


@pytest.fixture
def panel(workbench, qtbot):
    """The forms of a tiny field of graphene, with their first frame drawn."""
    open_button = next(
        b
        for b in workbench.label_tab.findChildren(type(workbench.label_tab.primary))
        if b.text() == "Simulate…"
    )
    click(open_button)
    panel = workbench.label_tab.simulate
    typed(panel.forms.frame.editors["shape"], "64 64")
    qtbot.waitUntil(lambda: "SNR" in panel.said.text(), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: panel.whole.frame_shape == (64, 64), timeout=PATIENCE_MS)
    return panel


def test_a_frame_is_drawn_and_bad_values_are_sentences(
    panel, workbench, qtbot, tmp_path, torch_free
):
    assert len(panel.picture.ring_colors) == 1, "carbon alone"
    assert panel.primary.isVisibleTo(workbench)
    typed(panel.forms.degradation.editors["snr"], "many")
    assert panel.said.text() == "The SNR cannot be 'many': it must be a valid number."
    click(panel.primary)
    assert not panel.simulator.making, "nothing is made of what does not fit"
    typed(panel.forms.degradation.editors["snr"], "0.5")
    qtbot.waitUntil(lambda: "SNR 0." in panel.said.text(), timeout=PATIENCE_MS)
    # The command makes what the forms say.
    click(panel.copy_button)
    command = QApplication.clipboard().text()
    assert command.startswith("apgan simulate ")
    path = next((workbench.session.project.path / "simulated").glob("graphene-*.json"))
    assert path.name in command
    written = SimulationSettings.model_validate_json(path.read_text(encoding="utf-8"))
    assert written == panel.forms.settings()
    name, example = next(iter(EXAMPLES.items()))
    words = command_of(example, 60, 0, tmp_path).split()
    assert words[:5] == ["apgan", "simulate", name, "-n", "60"]
    typed(panel.forms.degradation.editors["dose"], "1000")
    assert "cannot both be asked for" in panel.said.text()
    # A fault that only simulating finds comes as a sentence, too.
    typed(panel.forms.degradation.editors["dose"], "")
    typed(panel.forms.frame.editors["shape"], "9 9")
    qtbot.waitUntil(lambda: "must be between 32 and" in panel.said.text(), timeout=PATIENCE_MS)
    torch_free()


def test_pairs_made_by_mouse_are_one_row_are_trained_on_and_stay(panel, workbench, qtbot, tmp_path):
    panel.count.setValue(4)
    assert panel.primary.text() == "Make 4 pairs"
    click(panel.primary)
    assert panel.cancel_button.isVisibleTo(panel)
    qtbot.waitUntil(lambda: not panel.simulator.making, timeout=PATIENCE_MS)
    assert "4 simulated pairs · graphene" in workbench.messages.text.text()
    project, tab = workbench.session.project, workbench.train_tab
    assert [p.origin for p in project.training_pairs()] == ["simulated"] * 4
    workbench.show_tab("train")
    tab.refresh_now()
    assert [row.text for row in tab.list.rows] == ["4 simulated pairs · graphene"]
    tab.list.opened.emit(tab.list.rows[0].key)
    assert workbench.image_layer.data.shape == (4, 64, 64)
    assert len(workbench.atoms.labels) == project.count_atoms(workbench.session.source_id, 0) > 20
    # A few steps, with one more pair for this round.
    tab.mixing.each_round.setChecked(True)
    tab.mixing.count.setValue(1)
    tab.advanced.run_form.editors["steps"].setText("3")
    tab.advanced.run_form.editors["threads"].setText("1")
    click(tab.primary)
    assert tab.primary.text() == "Simulating 1 pair … (cancel)"
    qtbot.waitUntil(lambda: tab.monitor.running, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not tab.monitor.running, timeout=PATIENCE_MS)
    run = RunFolder(project.runs()[-1])
    assert run.status() == "done"
    assert len(run.run_file.pairs) == 5
    groups = {"4 simulated pairs · graphene", "1 simulated pair · graphene"}
    assert {g.words for g in simulated_in(project)} == groups
    # Fresh frames are asked for with the settings of the pairs that were made.
    tab.mixing.stream.setChecked(True)
    assert tab.plan.settings(project).stream == panel.forms.settings()
    # The cross takes a row away as one, and one undo brings it back.
    tab.refresh_now()
    table, at = tab.list, [r.key for r in tab.list.rows].index(simulated_in(project)[0].source_id)
    corner = table.visualItemRect(table.item(at)).center()
    corner.setX(table.viewport().width() - 8)
    QTest.mouseClick(table.viewport(), LEFT, pos=corner)
    assert [g.words for g in simulated_in(project)] == ["1 simulated pair · graphene"]
    workbench.desk.undo()
    assert {g.words for g in simulated_in(project)} == groups
    assert len(project.pairs) == 5
    # All of it stays with the project, wherever that goes.
    before = [p.frame.data.copy() for p in project.training_pairs()]
    workbench.session.save_as(tmp_path / "kept.apgan")
    workbench.session.close_project()
    with Project.open(tmp_path / "kept.apgan") as project:
        after = project.training_pairs()
        assert [p.origin for p in after] == ["simulated"] * 5
        assert all((a == b.frame.data).all() for a, b in zip(before, after, strict=True))
        assert all(
            SimulationSettings.model_validate_json(g.settings) for g in simulated_in(project)
        )


def test_settings_are_estimated_from_the_image_on_the_screen(panel, workbench, qtbot):
    click(panel.match_button)
    assert panel.simulator.matching
    assert panel.cancel_button.isVisibleTo(panel)
    assert not panel.primary.isEnabled()
    qtbot.waitUntil(lambda: not panel.simulator.matching, timeout=PATIENCE_MS)
    said = panel.said.text()
    assert said.startswith("Similarity 0.")
    assert "HAADF" in said, "bright peaks on a dark ground"
    settings = panel.forms.settings()
    assert settings.imaging.mode == "haadf"
    assert "your image" in panel.whole.toolTip(), "both are seen side by side"
    assert panel.whole.frame_shape[0] <= 96
    panel.show_example("graphene")
    qtbot.waitUntil(lambda: panel.whole.frame_shape == (256, 256), timeout=PATIENCE_MS)
    workbench.desk.viewer.layers.remove(workbench.image_layer)
    click(panel.match_button)
    assert panel.said.text() == "Open an image first, then its settings can be estimated."


def test_a_cancel_adds_nothing_and_the_helper_ends_with_the_dock(panel, workbench, qtbot):
    panel.count.setValue(500)
    click(panel.primary)
    qtbot.waitUntil(lambda: panel.bar.value() > 0, timeout=PATIENCE_MS)
    assert "left" in panel.bar.format()
    click(panel.cancel_button)
    qtbot.waitUntil(lambda: not panel.simulator.making, timeout=PATIENCE_MS)
    assert "no pairs were added" in workbench.messages.text.text()
    assert workbench.session.project.pairs == []
    assert panel.primary.isEnabled()
    process, scratch = panel.simulator.helper.process_id, panel.simulator.scratch
    assert psutil.pid_exists(process)
    workbench.viewer.window.remove_dock_widget(workbench)
    qtbot.waitUntil(lambda: not psutil.pid_exists(process), timeout=PATIENCE_MS)
    assert not scratch.exists()
