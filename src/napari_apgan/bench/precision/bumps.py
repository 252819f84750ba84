"""Bumps on an image, each by itself: peaks of the Laplacian of Gaussian, and Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_laplace, maximum_filter

from napari_apgan.frames import Frame

Floats = NDArray[np.float64]

#: Peaks fainter than this part of the strongest are none.
FAINTEST = 1e-3
#: Steps of the fit, and the widths it may take, in parts of the distance of neighbours.
STEPS = 12
WIDTHS = (0.08, 0.6)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the search chose (px).

    Parameters
    ----------
    sigma_px : float
        Of the Laplacian of Gaussian.
    level : float
        Height of a peak over the mean of the frame's strongest.
    apart_px : float
        A peak is the largest value within this distance.
    blur_px : float
        Of the image before the fit.
    window_px : float
        Radius of the disc that a Gaussian is fitted in; 0: the peak of the Laplacian stays.
    spacing_px : float
        Distance of neighbours.
    """

    sigma_px: float
    level: float
    apart_px: float
    blur_px: float = 0.0
    window_px: float = 0.0
    spacing_px: float = 6.0

    def __str__(self) -> str:
        fit = f"Gaussians in discs of {self.window_px:.1f} px" if self.window_px else "no fit"
        blur = f" after a blur of {self.blur_px:.1f} px" if self.window_px and self.blur_px else ""
        return f"LoG {self.sigma_px:.1f} px, above {self.level:.2f}, {fit}{blur}"


def filled(frame: Frame, polarity: str) -> Floats:
    """Return the image with atoms bright and missing pixels filled by the mean of those around."""
    image = frame.data.astype(np.float64) * (1.0 if polarity == "bright" else -1.0)
    if frame.valid.all():
        return image
    weight = frame.valid.astype(np.float64)
    level = float(image[frame.valid].mean())
    near = gaussian_filter(weight, 1.0)
    local = gaussian_filter((image - level) * weight, 1.0) / np.maximum(near, 1e-6)
    return np.where(frame.valid, image, level + np.where(near > 1e-3, local, 0.0))


def log_peaks(image: Floats, tuning: Tuning) -> tuple[Floats, Floats]:
    """Return (N, 2) peaks of the Laplacian of Gaussian, and their relative heights.

    Positions are refined by a parabola along each axis.
    """
    # The cut kernel does not quite sum to zero, so the level comes off first.
    level = float(np.median(image))
    response = -gaussian_laplace(image - level, tuning.sigma_px, mode="reflect")
    reach = max(int(tuning.apart_px), 1)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(dx, dy) <= max(tuning.apart_px, 1.0)
    # Rounding makes peaks of plateaus.
    real = response > max(FAINTEST * float(response.max()), 1e-9 * abs(level))
    rows, columns = np.nonzero((response == maximum_filter(response, footprint=disc)) & real)
    height = response[rows, columns]
    if not len(height):
        return np.zeros((0, 2)), np.zeros(0)
    strongest = float(np.sort(height)[-max(len(height) // 5, 5) :].mean())
    relative = height / max(strongest, 1e-30)
    kept = relative >= tuning.level
    rows, columns, height = rows[kept], columns[kept], height[kept]
    padded = np.pad(response, 1, mode="edge")
    y, x = rows + 1, columns + 1
    xy = np.column_stack(
        [
            columns + _vertex(padded[y, x - 1], height, padded[y, x + 1]),
            rows + _vertex(padded[y - 1, x], height, padded[y + 1, x]),
        ]
    )
    return xy, relative[kept]


def _vertex(before: Floats, at: Floats, after: Floats) -> Floats:
    bend = 2 * at - before - after
    shift: Floats = np.where(bend > 0, 0.5 * (after - before) / np.where(bend > 0, bend, 1.0), 0.0)
    return np.clip(shift, -0.5, 0.5)


def refined_by_gaussians(image: Floats, xy: Floats, tuning: Tuning) -> Floats:
    """Fit a round Gaussian on a constant to each peak by itself, all in step.

    ``A exp(-r² / 2 s²) + b`` in a disc about the peak, by Gauss-Newton steps with a little damping
    (D. W. Marquardt, J. Soc. Ind. Appl. Math. 11 (1963) 431). Where the fit leaves its disc, the
    peak stays.
    """
    if not tuning.window_px or not len(xy):
        return xy
    source = gaussian_filter(image, tuning.blur_px) if tuning.blur_px else image
    reach = int(np.ceil(tuning.window_px))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(dx, dy) <= tuning.window_px
    base = np.rint(xy).astype(np.intp)
    px, py = base[:, :1] + dx[disc], base[:, 1:] + dy[disc]
    inside = (px >= 0) & (px < image.shape[1]) & (py >= 0) & (py < image.shape[0])
    values = source[py.clip(0, image.shape[0] - 1), px.clip(0, image.shape[1] - 1)]
    spacing = tuning.spacing_px
    level = np.where(inside, values, np.inf).min(axis=1)
    top = np.where(inside, values, -np.inf).max(axis=1)
    p = np.stack([top - level, xy[:, 0], xy[:, 1], np.full(len(xy), 0.25 * spacing), level], axis=1)
    for _ in range(STEPS):
        p = _step(p, px, py, values, inside, spacing)
    moved = np.hypot(p[:, 1] - xy[:, 0], p[:, 2] - xy[:, 1])
    good = np.isfinite(p).all(axis=1) & (moved < tuning.window_px) & (p[:, 0] > 0)
    return np.where(good[:, None], p[:, 1:3], xy)


def _step(
    p: Floats,
    px: NDArray[np.intp],
    py: NDArray[np.intp],
    values: Floats,
    inside: NDArray[np.bool_],
    spacing: float,
) -> Floats:
    """Take one step of all fits; parameters are A, x, y, s, b."""
    a, x, y, s, b = (column[:, None] for column in p.T)
    u, v = px - x, py - y
    bump = np.exp(-(u**2 + v**2) / (2 * s**2))
    slopes = np.stack(
        [
            bump,
            a * bump * u / s**2,
            a * bump * v / s**2,
            a * bump * (u**2 + v**2) / s**3,
            0 * bump + 1,
        ],
        axis=2,
    )
    slopes *= inside[:, :, None]
    residual = (values - a * bump - b) * inside
    normal = slopes.transpose(0, 2, 1) @ slopes
    diagonal = np.einsum("nkk->nk", normal)
    normal[:, np.arange(5), np.arange(5)] += 1e-2 * diagonal + 1e-12 * diagonal.max() + 1e-30
    step = np.linalg.solve(normal, (slopes.transpose(0, 2, 1) @ residual[:, :, None]))[:, :, 0]
    step[:, 1:3] = np.clip(step[:, 1:3], -0.15 * spacing, 0.15 * spacing)
    after = p + step
    after[:, 3] = np.clip(after[:, 3], WIDTHS[0] * spacing, WIDTHS[1] * spacing)
    return after
