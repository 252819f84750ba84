"""Matching is one to one and optimal; scores say what was put in."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.measure import FrameToScore, match, score, score_frames
from napari_apgan.regions import Region

PM = Calibration.from_pixel_size(20.0, origin="user")


def by_trying_all(a, b, tolerance):
    """Most pairs, then the smallest sum of squares, over every assignment."""
    distance = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    best = (0, 0.0)
    for order in permutations(range(len(b))):
        d = np.array([distance[k, order[k]] for k in range(len(a))])
        near = d <= tolerance
        best = min(best, (-int(near.sum()), float((d[near] ** 2).sum())))
    return best


def test_matching_is_one_to_one_and_the_best_of_all_assignments():
    rng = np.random.default_rng(0)
    for _ in range(30):
        a, b = rng.uniform(0, 4, (5, 2)), rng.uniform(0, 4, (5, 2))
        i, j = match(a, b, 1.2)
        assert len(set(i.tolist())) == len(i)
        assert len(set(j.tolist())) == len(j)
        squared = np.square(a[i] - b[j]).sum(axis=1)
        assert (squared <= 1.2**2).all()
        pairs, total = by_trying_all(a, b, 1.2)
        assert -len(i) == pairs
        assert squared.sum() == pytest.approx(total)


def test_matching_nothing():
    assert len(match(np.empty((0, 2)), [[1, 1]], 1.0)[0]) == 0
    with pytest.raises(UserError):
        match([[0, 0]], [[0, 0]], 0.0)


def lattice(n=900, seed=0, spread=0.4):
    rng = np.random.default_rng(seed)
    line = 8.0 * np.arange(round(n**0.5)) + 5
    site = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    return site, site + rng.normal(0, spread, site.shape), rng


def test_gain_bias_and_skill_are_those_put_in():
    site, true, rng = lattice()
    read = site + 0.8 * (true - site) + [0.1, -0.05] + rng.normal(0, 0.05, site.shape)
    result = score(
        make_atoms(read, "C"),
        make_atoms(true, "C"),
        tolerance_px=3,
        calibration=PM,
        undisplaced=make_atoms(site, "C"),
    )
    row = result.overall
    assert row.gain.value == pytest.approx(0.8, abs=0.01)
    assert row.gain.low < 0.8 < row.gain.high
    assert row.bias_x_px.value == pytest.approx(0.1, abs=0.02)
    assert row.bias_y_pm.value == pytest.approx(-1.0, abs=0.4)
    error = np.square(read - true).sum(axis=1).mean()
    assert row.rmse_pm.value == pytest.approx(20 * error**0.5)
    assert row.skill.value == pytest.approx(1 - error / np.square(true - site).sum(axis=1).mean())
    assert result.no_information.gain.value == pytest.approx(0.0, abs=1e-9)
    assert result.no_information.skill.value == pytest.approx(0.0, abs=1e-9)


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        true = 10.0 * np.arange(100)[:, None] + [0.0, 0.0]
        read = true + rng.normal(0, 0.3, true.shape)
        row = score(make_atoms(read, "C"), make_atoms(true, "C"), tolerance_px=4, seed=seed).overall
        covered += row.bias_x_px.low <= 0 <= row.bias_x_px.high
    assert 51 <= covered <= 60


def test_a_wrong_element_is_a_miss_and_a_false_atom_but_a_right_place():
    true = make_atoms([[5, 5], [15, 5], [25, 5]], ["Pb", "Sr", "Ti"])
    read = make_atoms([[5, 5], [15, 5], [25, 5]], ["Pb", "Ti", "Ti"])
    result = score(read, true, tolerance_px=2)
    assert result.overall.f1.value == pytest.approx(2 / 3)
    assert result.location_only.f1.value == 1.0
    assert result.row("Ti").precision.value == 0.5
    assert result.row("Sr").recall.value == 0.0
    assert result.row("Sr").precision is None
    assert result.overall.rmse_pm is None
    assert "location only" in result.table()
    assert type(result).model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize("kind", ["ignore", "amorphous", "contamination"])
def test_only_the_region_counts_and_its_border_makes_no_false_errors(kind):
    true = make_atoms([[5, 5], [9.9, 5], [20, 5]], "C")
    read = make_atoms([[5, 5], [10.2, 5], [20, 5], [8, 8], [30, 5]], "C")
    region = [
        Region.rectangle(0, 0, 10, 10),
        Region.rectangle(7, 7, 9, 9, id=1, kind=kind),
    ]
    row = score(read, true, tolerance_px=2, region=region).overall
    assert (row.n_true, row.n_pred, row.n_matched) == (2, 2, 2)
    mask = np.zeros((10, 40), bool)
    mask[:, 15:] = True
    row = score(read, true, tolerance_px=2, region=mask).overall
    assert (row.n_true, row.n_pred, row.n_matched) == (1, 2, 1)


def test_false_atoms_in_vacuum_count():
    true = make_atoms([[5, 5]], "C")
    read = make_atoms([[5, 5], [30, 5], [60, 5]], "C")
    region = [
        Region.rectangle(0, 0, 10, 10),
        Region.rectangle(20, 0, 40, 10, id=1, kind="vacuum"),
    ]
    row = score(read, true, tolerance_px=2, region=region).overall
    assert (row.n_true, row.n_pred, row.n_matched) == (1, 2, 1)


def test_atoms_on_the_very_edge_of_a_frame_count_neither_way():
    true = make_atoms([[0.3, 5], [5, 5], [19.4, 15]], "C")
    # Of an atom outside, of one beyond the far edge, a match across the line, and a false one.
    read = make_atoms([[0.2, 12], [39.6, 5], [0.7, 5], [5, 5], [1.0, 18]], "C")
    frame = FrameToScore(read, true, shape=(20, 40))
    row = score_frames([frame], tolerance_px=1).overall
    assert (row.n_true, row.n_pred, row.n_matched) == (2, 2, 1)
    row = score_frames([replace(frame, shape=None)], tolerance_px=1).overall
    assert (row.n_true, row.n_pred, row.n_matched) == (3, 5, 2)


def test_frames_are_scored_together_each_at_its_own_pixel_size():
    true, read = make_atoms([[5, 5]], "C"), make_atoms([[6, 5]], "C")
    frames = [
        FrameToScore(read, true, calibration=Calibration.from_pixel_size(s, origin="user"))
        for s in (10.0, 30.0)
    ]
    row = score_frames(frames, tolerance_px=2).overall
    assert row.n_true == 2
    assert row.error_mean_pm.value == pytest.approx(20.0)
    assert row.error_mean_px.value == pytest.approx(1.0)


def test_sites_must_match_the_truth_and_something_must_be_scored():
    true = make_atoms([[5, 5]], "C")
    with pytest.raises(UserError, match="undisplaced"):
        score(true, true, tolerance_px=2, undisplaced=make_atoms(np.empty((0, 2)), "C"))
    with pytest.raises(UserError):
        score_frames([], tolerance_px=2)


def test_the_element_of_a_mixed_column_is_not_scored_but_its_place_is() -> None:
    xy = np.array([[10.0, 10.0], [20.0, 10.0], [30.0, 10.0], [40.0, 10.0]])
    flags = ["", "mixed: Pb 55 %, Sr 45 %", "mixed: Sr 60 %, Pb 40 %", ""]
    truth = make_atoms(xy, ["Pb", "Pb", "Sr", "Sr"], origin="simulated", flag=np.array(flags))
    other_way_round = make_atoms(xy, ["Pb", "Sr", "Pb", "Sr"], origin="predicted")
    found = score(other_way_round, truth, tolerance_px=2.0)
    assert found.overall.f1 is not None
    assert found.overall.f1.value == 1.0
    swapped = make_atoms(xy, ["Sr", "Sr", "Pb", "Sr"], origin="predicted")
    wrong = score(swapped, truth, tolerance_px=2.0)
    assert wrong.overall.n_matched == 3
    missed = score(other_way_round.drop(index=1), truth, tolerance_px=2.0)
    assert missed.overall.recall is not None
    assert missed.overall.recall.value == 0.75
