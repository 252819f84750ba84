"""Frames of which few pixels were measured: every atom is fitted, with honest error bars."""

from __future__ import annotations

import numpy as np

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.measure import refine, usual_kernel

SIDE = 150
CELL = 13.4
CALIBRATION = Calibration.from_pixel_size(20.0, origin="user")
#: Height and width of a strong and of a weak column.
SHAPES = {"Pb": (1.0, 2.3), "Ti": (0.22, 1.8)}


def sparse_frame(rng, *, kept=0.3, noise=0.12):
    """Strong columns with a weak one in each cage, of which a few pixels were measured."""
    line = np.arange(-2 * CELL, SIDE + 2 * CELL, CELL)
    corners = np.stack(np.meshgrid(line + 0.3, line + 0.1), axis=-1).reshape(-1, 2)
    xy = np.concatenate([corners, corners + CELL / 2])
    element = np.repeat(list(SHAPES), len(corners))
    xy = xy + rng.normal(0, 0.35, xy.shape)
    y, x = np.mgrid[:SIDE, :SIDE]
    image = rng.normal(0, noise, (SIDE, SIDE))
    for (u, v), name in zip(xy, element, strict=True):
        height, width = SHAPES[name]
        image += height * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * width**2))
    image[rng.random(image.shape) > kept] = np.nan
    inside = ((xy > -0.5) & (xy < SIDE - 0.5)).all(axis=1)
    return make_frame(image.astype(np.float32), CALIBRATION), make_atoms(
        xy[inside], element[inside]
    )


def test_atoms_are_fitted_where_few_pixels_were_measured_everywhere():
    frame, atoms = sparse_frame(np.random.default_rng(0))
    refined = refine(frame, atoms)
    assert (refined["flag"] != "").mean() < 0.02


def test_weak_columns_do_not_sharpen_on_the_noise():
    off = []
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        prior = usual_kernel([sparse_frame(rng) for _ in range(3)])
        frame, atoms = sparse_frame(rng)
        refined = refine(frame, atoms, prior=prior)
        error = positions(refined) - positions(atoms)
        bar = refined[["sigma_x_pm", "sigma_y_pm"]].to_numpy() / CALIBRATION.mean_pm
        off.append((error / bar)[(refined["element"] == "Ti").to_numpy()])
    assert np.sqrt(np.square(np.concatenate(off)).mean()) < 2.5
