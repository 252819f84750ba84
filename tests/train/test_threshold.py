"""The threshold follows calibrated probabilities where counts cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.measure.calibration import calibrated, fit_probability
from napari_apgan.train.threshold import THRESHOLDS, choose_threshold, doubt_of


def chosen(f1: np.ndarray, doubt: float, slope: float = 1.0, offset: float = 0.0) -> float:
    return float(THRESHOLDS[choose_threshold(f1, doubt, slope, offset)])


def test_one_atom_more_does_not_decide() -> None:
    f1 = np.full(len(THRESHOLDS), 0.97)
    f1[-2] = 0.98
    assert chosen(f1, 0.0) == 0.85
    assert chosen(f1, doubt_of(0.98, 170)) == 0.5


def test_what_is_clearly_worse_is_not_chosen() -> None:
    f1 = np.where(THRESHOLDS >= 0.7, 0.98, 0.8)
    assert chosen(f1, doubt_of(0.98, 170)) == 0.7
    f1 = np.where(THRESHOLDS <= 0.3, 0.98, 0.8)
    assert chosen(f1, doubt_of(0.98, 170)) == 0.3


def test_without_anything_found_it_is_one_half() -> None:
    assert chosen(np.zeros(len(THRESHOLDS)), 0.0, 1.0, 2.0) == 0.5
    assert doubt_of(0.0, 0) == 0.0


def test_doubt_shrinks_with_the_number_of_atoms() -> None:
    assert doubt_of(0.9, 40_000) < doubt_of(0.9, 400) == pytest.approx(np.sqrt(41) / 400)


def test_few_held_out_atoms_come_near_the_best_f1_of_many() -> None:
    """Over many draws the rule loses less than the highest F1 of the draw does."""
    rng = np.random.default_rng(0)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        true = rng.random(n) < 0.9
        logit = np.where(true, rng.normal(2.2, 1.0, n), rng.normal(-1.0, 1.0, n))
        return 1 / (1 + np.exp(-logit)), true

    def f1_of(p: np.ndarray, true: np.ndarray) -> np.ndarray:
        above = p[None] >= THRESHOLDS[:, None]
        return 2 * (above & true).sum(1) / (above.sum(1) + true.sum())

    whole = f1_of(*draw(200_000))
    lost, naive = [], []
    for _ in range(200):
        p, true = draw(80)
        f1 = f1_of(p, true)
        # Some labels are wrong, as a user's are.
        told = true & (rng.random(80) > 0.03)
        f1 = f1_of(p, told)
        slope, offset = fit_probability(p, told)
        k = choose_threshold(f1, doubt_of(float(f1.max()), 160), slope, offset)
        lost.append(whole.max() - whole[k])
        best = np.flatnonzero(f1 >= f1.max() - 1e-9)
        naive.append(whole.max() - whole[best[len(best) // 2]])
    assert np.mean(lost) < 0.6 * np.mean(naive)
    assert np.quantile(lost, 0.95) < np.quantile(naive, 0.95)
    assert 0 < calibrated(0.5, slope, offset) < 1
