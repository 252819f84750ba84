"""Every column of the precision tables on frames made by hand, where its value is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from napari_apgan.atoms import make_atoms, positions, with_calibration
from napari_apgan.bench.precision.columns import answer, pool
from napari_apgan.bench.precision.gains import gain_of, shifts_of
from napari_apgan.bench.precision.limits import Limits, frame_limits, noise_of
from napari_apgan.bench.precision.marks import Marks, mark
from napari_apgan.bench.precision.rows import Columns
from napari_apgan.frames import Calibration, Frame
from napari_apgan.io.pairs import Pair
from napari_apgan.simulate.examples import EXAMPLES
from napari_apgan.simulate.pairs import SimulatedPair
from napari_apgan.simulate.scene import Columns as SceneColumns
from napari_apgan.simulate.scene import Scene
from napari_apgan.simulate.settings import changed

TOLERANCE = 3.0
HOLE = [(x, y) for x in (65.0, 75.0, 85.0) for y in (65.0, 75.0, 85.0)]
VACANCY = (35.0, 35.0)
SPACING, SIDE, PM = 10.0, 120, 25.0
WIDTH, HEIGHT, NOISE = 2.0, 100.0, 4.0
Floats = NDArray[np.float64]


def lattice(first: int, last: int) -> Floats:
    """Positions of a square lattice, 5 px from the frame's origin."""
    n = np.arange(first, last)
    return SPACING * np.stack(np.meshgrid(n, n), -1).reshape(-1, 2) + 5.0


def without(xy: Floats, gone: Sequence[tuple[float, float]]) -> Floats:
    """Take atoms out."""
    return xy[~np.array([tuple(p) in set(gone) for p in xy.tolist()])]


def make_pair(
    *,
    vacancies: Sequence[tuple[float, float]] = (),
    hole: Sequence[tuple[float, float]] = (),
    shift_px: float | Floats = 0.0,
    seed: int = 0,
    element: str = "C",
) -> SimulatedPair:
    """A frame of 12 x 12 atoms that goes on outside, with empty sites, and shifts of the atoms."""
    everything = without(lattice(-4, 16), [*vacancies, *hole])
    inside = ((everything > -0.5) & (everything < SIDE - 0.5)).all(axis=1)
    sites = everything[inside]
    rng = np.random.default_rng(seed)
    moved = shift_px if isinstance(shift_px, np.ndarray) else rng.normal(0, shift_px, sites.shape)
    xy = sites + moved
    at = everything.copy()
    at[inside] = xy
    n = len(at)
    columns = SceneColumns(
        at, at, everything, np.full(n, element), np.ones(n), np.ones(n), np.ones(n, dtype=np.int_),
        tuple({element: 1} for _ in range(n)), np.full(n, "A"), np.zeros(n, dtype=np.int_),
    )  # fmt: skip
    scene = Scene(
        np.column_stack([PM * at, np.zeros(n)]), np.full(n, 6), np.arange(n), np.zeros(n),
        columns, np.array(vacancies, dtype=np.float64).reshape(-1, 2),
        np.full(len(vacancies), element), (SIDE, SIDE), PM,
    )  # fmt: skip
    rows, cols = np.mgrid[:SIDE, :SIDE]
    expected = 50.0 + sum(
        HEIGHT * np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * WIDTH**2)) for x, y in at
    )
    image = expected + rng.normal(0, NOISE, expected.shape)
    scale = Calibration.from_pixel_size(PM, origin="user")
    frame = Frame(image.astype(np.float32), np.ones((SIDE, SIDE), dtype=bool), scale)
    settings = changed(EXAMPLES["graphene"], {"shape": (SIDE, SIDE), "pixel_size_pm": PM})
    record = {"settings": settings.model_dump(mode="json")}
    atoms = with_calibration(
        make_atoms(xy, element, origin="simulated", sublattice="A", grain=0), scale
    )
    return SimulatedPair(
        Pair("made", frame, atoms, origin="simulated"),
        make_atoms(sites, element),
        make_atoms(np.array(vacancies, dtype=np.float64).reshape(-1, 2), element),
        expected.astype(np.float32),
        record,
        scene,
    )


def with_missing(pair: SimulatedPair, fraction: float) -> SimulatedPair:
    """The same frame with a part of its pixels never measured."""
    old = pair.pair.frame
    valid = np.random.default_rng(9).random(old.shape) >= fraction
    frame = Frame(np.where(valid, old.data, 0).astype(np.float32), valid, old.calibration)
    return replace(pair, pair=replace(pair.pair, frame=frame))


