"""The bench of the fits: its frames and bounds are right, and what it says of the fits holds."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.bench import fits
from napari_apgan.bench.fits import OURS, bench_fits
from napari_apgan.bench.fits_frames import (
    CASES,
    DISPLACED_PX,
    HEIGHT,
    JITTER_PX,
    LEVEL,
    NOISE,
    bound_px,
    scan,
)
from napari_apgan.errors import UserError
from napari_apgan.measure import refine

BY_NAME = {case.name: case for case in CASES}


def test_the_bound_of_a_single_peak_is_the_known_one_and_jitter_adds_to_x_alone():
    made = scan(BY_NAME["single"], 1, 128)
    bound = bound_px(BY_NAME["single"], made)
    xy = positions(made.atoms)
    inner = ((xy > 8) & (xy < 119)).all(axis=1)
    alone = 0.798 * NOISE / HEIGHT  # sqrt(2 / pi) sigma / A
    np.testing.assert_allclose(bound[inner, 1], alone, rtol=0.03)
    # Each row of about 3.5 moved by itself would add jitter / sqrt(3.5), all together all of it.
    added = np.sqrt(bound[inner, 0] ** 2 - bound[inner, 1] ** 2)
    assert (added > 0.4 * JITTER_PX).all()
    assert (added < JITTER_PX).all()


def test_frames_show_what_the_truth_says():
    made = scan(BY_NAME["missing pixels"], 2, 128)
    assert 0.25 < 1 - made.frame.valid.mean() < 0.35
    moved = positions(made.atoms) - made.sites
    assert moved.std() == pytest.approx(DISPLACED_PX, rel=0.15)
    strong = made.atoms[made.atoms["element"] == "A"]
    at = np.rint(positions(strong)).astype(int)
    inside = ((at >= 0) & (at < 128)).all(axis=1)
    values = made.frame.data[at[inside, 1], at[inside, 0]]
    seen = made.frame.valid[at[inside, 1], at[inside, 0]]
    assert np.median(values[seen]) > LEVEL + 0.85 * HEIGHT


def test_single_and_overlapping_peaks_reach_their_bound():
    result = bench_fits(frames=1, side=160, cases=["single", "overlapping"], usual=False)
    print(result.report())
    for name in ("single", "overlapping"):
        line = result.of(name, OURS)
        assert line is not None
        assert line.failed <= 0.01 * line.atoms
        # One small frame: a few hundred errors scatter by some per cent.
        assert line.ratio < 1.2
        assert line.gain == pytest.approx(1.0, abs=0.05)
        assert line.within == pytest.approx(0.68, abs=0.1)
        assert line.bias < 0.35


def test_the_figures_tell_a_shrunk_answer_and_a_shifted_one():
    case = BY_NAME["single"]
    made = scan(case, 3, 128)
    bound = bound_px(case, made)
    found = refine(made.frame, made.atoms)
    shrunk = found.copy()
    shrunk[["x_px", "y_px"]] = made.sites + 0.8 * (positions(found) - made.sites)
    line = fits._judge(case, OURS, [made], [bound], [shrunk], 1.0)
    assert line.gain == pytest.approx(0.8, abs=0.02)
    assert "gain" in line.missed
    shifted = found.assign(x_px=found["x_px"] + 0.1)
    line = fits._judge(case, OURS, [made], [bound], [shifted], 1.0)
    assert line.bias > 0.5
    assert {"bias", "ratio", "within"} <= set(line.missed)


def test_a_case_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="no case 'double'"):
        bench_fits(frames=1, cases=["double"])
