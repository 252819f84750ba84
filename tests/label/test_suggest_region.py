"""Where to label next: boxes of some cells, where most is to be learned."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.label.suggest_region import Seen, side_of, suggest
from napari_apgan.regions import Region
from napari_apgan.simulate.linear import PeakShape, render

NONE = np.empty((0, 2))
SPACING = 12.0


def lattice(shape: tuple[int, int] = (240, 300)) -> tuple[Frame, np.ndarray]:
    """Return a frame of a square lattice and its atoms."""
    xs = np.arange(6.0, shape[1], SPACING)
    ys = np.arange(6.0, shape[0], SPACING)
    atoms = np.array(np.meshgrid(xs, ys)).reshape(2, -1).T
    image = render(atoms, np.ones(len(atoms)), PeakShape((2.2,), (1.0,)), 1.0, shape)
    noise = np.random.default_rng(0).normal(0, 0.05, shape)
    return Frame((image + noise).astype(np.float32), np.ones(shape, dtype=bool)), atoms


@pytest.fixture(scope="module")
def crystal() -> tuple[Frame, np.ndarray]:
    return lattice()


def test_a_box_has_as_many_cells_as_asked_for(crystal: tuple[Frame, np.ndarray]) -> None:
    frame, atoms = crystal
    for cells in (4, 8):
        made = suggest(frame, Seen(NONE, atoms, NONE), cells=cells)
        x0, y0, x1, y1 = made.box
        assert x1 - x0 == pytest.approx(cells * SPACING, rel=0.03)
        assert y1 - y0 == pytest.approx(cells * SPACING, rel=0.03)
        assert made.untouched == cells * cells
        assert made.sentence() == f"{cells}x{cells} cells: {cells * cells} without a label"


def test_around_a_click_it_is_moved_a_little_so_that_its_border_cuts_no_atom(
    crystal: tuple[Frame, np.ndarray],
) -> None:
    frame, atoms = crystal
    for x, y in ((150.0, 120.0), (141.3, 118.9), (155.0, 125.0)):
        made = suggest(frame, Seen(atoms, NONE, NONE), around=(x, y))
        assert abs(made.centre[0] - x) <= 0.51 * SPACING
        assert abs(made.centre[1] - y) <= 0.51 * SPACING
        for border, axis in zip(made.box, (0, 1, 0, 1), strict=True):
            assert np.abs(atoms[:, axis] - border).min() > 0.24 * SPACING
    corner = suggest(frame, Seen(atoms, NONE, NONE), around=(0.0, 0.0))
    assert corner.box[:2] == (-0.5, -0.5), "it stays inside the frame"


def test_the_best_place_is_where_a_model_doubts_most(crystal: tuple[Frame, np.ndarray]) -> None:
    frame, atoms = crystal
    doubted = (np.abs(atoms - (230, 60)) < 40).all(axis=1)
    made = suggest(frame, Seen(NONE, atoms[~doubted], atoms[doubted]))
    assert np.hypot(made.centre[0] - 230, made.centre[1] - 60) < 20
    assert made.unsure == doubted.sum()


def test_labelled_places_are_worth_less_and_regions_nothing(
    crystal: tuple[Frame, np.ndarray],
) -> None:
    frame, atoms = crystal
    left = atoms[:, 0] < 150
    made = suggest(frame, Seen(atoms[left], atoms[~left], NONE))
    assert made.centre[0] > 185
    regions = [Region.rectangle(150, -0.5, 299.5, 239.5)]
    made = suggest(frame, Seen(atoms[left], atoms[~left], NONE), regions)
    assert made.box[2] < 155


def test_what_was_offered_is_not_offered_again_until_no_place_is_left(
    crystal: tuple[Frame, np.ndarray],
) -> None:
    frame, atoms = crystal
    offered: list[tuple[float, float]] = []
    for _ in range(6):
        made = suggest(frame, Seen(NONE, atoms, NONE), cells=6, offered=offered)
        apart = [max(abs(made.centre[0] - x), abs(made.centre[1] - y)) for x, y in offered]
        assert min(apart, default=99.0) > 0.4 * 6 * SPACING
        offered.append(made.centre)
    everywhere = [(float(x), float(y)) for x in range(0, 300, 30) for y in range(0, 240, 30)]
    with pytest.raises(UserError, match="No place is left"):
        suggest(frame, Seen(NONE, atoms, NONE), cells=6, offered=everywhere)


def test_what_was_not_measured_is_passed_over(crystal: tuple[Frame, np.ndarray]) -> None:
    frame, atoms = crystal
    valid = np.ones(frame.shape, dtype=bool)
    valid[:, 100:] = False
    part = Frame(np.where(valid, frame.data, 0), valid)
    made = suggest(part, Seen(NONE, atoms, NONE), cells=6)
    assert made.centre[0] < 110


def test_without_a_lattice_the_box_is_made_for_as_many_atoms() -> None:
    rng = np.random.default_rng(3)
    atoms = rng.uniform(0, 400, (400, 2))
    frame = Frame(rng.normal(0, 1, (400, 400)).astype(np.float32), np.ones((400, 400), dtype=bool))
    side, size = side_of(frame, atoms, 6)
    assert size == "about 36 atoms"
    made = suggest(frame, Seen(NONE, atoms, NONE), cells=6)
    assert 20 <= made.untouched <= 65
    with pytest.raises(UserError, match="no box can be sized"):
        side_of(frame, NONE, 6)
    assert side > 0


def test_a_small_frame_is_taken_whole() -> None:
    frame, atoms = lattice((60, 72))
    made = suggest(frame, Seen(atoms, NONE, NONE), cells=12)
    assert made.box == (-0.5, -0.5, 71.5, 59.5)