def marks_of(pair: SimulatedPair, limits: Limits | None = None) -> Marks:
    return mark(pair, limits or Limits.unknown(len(pair.pair.atoms)))


def columns_of(
    predicted: pd.DataFrame, pair: SimulatedPair, label: str = "map", limits: Limits | None = None
) -> Columns:
    return pool([answer(predicted, marks_of(pair, limits), label=label, tolerance_px=TOLERANCE)])


def test_the_truth_as_an_answer_is_perfect() -> None:
    pair = make_pair(vacancies=[VACANCY], hole=HOLE, shift_px=0.4)
    got = columns_of(pair.pair.atoms, pair)
    assert (got.f1, got.precision, got.recall) == (1.0, 1.0, 1.0)
    assert (got.f1_lacking, got.f1_near_defects, got.f1_border) == (1.0, 1.0, 1.0)
    assert (got.filled, got.missed, got.false_per_nm2) == (0.0, 0.0, 0.0)
    assert got.errors.mean_pm == 0.0
    assert got.errors.skill == 1.0
    assert got.errors.gain == pytest.approx(1.0)


def test_places_are_counted_where_they_are() -> None:
    marks = marks_of(make_pair(vacancies=[VACANCY], hole=HOLE))
    # Four atoms beside the vacancy, twelve along the edges of a hole of three by three.
    assert marks.lacking.sum() == 4 + 12
    assert marks.border.sum() == 4 * 12 - 4
    corners = marks.near_defect & ~marks.lacking
    assert corners.sum() > 0
    assert marks.spacing_px == pytest.approx(SPACING)


def test_the_vacuum_is_the_hole_and_no_single_vacancy() -> None:
    marks = marks_of(make_pair(vacancies=[VACANCY], hole=HOLE))
    assert marks.vacuum[75, 75]
    assert not marks.vacuum[35, 35]
    assert not marks.vacuum[:50].any()
    # Within ten px of no atom on a square of forty: a little more than its inner square of 20 px.
    assert 20**2 < marks.vacuum.sum() < 26**2
    assert marks.vacuum_nm2 == pytest.approx(marks.vacuum.sum() * (PM / 1000) ** 2)


def test_the_undisplaced_lattice_has_no_skill_and_no_gain() -> None:
    pair = make_pair(shift_px=0.4)
    errors = columns_of(pair.undisplaced, pair).errors
    assert errors.skill == pytest.approx(0.0)
    assert errors.gain == pytest.approx(0.0)
    assert errors.mean_pm == pytest.approx(0.4 * PM * np.sqrt(np.pi / 2), rel=0.1)


def test_half_the_displacement_is_a_gain_of_one_half() -> None:
    pair = make_pair(shift_px=0.4)
    sites = positions(pair.undisplaced)
    half = make_atoms(sites + 0.5 * (positions(pair.pair.atoms) - sites), "C")
    errors = columns_of(half, pair).errors
    assert errors.gain == pytest.approx(0.5)
    assert errors.skill == pytest.approx(0.75)


def test_a_shift_of_the_whole_answer_is_bias_and_no_gain() -> None:
    pair = make_pair(shift_px=0.4)
    moved = make_atoms(positions(pair.pair.atoms) + np.array([0.2, -0.1]), "C")
    errors = columns_of(moved, pair).errors
    assert (errors.bias_x_pm, errors.bias_y_pm) == pytest.approx((0.2 * PM, -0.1 * PM))
    assert errors.gain == pytest.approx(1.0)
    assert errors.mean_pm == pytest.approx(PM * np.hypot(0.2, 0.1))
    assert errors.std_pm == pytest.approx(0.0, abs=1e-9)


def test_a_filled_vacancy_is_a_false_atom_near_a_defect_and_not_beside_it() -> None:
    pair = make_pair(vacancies=[VACANCY, (85.0, 35.0)])
    n = len(pair.pair.atoms)
    filled = make_atoms(np.vstack([positions(pair.pair.atoms), [[36.0, 35.0]]]), "C")
    got = columns_of(filled, pair)
    assert got.filled == 0.5
    assert got.missed == 0.0
    assert got.f1 == pytest.approx(2 * n / (2 * n + 1))
    assert got.f1_lacking == 1.0
    assert got.f1_near_defects is not None
    assert got.f1_near_defects < 1.0


