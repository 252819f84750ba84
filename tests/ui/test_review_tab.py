"""The Review tab on a written prediction: worst first, walked through, corrected, sent back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_apgan.atoms import make_atoms
from napari_apgan.maps import output_map
from napari_apgan.predict.files import write_prediction
from napari_apgan.predict.prediction import Prediction
from napari_apgan.project import Round
from napari_apgan.regions import Region
from napari_apgan.review.reference import make_reference
from napari_apgan.ui.review_rows import row_of

pytestmark = pytest.mark.gui

CTRL = Qt.KeyboardModifier.ControlModifier
PATIENCE_MS = 30_000


@pytest.fixture
def reviewed(workbench, centres, qtbot):
    """A workbench whose model has predicted the frame: one atom doubtful, one missing."""
    workbench.predictions.helper.stop()  # the prediction is written here, by no network
    left = centres[centres[:, 0] < 40]
    workbench.session.add_atoms(make_atoms(left, "Pb"))
    workbench.session.add_region(Region.rectangle(-0.5, -0.5, 31.5, 95.5))
    project, source_id = workbench.session.project, workbench.session.source_id
    project.add_pair(source_id, 0)
    run_dir = project.new_run_dir()
    make_reference(project.training_pairs()).save(run_dir)
    (run_dir / "best.safetensors").write_bytes(b"")
    project.add_round(Round(number=1, run_id=run_dir.name, pairs=1, atoms=12))
    files = project.prediction_files(run_dir.name, source_id, 0)
    table = make_atoms(centres, "Pb", probability=0.99, origin="predicted", sigma_x_pm=4.0)
    table["sigma_y_pm"] = 4.0
    table.loc[20, "probability"] = 0.3
    table = table.drop(index=27).reset_index(drop=True)
    maps = output_map(table, ["Pb"], (96, 128))
    write_prediction(files.folder, files.name, Prediction(maps, table, ("Pb",)))
    workbench.show_tab("review")
    workbench.session.model = run_dir
    qtbot.waitUntil(lambda: bool(workbench.review_tab.items), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: workbench.predictions.shown is not None, timeout=PATIENCE_MS)
    return workbench


def test_the_worst_region_is_opened_and_its_suspects_are_walked(reviewed, canvas, qtbot):
    tab = reviewed.review_tab
    assert "low confidence: 1 atom" in tab.list.item(0).toolTip()
    canvas.key(Qt.Key.Key_N)
    assert tab.current is tab.items[0]
    canvas.key(Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: bool(reviewed.atoms.selected), timeout=PATIENCE_MS)
    seen = [tuple(reviewed.atoms.selected)]
    for _ in range(len(tab.walking) - 1):
        tab.walk(1)
        seen.append(tuple(reviewed.atoms.selected))
    assert (("predicted", 20),) in seen
    assert reviewed.atoms.reason(("predicted", 20)) == "low probability"
    assert reviewed.desk.describe(("predicted", 20)).startswith("Pb, p 0.30, ±4 pm")


def test_a_little_doubt_is_not_rounded_away(reviewed):
    item, project = reviewed.review_tab.items[0], reviewed.session.project
    said = [row_of(project, replace(item, score=s), done=False).tail for s in (0.0, 0.004, 0.126)]
    assert said == [" · 0% doubtful", " · under 1% doubtful", " · 13% doubtful"]


def test_accepted_atoms_are_labels_with_their_round_and_one_undo_takes_them_back(reviewed, canvas):
    before = len(reviewed.session.atoms())
    canvas.key(Qt.Key.Key_N)
    reviewed.atoms.select([("predicted", 20)])
    canvas.key(Qt.Key.Key_A)
    table = reviewed.session.atoms()
    assert len(table) == before + 1
    assert table.iloc[-1]["origin"] == "predicted"
    assert table.iloc[-1]["round"] == 1
    assert ("predicted", 20) not in reviewed.atoms.keys
    reviewed.desk.undo()
    assert len(reviewed.session.atoms()) == before


def test_an_empty_site_has_a_square_until_something_is_done_about_it(reviewed, canvas, centres):
    tab, marks = reviewed.review_tab, reviewed.desk.marks
    assert marks.holes == []
    canvas.key(Qt.Key.Key_N)
    assert len(marks.holes) == 1
    assert np.abs(np.array(marks.holes[0]) - centres[27]).max() < 2
    symbols = [str(s) for s in marks.layer.symbol]
    assert symbols.count("square") == 1
    square = symbols.index("square")
    assert marks.layer.face_color[square, 3] == 0
    assert np.allclose(marks.layer.data[square][::-1], marks.holes[0])
    canvas.click(*centres[27])
    assert marks.holes == []
    reviewed.desk.undo()
    assert len(marks.holes) == 1
    for _ in range(len(tab.walking)):
        tab.walk(1)
        if tab.walking.at_empty_site:
            break
    assert "an empty site" in tab.current_line.text()
    before = len(reviewed.session.atoms())
    canvas.key(Qt.Key.Key_A)
    assert marks.holes == []
    assert len(reviewed.session.atoms()) == before, "the region was not taken along"


def test_squares_go_with_the_region_that_was_sent(reviewed, canvas):
    canvas.key(Qt.Key.Key_N)
    assert len(reviewed.desk.marks.holes) == 1
    canvas.key(Qt.Key.Key_Return, CTRL)
    assert reviewed.desk.marks.holes == []


def test_correct_here_takes_the_region_and_never_doubles_a_label(reviewed, canvas, centres):
    canvas.key(Qt.Key.Key_N)
    reviewed.review_tab.correct_button.click()
    table = reviewed.session.atoms()
    assert len(table) == len(centres) - 1
    assert (table["origin"] == "human").sum() == np.sum(centres[:, 0] < 40)
    assert not len(reviewed.atoms.predicted_left())


def test_a_region_goes_to_the_training_set_as_one_edit(reviewed, canvas, centres):
    tab, project = reviewed.review_tab, reviewed.session.project
    project.remove_pair(reviewed.session.source_id, 0)
    canvas.key(Qt.Key.Key_N)
    reviewed.atoms.reject([20])
    reviewed.predictions._on_predicted_edit(("predicted", 20), None)
    canvas.key(Qt.Key.Key_Return, CTRL)
    assert len(reviewed.session.atoms()) == len(centres) - 2  # one missing, one deleted
    assert [p.round for p in project.pairs] == [2]
    assert any(r.contains(np.array([[100.0, 50.0]]))[0] for r in reviewed.session.regions())
    assert "Sent to the training set" in reviewed.messages.text.text()
    assert tab.list.item(0).text().startswith("✓")
    assert tab.primary.text() == "Retrain (1 new)"
    reviewed.desk.undo()
    assert project.pairs == []
    assert len(reviewed.session.regions()) == 1
    assert len(reviewed.session.atoms()) == np.sum(centres[:, 0] < 40)


def test_predicted_atoms_inside_a_complete_region_are_not_taken(reviewed, canvas):
    """There the user has said that nothing more is to be found."""
    ids = reviewed.session.atoms()["id"].tolist()
    reviewed.session.remove_atoms(ids[:1])
    canvas.key(Qt.Key.Key_N)
    reviewed.review_tab.correct_here()
    table = reviewed.session.atoms()
    assert not ((table["x_px"] < 16) & (table["y_px"] < 16)).any()


def test_the_overlay_follows_its_slider_and_goes_with_the_model(reviewed, canvas, qtbot):
    layer = reviewed.predictions.layers.layers["Pb"]
    reviewed.review_tab.predict.strength.setValue(80)
    assert layer.opacity == pytest.approx(0.8)
    assert layer.blending == "translucent_no_depth"
    assert layer.contrast_limits == [0.0, 1.0]
    assert np.allclose(np.asarray(layer.colormap.colors)[0], [1, 0, 1, 0])
    canvas.key(Qt.Key.Key_O)
    assert not layer.visible
    assert all(key[0] == "label" for key in reviewed.atoms.keys)
    canvas.key(Qt.Key.Key_O)
    assert layer.visible
    reviewed.session.model = None
    qtbot.waitUntil(lambda: not reviewed.predictions.layers.layers, timeout=PATIENCE_MS)
    assert layer not in reviewed.desk.viewer.layers
