"""Label the average, train on the singles, in the window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.bench.drifting import drifting
from napari_apgan.elements import Element
from napari_apgan.regions import Region

pytestmark = pytest.mark.gui

PATIENCE_MS = 120_000
CTRL = Qt.KeyboardModifier.ControlModifier
N_FRAMES = 6


@pytest.fixture
def movie():
    return drifting(21, n_frames=N_FRAMES, snr=2.0, vanishing=0.08)


@pytest.fixture
def section(open_workbench, movie):
    """The section, open on a drifting series of the window's memory."""
    workbench = open_workbench(np.stack([f.data for f in movie.frames]), pixel_pm=20.0)
    workbench.desk.add_element(Element(name="Pt", color="#FF00FF"))
    return workbench.label_tab.sections.open("series")


def make_mean(section, qtbot):
    """Make the mean and return the ids of the series and of the mean."""
    session = section.session
    series_id = session.source_id
    section.make.click()
    assert section.register_task.busy
    qtbot.waitUntil(lambda: len(session.project.sources) == 2, timeout=PATIENCE_MS)
    return series_id, session.source_id


def test_the_mean_is_labelled_once_and_its_labels_reach_the_frames(section, movie, hand_on, qtbot):
    workbench, session = section.workbench, section.session
    assert section.series_page.isVisible()
    assert not section.mean_page.isVisible()
    series_id, mean_id = make_mean(section, qtbot)
    assert mean_id != series_id, "the mean is shown"
    project = session.project
    record = project.record(mean_id)
    assert record.name == "picture, mean of 6 frames"
    assert record.stored
    assert session.calibration.x_pm == pytest.approx(20.0)
    assert "6 of 6 frames lie on each other" in section.did.text()
    assert section.table.rowCount() == N_FRAMES
    assert section.mean_page.isVisible()
    canvas = hand_on(workbench)
    for x, y in movie.sites:
        canvas.click(x, y)
    assert len(session.atoms()) == len(movie.sites)
    workbench.desk.add_region(Region.rectangle(20, 20, 76, 76))
    assert [p.source_id for p in project.pairs] == [mean_id]
    section.carry.click()
    qtbot.waitUntil(lambda: "carried to 6 frames" in section.did.text(), timeout=PATIENCE_MS)
    for t in range(N_FRAMES):
        atoms = project.atoms(series_id, t)
        assert abs(len(atoms) - movie.there[t].sum()) <= 1
        places = movie.places[t][movie.there[t]]
        distance = np.hypot(*(positions(atoms)[:, None] - places[None]).T).min(axis=0)
        assert distance.max() < 1.5
        assert project.regions(series_id, t)[0].kind == "complete"
    assert [p.source_id for p in project.pairs] == [series_id] * N_FRAMES
    assert "vanished" in section.did.text()
    assert "6 frames joined the training set. The mean left it" in section.did.text()
    section.table.cellClicked.emit(4, 0)
    assert (session.source_id, session.frame_index) == (series_id, 4)
    layers = workbench.desk.viewer.layers
    assert layers.index(workbench.image_layer) > layers.index(layers[record.name])
    assert section.series_page.isVisible()
    assert len(workbench.atoms.layer.data) == len(project.atoms(series_id, 4))
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert all(project.atoms(series_id, t).empty for t in range(N_FRAMES))
    assert [p.source_id for p in project.pairs] == [mean_id], "one step of undo"


def test_labels_that_frames_have_stay_when_it_is_done_again(section, movie, qtbot):
    session = section.session
    series_id, _ = make_mean(section, qtbot)
    session.add_atoms(make_atoms(movie.sites, "Pt"))
    session.project.add_atoms(
        series_id, 2, make_atoms(movie.places[2][:1] + 0.7, "Pt", origin="human")
    )
    before = session.project.atoms(series_id, 2)
    section.carry.click()
    qtbot.waitUntil(lambda: "carried to 6" in section.did.text(), timeout=PATIENCE_MS)
    after = session.project.atoms(series_id, 2)
    assert positions(after)[after["origin"] == "human"].tolist() == positions(before).tolist()
    assert "1 stood where the frame has a label already" in section.did.text()
    assert session.project.pairs == [], "without a complete region nothing is trained on"
    count = session.project.edit_number
    section.carry.click()
    qtbot.waitUntil(lambda: not section.transfer_task.busy, timeout=PATIENCE_MS)
    assert session.project.edit_number == count, "all of it is there: nothing to do"


def test_a_registration_is_cancelled_and_nothing_comes_of_it(section, qtbot):
    section.make.click()
    section.register_task.cancel()
    qtbot.waitUntil(lambda: not section.register_task.busy, timeout=PATIENCE_MS)
    assert len(section.session.project.sources) == 1
    assert "nothing was changed" in section.workbench.messages.text.text()


def test_what_cannot_be_done_is_said(section, qtbot):
    make_mean(section, qtbot)
    section.carry.click()
    messages = section.workbench.messages
    qtbot.waitUntil(lambda: "no labels to carry over" in messages.text.text(), timeout=PATIENCE_MS)
    path = section.session.project.registration_path(section.session.source_id)
    path.unlink()
    section.carry.click()
    qtbot.waitUntil(lambda: "register the series again" in messages.text.text())


def test_a_single_image_is_told_what_the_section_is_for(workbench):
    section = workbench.label_tab.sections.open("series")
    assert "at least two frames" in section.about.text()
    assert not section.series_page.isVisible()
    assert not section.mean_page.isVisible()