def test_an_atom_drawn_far_from_the_site_fills_nothing() -> None:
    pair = make_pair(vacancies=[VACANCY])
    beside = make_atoms(np.vstack([positions(pair.pair.atoms), [[35.0, 38.5]]]), "C")
    assert columns_of(beside, pair).filled == 0.0


def test_a_vacancy_beside_a_missed_atom_is_missed() -> None:
    pair = make_pair(vacancies=[VACANCY])
    left = pair.pair.atoms[positions(pair.pair.atoms)[:, 0] != 45.0].reset_index(drop=True)
    got = columns_of(left, pair)
    assert (got.filled, got.missed) == (0.0, 1.0)
    assert got.f1_lacking == pytest.approx(2 * 3 / (2 * 3 + 1))


def test_a_missed_atom_at_the_border_counts_there() -> None:
    pair = make_pair()
    atoms = pair.pair.atoms
    got = columns_of(atoms.iloc[1:].reset_index(drop=True), pair)
    assert got.n_border == 44
    assert got.f1_border == pytest.approx(2 * 43 / (2 * 43 + 1))
    assert got.f1_lacking is None


def test_atoms_drawn_in_the_vacuum_are_counted_per_area() -> None:
    pair = make_pair(hole=HOLE)
    drawn = np.vstack([positions(pair.pair.atoms), [[75.0, 75.0], [72.0, 78.0]]])
    got = columns_of(make_atoms(drawn, "C"), pair)
    assert got.vacuum_nm2 > 0
    assert got.false_per_nm2 == pytest.approx(2 / got.vacuum_nm2)
    assert columns_of(make_pair().pair.atoms, make_pair()).false_per_nm2 is None


def test_a_wrong_element_is_missed_and_false_but_fills_no_vacancy() -> None:
    pair = make_pair(vacancies=[VACANCY])
    n = len(pair.pair.atoms)
    got = columns_of(pair.pair.atoms.assign(element=["N"] + ["C"] * (n - 1)), pair)
    assert got.f1 == pytest.approx(2 * (n - 1) / (2 * (n - 1) + 2))
    assert got.filled == 0.0
    assert got.elements["C"].n_true == n


