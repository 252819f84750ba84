"""The usual kernel of a training: learned from complete areas, kept on the card, used on frames."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from napari_apgan.frames import Calibration
from napari_apgan.measure.kernels import half_widths
from napari_apgan.models.card import read_card
from napari_apgan.predict.answer import kernel_for
from napari_apgan.regions import Region
from napari_apgan.train.begin import first_card
from napari_apgan.train.events import Done, EventLog, Stopped
from napari_apgan.train.loop import Training
from napari_apgan.train.runfile import EVENTS_FILE
from napari_apgan.train.usual import usual_of

from .conftest import ELEMENTS, Prepare, lattice_pair


def test_it_shows_the_columns_of_the_labelled_frames() -> None:
    usual = usual_of([lattice_pair(size=96)], ELEMENTS)
    assert usual is not None
    assert sorted(usual.blur_px2) == ["Pb", "Ti"]


def test_only_areas_that_are_complete_teach_it() -> None:
    pair = lattice_pair(size=96)
    part = replace(pair, regions=(Region.rectangle(9.5, 9.5, 70.5, 70.5),))
    outside = part.atoms["x_px"].to_numpy() > 75
    nonsense = part.atoms.assign(
        x_px=np.where(outside, part.atoms["x_px"] + 3.0, part.atoms["x_px"])
    )
    one, other = (usual_of([replace(part, atoms=a)], ELEMENTS) for a in (part.atoms, nonsense))
    assert one == other
    assert one is not None


@pytest.mark.parametrize(
    "regions",
    [
        (),
        (Region.rectangle(0, 0, 20, 20),),
        (Region(id=1, kind="complete", polygon=((0, 0), (60, 0), (0, 60))),),
    ],
    ids=["nothing complete", "too few atoms", "no box"],
)
def test_without_such_an_area_there_is_none(regions: tuple[Region, ...]) -> None:
    assert usual_of([lattice_pair(regions=regions)], ELEMENTS) is None


def test_it_begins_where_the_network_sees_atoms_if_it_sees_what_is_labelled() -> None:
    pair = lattice_pair(size=96)
    truth = pair.atoms
    jitter = np.random.default_rng(0).normal(0, 0.9, (len(truth), 2))
    labels = truth.assign(x_px=truth["x_px"] + jitter[:, 0], y_px=truth["y_px"] + jitter[:, 1])
    labels = labels[np.arange(len(labels)) % 20 > 0]
    spoiled = replace(pair, atoms=labels.reset_index(drop=True))
    from_labels = usual_of([spoiled], ELEMENTS)
    seen = usual_of([spoiled], ELEMENTS, lambda frame: truth)
    right = usual_of([pair], ELEMENTS)
    assert seen == right
    assert from_labels != right
    assert usual_of([spoiled], ELEMENTS, lambda frame: truth.iloc[::3]) == from_labels


def test_experimental_frames_go_before_simulated_ones() -> None:
    simulated = replace(lattice_pair(size=128, seed=1), origin="simulated")
    real = lattice_pair(size=64)
    assert usual_of([simulated, real], ELEMENTS) == usual_of([real], ELEMENTS)


def test_a_training_has_it_on_its_card_whether_stopped_or_done(tmp_path, prepare: Prepare) -> None:
    prepare(tmp_path, [lattice_pair(size=96)], steps=2)
    for stopped in (True, False):
        with closing(EventLog(tmp_path / EVENTS_FILE)) as log:
            training = Training(tmp_path, log, lambda now=stopped: now, resume=not stopped)
            assert isinstance(training.run(), Stopped if stopped else Done)
        card = read_card(tmp_path)
        assert card.kernel is not None
        assert kernel_for(lattice_pair().frame, card, {"Pb"}) is not None
        assert kernel_for(lattice_pair().frame, card, {"Pb", "unknown"}) is None


def test_it_follows_the_pixel_size_of_the_frame(tmp_path, prepare: Prepare) -> None:
    run = prepare(tmp_path, [lattice_pair(size=96, pixel_size_pm=20.0)])
    usual = usual_of([lattice_pair(size=96)], ELEMENTS)
    card = first_card(run).model_copy(update={"kernel": usual})
    frame = lattice_pair().frame
    finer = replace(frame, calibration=Calibration.from_pixel_size(10.0, origin="user"))
    widths = [
        half_widths(kernel_for(f, card, {"Ti"}).stamps(["Ti"]))[0]  # type: ignore[union-attr]
        for f in (frame, finer)
    ]
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.02)
