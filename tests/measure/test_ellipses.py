"""An ellipse each: as precise as its bound, with right error bars, where peaks are not round."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.measure import refine
from napari_apgan.measure.elliptic import derivatives, draw, peaks

#: One pm a pixel, so that errors in the table are px.
CALIBRATION = Calibration.from_pixel_size(1.0, origin="user")
SIGMAS = ["sigma_x_pm", "sigma_y_pm"]


def lattice(rng, apart, *, ratio=1.5, width=2.0, count=6):
    """Ellipses at random angles, so many widths apart, as (N, 6) rows, and the side of a frame."""
    step = apart * width
    line = 2 * step + step * np.arange(count)
    xy = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    xy += rng.normal(0, 0.2, xy.shape)
    angle, n = rng.uniform(0, np.pi, len(xy)), len(xy)
    shape = np.log(ratio) * np.stack([np.cos(2 * angle), np.sin(2 * angle)], axis=1)
    rows = [rng.uniform(0.8, 1.2, n)[:, None], xy, np.full((n, 1), width), shape]
    return np.concatenate(rows, axis=1), int(line[-1] + 2 * step)


def image_of(p, side, rng, noise):
    """The frame: ellipses on a plane, with white noise."""
    y, x = np.mgrid[:side, :side]
    clean = draw(p, (side, side)).reshape(side, side) + 0.5 + 0.002 * (x - y)
    return clean + rng.normal(0, noise, clean.shape)


def bound_px(p, side, noise):
    """Cramér-Rao bound of x and y with all ellipses of the frame and a plane unknown."""
    y, x = (g.ravel().astype(float) for g in np.mgrid[:side, :side])
    parts = [derivatives(q[None], x[None], y[None])[0] for q in p]
    whole = np.concatenate([*parts, np.stack([np.ones_like(x), x, y], axis=1)], axis=1)
    variance = noise**2 * np.diag(np.linalg.inv(whole.T @ whole))
    return np.sqrt(np.stack([variance[1:-3:6], variance[2:-3:6]], axis=1))


def fitted(p, image, rng):
    start = p[:, 1:3] + rng.normal(0, 0.3, (len(p), 2))
    return refine(make_frame(image, CALIBRATION), make_atoms(start, "A"), shape="ellipse")


def test_derivatives_are_those_of_the_ellipses():
    rng = np.random.default_rng(0)
    p = np.array([[3, 5.2, 4.9, 2.0, 0.3, -0.2], [2, 5, 5, 2.5, 0, 0], [2, 5, 5, 2.5, 2e-3, 1e-3]])
    column, row = rng.uniform(0, 10, (2, 3, 40))
    told = derivatives(p, column, row)
    for k in range(p.shape[1]):
        by = 1e-6 * np.eye(p.shape[1])[k]
        seen = (peaks(p + by, column, row) - peaks(p - by, column, row)) / 2e-6
        np.testing.assert_allclose(told[..., k], seen, atol=1e-7)


# Closer or clearer peaks have cautious bars: the rounds end before the discs agree wholly.
@pytest.mark.parametrize(
    ("apart", "noise", "low", "high"),
    [(2.5, 0.02, 0.63, 1.0), (3.0, 0.05, 0.63, 0.73), (4.0, 0.05, 0.63, 0.73)],
)
def test_ellipses_reach_their_bound_and_say_how_sure_they_are(apart, noise, low, high):
    rng = np.random.default_rng(1)
    error, bound, sigma = [], [], []
    for _ in range(3):
        p, side = lattice(rng, apart)
        table = fitted(p, image_of(p, side, rng, noise), rng)
        good = (table["flag"] == "").to_numpy()
        assert good.mean() > 0.95
        error.append((positions(table) - p[:, 1:3])[good])
        bound.append(bound_px(p, side, noise)[good])
        sigma.append(table[SIGMAS].to_numpy()[good])
    e, b, s = (np.concatenate(parts) for parts in (error, bound, sigma))
    assert np.sqrt(np.mean((e / b) ** 2)) < 1.15
    assert np.abs(e.mean(axis=0)).max() < 3 * e.std() / np.sqrt(len(e))
    assert low < (np.abs(e) < s).mean() < high


def test_round_peaks_are_fitted_as_well_as_by_gaussians():
    rng = np.random.default_rng(2)
    p, side = lattice(rng, 8.0, ratio=1.0, count=5)
    image = image_of(p, side, rng, 0.05)
    start = make_atoms(p[:, 1:3] + rng.normal(0, 0.3, (len(p), 2)), "A")
    rms = {}
    for shape in ("gaussian", "ellipse"):
        table = refine(make_frame(image, CALIBRATION), start, shape=shape)
        assert (table["flag"] == "").all()
        rms[shape] = np.sqrt(np.mean((positions(table) - p[:, 1:3]) ** 2))
    assert rms["ellipse"] < 1.1 * rms["gaussian"]


def test_missing_pixels_take_no_part_and_failures_are_flagged():
    rng = np.random.default_rng(3)
    p, side = lattice(rng, 4.0)
    image = image_of(p, side, rng, 0.03)
    missing = rng.random(image.shape) < 0.15
    gone = tuple(np.rint(p[8, 2:0:-1]).astype(int))
    missing[gone[0] - 4 : gone[0] + 5, gone[1] - 4 : gone[1] + 5] = True
    image[missing] = np.nan
    table = fitted(p, image, rng)
    assert table["flag"].iloc[8] == "fit: too few pixels were measured there"
    assert (table["flag"] == "").mean() > 0.9
    good = (table["flag"] == "").to_numpy()
    assert np.abs((positions(table) - p[:, 1:3])[good]).max() < 0.2
    assert table["width_px"][good].median() == pytest.approx(2.0, abs=0.1)


def test_where_nothing_stands_or_the_border_cuts_a_label_stays():
    rng = np.random.default_rng(4)
    p, side = lattice(rng, 4.0)
    empty = np.array([[5.0, side - 5.0], [0.0, 0.0]])
    start = make_atoms(np.concatenate([p[:, 1:3], empty]), "A")
    image = image_of(p, side, rng, 0.05)
    table = refine(make_frame(image, CALIBRATION), start, shape="ellipse")
    assert table["flag"].iloc[-2:].str.startswith("fit: ").all()
    np.testing.assert_array_equal(positions(table)[-2:], empty)
    assert (table["flag"].iloc[:-2] == "").mean() > 0.95
