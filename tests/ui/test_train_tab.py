"""The Train tab: a real training launched from the window, followed, stopped, found again."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from filelock import FileLock
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.models.card import HeldOutScore
from napari_apgan.models.presets import PRESETS
from napari_apgan.regions import Region
from napari_apgan.train import RunSettings, prepare_run
from napari_apgan.train.events import Done, EventLog, Started, Step, Validated
from napari_apgan.train.runfile import CHECKPOINT_FILE, LOCK_FILE
from napari_apgan.train.words import score_words
from napari_apgan.ui.row_list import fitted
from napari_apgan.ui.train_words import estimate_sentence

pytestmark = pytest.mark.gui

#: Nothing here waits for more than this; a busy machine is slow to import torch.
PATIENCE_MS = 150_000


def label(workbench, centres, x_end: float = 64.0) -> None:
    """Label the columns left of `x_end` and mark that part complete."""
    inside = centres[centres[:, 0] < x_end]
    workbench.session.add_atoms(make_atoms(inside, "Pb"))
    workbench.session.add_region(Region.rectangle(-0.5, -0.5, x_end, 95.5))
    workbench.session.project.add_pair(workbench.session.source_id, 0)


def make_quick(workbench, steps: int = 20) -> None:
    """Ask for a training of a few seconds."""
    form = workbench.train_tab.advanced.run_form
    form.editors["steps"].setText(str(steps))
    form.editors["threads"].setText("1")


def write_run(workbench, *, fraction: float):
    """Make a run folder as a trainer leaves it that died when `fraction` was done."""
    project = workbench.session.project
    run_dir = project.new_run_dir()
    prepare_run(project.training_pairs(), run_dir, RunSettings(), project.elements)
    log = EventLog(run_dir / "events.jsonl")
    log.write(
        Started(
            host=socket.gethostname(),
            device="cpu",
            threads=1,
            preset="fast",
            pairs=1,
            split="blocks",
            training_atoms=20,
            validation_atoms=4,
        )
    )
    log.write(
        Step(step=60, epoch=1, loss=0.4, rate=1e-3, progress=fraction, elapsed_s=6, remaining_s=30)
    )
    log.close()
    (run_dir / CHECKPOINT_FILE).write_bytes(b"state")
    return run_dir


def test_without_labels_the_button_says_what_to_do(workbench):
    workbench.show_tab("train")
    workbench.train_tab.press()
    assert "Nothing to learn from yet" in workbench.messages.text.text()
    workbench.train_tab.refresh_now()
    assert "Nothing to learn from yet" in workbench.train_tab.teach.text()
    workbench.session.add_atoms(make_atoms([[20.0, 20.0]], "Pb"))
    workbench.train_tab.press()
    assert "No area is marked complete yet" in workbench.messages.text.text()
    workbench.session.add_region(Region.rectangle(60, 60, 90, 90))
    workbench.train_tab.press()
    assert "No frame is chosen" in workbench.messages.text.text()
    workbench.session.project.add_pair(workbench.session.source_id, 0)
    workbench.train_tab.press()
    assert "hold no atoms" in workbench.messages.text.text()
    assert workbench.session.project.runs() == []


def test_the_list_is_the_training_set(workbench, centres):
    label(workbench, centres)
    tab = workbench.train_tab
    workbench.show_tab("train")
    tab.refresh_now()
    item = tab.list.item(0)
    assert item.text() == "picture · 24 atoms · 1 region"
    assert tab.summary.text() == "1 pair · 24 atoms"
    item.setCheckState(Qt.CheckState.Unchecked)
    assert workbench.session.project.pairs == []
    workbench.desk.undo()
    tab.refresh_now()
    assert len(workbench.session.project.pairs) == 1
    assert tab.list.item(0).checkState() == Qt.CheckState.Checked


def test_advanced_settings_come_from_the_models_and_are_checked(workbench, centres):
    label(workbench, centres)
    tab = workbench.train_tab
    tab.advanced.run_form.editors["seed"].setText("7")
    tab.advanced.loss_form.editors["ssim"].setText("0,5")
    settings = tab.plan.settings(workbench.session.project, None)
    assert settings.seed == 7
    assert settings.chosen_preset().recipe.weights.ssim == 0.5
    assert "shows as many" not in tab.advanced.run_form.editors["seed"].toolTip()
    assert "random" in tab.advanced.run_form.editors["seed"].toolTip()
    tab.advanced.run_form.editors["seed"].setText("many")
    with pytest.raises(UserError, match=r"many.*does not fit seed"):
        tab.plan.settings(workbench.session.project, None)


def test_a_training_runs_beside_the_window_and_brings_the_overlay(
    workbench, centres, qtbot, torch_free
):
    label(workbench, centres)
    make_quick(workbench)
    tab = workbench.train_tab
    workbench.show_tab("train")
    tab.press()
    qtbot.waitUntil(lambda: tab.monitor.running, timeout=PATIENCE_MS)
    assert tab.primary.text() == "Stop"
    qtbot.waitUntil(lambda: bool(workbench.predictions.layers.layers), timeout=PATIENCE_MS)
    assert tab.progress.result.text().startswith("Done in ")
    assert tab.progress.losses.series
    assert workbench.session.model == workbench.session.project.runs()[-1]
    assert [r.number for r in workbench.session.project.rounds] == [1]
    layer = workbench.predictions.layers.layers["Pb"]
    assert layer.data.shape == (96, 128)
    viewer = workbench.desk.viewer
    assert viewer.layers.selection.active is workbench.atoms.layer
    assert viewer.layers.index(layer) == viewer.layers.index(workbench.image_layer) + 1
    workbench.desk.actions.run("overlay")
    assert not layer.visible
    assert len(workbench.session.atoms()) == np.sum(centres[:, 0] < 64)
    torch_free()


def test_going_on_takes_half_of_the_budget_unless_the_user_gave_one(workbench, centres, model_file):
    label(workbench, centres)
    tab, project = workbench.train_tab, workbench.session.project
    tab.refresh_now()
    first = tab.plan.settings(project, None)
    assert (first.minutes, first.steps) == (None, None)
    assert "half" not in tab.estimate.text()
    workbench.session.model = model_file
    tab.refresh_now()
    again = tab.plan.settings(project, warm=True)
    recipe = PRESETS["fast"].recipe
    assert again.init == str(workbench.session.model)
    assert (again.minutes, again.steps) == (recipe.minutes / 2, recipe.steps / 2)
    assert "half of a first training" in tab.estimate.text()
    editors = tab.advanced.run_form.editors
    assert editors["steps"].placeholderText() == str(again.steps)
    assert tab.plan.settings(project, warm=False).steps is None
    editors["steps"].setText("900")
    tab.refresh_now()
    given = tab.plan.settings(project, warm=True)
    assert (given.minutes, given.steps) == (None, 900)
    assert "half" not in tab.estimate.text()


def test_a_long_name_makes_no_sideways_scrollbar(open_workbench, lattice):
    image, centres = lattice()
    workbench = open_workbench()
    name = "2026-11-22_STO_PTO_multilayer_" * 4 + "0042"
    workbench.desk.viewer.add_image(image, name=name, scale=(0.02, 0.02), units=("nm", "nm"))
    QApplication.processEvents()
    label(workbench, centres)
    workbench.show_tab("train")
    QApplication.processEvents()
    table = workbench.train_tab.list
    assert workbench.window().width() == 1366
    width = table.viewport().width()
    assert table.fontMetrics().horizontalAdvance(name) > width, "too long to be shown whole"
    assert not table.horizontalScrollBar().isVisible()
    shown = fitted(table.rows[0], table.fontMetrics(), width)
    assert table.fontMetrics().horizontalAdvance(shown) <= width
    assert shown.startswith("2026-11")
    assert "…" in shown
    assert shown.endswith(" · 24 atoms · 1 region"), "the counts are never cut"
    assert name in table.item(0).toolTip()


def test_an_interrupted_training_is_offered_when_the_project_is_opened(
    workbench, centres, tmp_path, open_workbench
):
    label(workbench, centres)
    workbench.session.save_as(tmp_path / "kept.apgan")
    run_dir = write_run(workbench, fraction=0.62)
    workbench.session.close_project()
    workbench.session.open_project(tmp_path / "kept.apgan")
    tab = workbench.train_tab
    assert "was interrupted" in workbench.messages.text.text()
    assert workbench.messages.action_button.text() == "Resume"
    workbench.show_tab("train")
    tab.refresh_now()
    assert not tab.resume_button.isHidden()
    assert tab.resume_button.text() == "Resume at 62%"
    assert run_dir.name in tab.resume_button.toolTip()


def test_a_running_training_is_found_again_and_its_end_is_noticed(
    workbench, centres, tmp_path, qtbot, capsys
):
    label(workbench, centres)
    workbench.session.save_as(tmp_path / "kept.apgan")
    run_dir = write_run(workbench, fraction=0.5)
    workbench.session.close_project()
    with FileLock(run_dir / LOCK_FILE):  # what a trainer holds while it lives
        workbench.session.open_project(tmp_path / "kept.apgan")
        tab = workbench.train_tab
        assert tab.monitor.folder.path == run_dir
        assert tab.primary.text() == "Stop"
        assert "50%" in tab.progress.bar.format()
        workbench.session.close_project()
        assert not tab.monitor.running
        goes_on = f"The training {run_dir.name} goes on without the window"
        assert goes_on in capsys.readouterr().err
        assert goes_on in workbench.messages.text.text()
        workbench.session.open_project(tmp_path / "kept.apgan")
        assert tab.monitor.running
        log = EventLog(run_dir / "events.jsonl")
        score = HeldOutScore(
            f1=0.97,
            precision=1.0,
            recall=0.94,
            error_px=0.3,
            error_pm=6.0,
            tolerance_px=4.0,
            n_atoms=64,
            split="regions",
        )
        log.write(Validated(step=90, epoch=2, loss=0.2, score=score, threshold=0.5, best=True))
        log.write(Done(step=100, epoch=2, elapsed_s=41, best="best.safetensors", score=score))
        log.close()
    qtbot.waitUntil(lambda: not tab.monitor.running, timeout=PATIENCE_MS)
    said = tab.progress.result.text()
    assert said == "Done in 41 s: agrees with your held-out labels 0.97; 6 pm."
    assert {s.name for s in tab.progress.quality.series} == {"agreement", "error"}


def test_a_training_that_was_just_started_is_followed_as_soon_as_it_is_heard_of(
    workbench, centres, tmp_path, qtbot
):
    label(workbench, centres)
    project = workbench.session.project
    run_dir = project.new_run_dir()
    prepare_run(project.training_pairs(), run_dir, RunSettings(), project.elements)
    workbench.session.save_as(tmp_path / "kept.apgan")
    run_dir = workbench.session.project.runs()[-1]
    workbench.session.close_project()
    workbench.session.open_project(tmp_path / "kept.apgan")
    tab = workbench.train_tab
    assert not tab.monitor.running
    with FileLock(run_dir / LOCK_FILE):
        qtbot.waitUntil(lambda: tab.monitor.running, timeout=PATIENCE_MS)
        assert tab.monitor.folder.path == run_dir
        workbench.session.close_project()


def test_estimates_and_scores_are_said_in_words():
    assert estimate_sentence(12, 130, measured=False).startswith("Roughly 10 s to a first model")
    assert "3 h at the most" in estimate_sentence(200, 10_000, measured=True)
    few = HeldOutScore(
        f1=1.0, precision=1.0, recall=1.0, tolerance_px=2.0, n_atoms=9, split="blocks"
    )
    assert "too few to be sure" in score_words(few)
    nearly = few.model_copy(update={"f1": 0.9996, "n_atoms": 500})
    assert "0.999" in score_words(nearly), "not all of them agree"
    none = few.model_copy(update={"split": "none"})
    assert "too few to hold any out" in score_words(none)