def test_ratios_compare_errors_with_the_bounds_of_the_same_atoms() -> None:
    pair = make_pair()
    n = len(pair.pair.atoms)
    bound = np.full(n, 5.0)
    bound[: n // 2] = np.nan
    limits = Limits(bound, np.full(n, 4.0))
    error = np.where(np.arange(n) < n // 2, 1.0, 0.24)
    moved = make_atoms(positions(pair.pair.atoms) + np.column_stack([error, 0 * error]), "C")
    errors = columns_of(moved, pair, limits=limits).errors
    assert errors.over_cramer_rao == pytest.approx(0.24 * PM / 5.0)
    assert errors.over_bayesian == pytest.approx(0.62 * PM / 4.0)


def test_coverage_counts_both_axes_and_each_kind_has_its_own_error_bars() -> None:
    pair = make_pair()
    moved = make_atoms(positions(pair.pair.atoms) + np.array([0.1, 0.3]), "C").assign(
        sigma_x_pm=0.2 * PM, sigma_y_pm=0.2 * PM
    )
    errors = columns_of(moved, pair, "offered").errors
    assert (errors.coverage, errors.coverage_95) == (0.5, 1.0)
    assert columns_of(moved, pair, "map").errors.coverage is None


def test_confidences_are_held_against_the_share_of_real_atoms() -> None:
    pair = make_pair(vacancies=[VACANCY])
    drawn = np.vstack([positions(pair.pair.atoms), [VACANCY]])
    real = np.arange(len(drawn)) < len(drawn) - 1
    sure = make_atoms(drawn, "C", confidence=np.where(real, 1.0, 0.0))
    assert columns_of(sure, pair).confidence_error == pytest.approx(0.0)
    wrong = sure.assign(confidence=1.0)
    assert columns_of(wrong, pair).confidence_error == pytest.approx(1 / len(drawn))
    assert columns_of(pair.pair.atoms, pair).confidence_error is None


def test_failed_fits_have_a_share_and_are_left_out_of_the_second_row() -> None:
    pair = make_pair()
    n = len(pair.pair.atoms)
    moved = positions(pair.pair.atoms).copy()
    moved[0] += 1.0
    table = make_atoms(moved, "C", flag=["fit: cut by the border"] + [""] * (n - 1))
    got = columns_of(table, pair, "offered")
    assert got.flagged == pytest.approx(1 / n)
    assert got.unflagged is not None
    assert got.unflagged.mean_pm == 0.0
    assert got.errors.mean_pm == pytest.approx(np.hypot(1, 1) * PM / n)
    assert columns_of(table, pair, "map").unflagged is None


def test_frames_are_pooled_by_their_atoms() -> None:
    whole, less = make_pair(), make_pair(vacancies=[VACANCY])
    nothing = make_atoms(np.empty((0, 2)), "C")
    parts = [
        answer(whole.pair.atoms, marks_of(whole), label="map", tolerance_px=TOLERANCE),
        answer(nothing, marks_of(less), label="map", tolerance_px=TOLERANCE),
    ]
    got = pool(parts)
    assert (got.n_frames, got.n_true, got.n_predicted) == (2, 144 + 143, 144)
    assert got.f1 == pytest.approx(2 * 144 / (2 * 144 + 143))
    assert got.missed == 1.0


def test_limits_are_those_of_the_frame_and_grow_with_missing_pixels() -> None:
    pair = make_pair()
    whole = frame_limits(pair, {"C": "bright"}, prior_pm=1.0)
    inner = ~marks_of(pair).border
    # Of one isolated peak; neighbours cost little at five widths.
    axis = 0.798 * PM * NOISE / 100.0
    mean = np.sqrt(np.pi / 2)
    assert np.median(whole.cramer_rao_pm[inner]) == pytest.approx(mean * axis, rel=0.15)
    known = mean * axis / np.hypot(1.0, axis)
    assert np.median(whole.bayesian_pm[inner]) == pytest.approx(known, rel=0.15)
    fewer = frame_limits(with_missing(pair, 0.3), {"C": "bright"}, prior_pm=1.0)
    grown = np.median(fewer.cramer_rao_pm[inner]) / np.median(whole.cramer_rao_pm[inner])
    assert grown == pytest.approx(1 / np.sqrt(0.7), rel=0.1)


def test_bounds_beyond_a_blind_guess_count_as_one() -> None:
    pair = make_pair()
    n = len(pair.pair.atoms)
    bound = np.full(n, 5.0)
    bound[0] = 1e4
    errors = columns_of(pair.pair.atoms, pair, limits=Limits(bound, bound)).errors
    blind = 2 / 3 * TOLERANCE * PM
    assert errors.cramer_rao_pm == pytest.approx((5.0 * (n - 1) + blind) / n)


def test_the_noise_is_measured_against_the_noise_free_image() -> None:
    sigma = noise_of(make_pair())
    assert sigma.shape == (SIDE, SIDE)
    assert np.median(sigma) == pytest.approx(NOISE, rel=0.05)


def test_a_moved_atom_that_is_not_found_counts_as_such() -> None:
    shift = np.zeros((144, 2))
    shift[70] = (0.8, 0.0)
    pair = make_pair(shift_px=shift)
    left = make_atoms(np.delete(lattice(0, 12), 70, axis=0), "C")
    got = gain_of([shifts_of(left, pair, PM * shift, TOLERANCE)])
    assert (got.value, got.n_moved, got.n_found) == (None, 1, 0)
    still = make_atoms(lattice(0, 12), "C")
    assert gain_of([shifts_of(still, pair, PM * shift, TOLERANCE)]).value == pytest.approx(0.0)


def test_atoms_on_the_very_edge_do_not_count():
    pair = make_pair()
    truth = pair.pair.atoms
    on_the_edge = make_atoms([(0.3, 50.0), (50.0, SIDE - 1.3)], "C")
    inside = make_atoms([(0.7, 50.0)], "C")
    assert columns_of(pd.concat([truth, on_the_edge]), pair).f1 == 1.0
    assert columns_of(pd.concat([truth, inside]), pair).f1 < 1.0
    # A row of atoms that stand there is neither found nor missed.
    moved = np.zeros((len(truth), 2))
    moved[positions(truth)[:, 0] < 6.0, 0] = -5.2
    edge = make_pair(shift_px=moved)
    found = edge.pair.atoms[positions(edge.pair.atoms)[:, 0] > 1.0]
    columns = columns_of(found, edge)
    assert columns.f1 == 1.0
    assert columns.n_true == len(found) < len(edge.pair.atoms)
