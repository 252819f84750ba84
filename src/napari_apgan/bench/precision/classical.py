"""Laplacian-of-Gaussian peaks refined by Gaussians, tuned on the training pairs. No network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_laplace, maximum_filter

from napari_apgan.atoms import make_atoms, positions, with_calibration
from napari_apgan.bench.counting import Counts, count
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.maps import default_radius_px
from napari_apgan.measure import match
from napari_apgan.simulate.pairs import SimulatedPair

from .answers import ONLY, Answers, timed
from .cases import Case

Floats = NDArray[np.float64]

#: Training pairs that the search looks at; more change nothing but the time.
SEARCHED = 6
#: Settings searched, lengths in parts of the distance of neighbours.
SIGMAS = (0.12, 0.16, 0.20, 0.24, 0.28, 0.33, 0.40)
APARTS = (0.6, 0.75, 0.85)
LEVELS = tuple(np.arange(0.05, 1.0, 0.05).tolist())
BLURS = (0.0, 0.1, 0.17, 0.25)
WINDOWS = (0.35, 0.5, 0.7)
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


@dataclass(slots=True)
class LogGaussianMethod:
    """Peaks of the Laplacian of Gaussian, each refined by a Gaussian on a constant.

    Missing pixels are filled from their surroundings first. Elements are told apart by the height
    of the peak over the frame's strongest: the nearest of the mean logarithms.
    """

    case: Case
    name: str = "LoG + Gaussian, tuned"
    tuning: Tuning | None = None
    _heights: dict[str, float] = field(default_factory=dict)

    def fit(
        self,
        train: Sequence[SimulatedPair],
        validation: Sequence[SimulatedPair],
        seed: int,
        workdir: Path,
    ) -> float:
        """Search the settings of finder and fit on the first training pairs."""
        begun = time.perf_counter()
        shown = [_Searched.of(made, self.case.polarity) for made in train[:SEARCHED]]
        found = _search_peaks(shown, self.case.tolerance_px)
        self.tuning = _search_fit(shown, found, self.case.tolerance_px)
        self._heights = _learn_heights(shown, self.tuning, self.case)
        return time.perf_counter() - begun

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Return the refined peaks."""
        return [timed(ONLY, lambda: self._find(frame))]

    def find_peaks(self, frame: Frame) -> pd.DataFrame:
        """Return the peaks alone, unrefined."""
        return self._find(frame, refined=False)

    def _find(self, frame: Frame, *, refined: bool = True) -> pd.DataFrame:
        if self.tuning is None:
            raise UserError(f"{self.name} has not been tuned: fit it first.")
        image = filled(frame, self.case.polarity)
        xy, height = log_peaks(image, self.tuning)
        if refined:
            xy = refined_by_gaussians(image, xy, self.tuning)
        names = [self._name(h) for h in height.tolist()]
        return with_calibration(make_atoms(xy, names, origin="detected"), frame.calibration)

    def _name(self, height: float) -> str:
        return min(self._heights, key=lambda n: abs(self._heights[n] - np.log(max(height, 1e-9))))


@dataclass(frozen=True, slots=True)
class _Searched:
    image: Floats
    xy: Floats
    element: NDArray[np.object_]
    spacing_px: float

    @classmethod
    def of(cls, made: SimulatedPair, polarity: str) -> _Searched:
        atoms = made.pair.atoms
        spacing = 4.0 * default_radius_px(atoms)
        image = filled(made.pair.frame, polarity)
        return cls(image, positions(atoms), atoms["element"].to_numpy(dtype=object), spacing)


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
    response = -gaussian_laplace(image, tuning.sigma_px, mode="reflect")
    reach = max(int(tuning.apart_px), 1)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(dx, dy) <= max(tuning.apart_px, 1.0)
    rows, columns = np.nonzero(response == maximum_filter(response, footprint=disc))
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


def _search_peaks(shown: Sequence[_Searched], tolerance_px: float) -> Tuning:
    """Return the finder with the best F1 over the frames."""
    spacing = float(np.median([s.spacing_px for s in shown]))
    best: tuple[float, Tuning] | None = None
    for sigma, apart in product(SIGMAS, APARTS):
        loose = Tuning(sigma * spacing, min(LEVELS), apart * spacing, spacing_px=spacing)
        peaks = [log_peaks(s.image, loose) for s in shown]
        for level in LEVELS:
            total = sum(
                (
                    count(xy[height >= level], s.xy, tolerance_px)
                    for s, (xy, height) in zip(shown, peaks, strict=True)
                ),
                Counts(),
            )
            if best is None or total.f1 > best[0]:
                best = (total.f1, replace(loose, level=level))
    if best is None:
        raise UserError("There is nothing to tune a peak finder on: give training pairs.")
    return best[1]


def _search_fit(shown: Sequence[_Searched], tuning: Tuning, tolerance_px: float) -> Tuning:
    """Return the fit, or none, with the smallest mean error of position."""
    spacing = tuning.spacing_px
    tried = [
        replace(tuning, blur_px=blur * spacing, window_px=window * spacing)
        for blur, window in [(0.0, 0.0), *product(BLURS, WINDOWS)]
    ]
    return min(tried, key=lambda t: _mean_error(shown, t, tolerance_px))


def _mean_error(shown: Sequence[_Searched], tuning: Tuning, tolerance_px: float) -> float:
    errors = []
    for s in shown:
        xy = refined_by_gaussians(s.image, log_peaks(s.image, tuning)[0], tuning)
        i, j = match(xy, s.xy, tolerance_px)
        # What is not found counts with the tolerance, so that no fit wins by losing atoms.
        errors += [np.hypot(*(xy[i] - s.xy[j]).T), np.full(len(s.xy) - len(j), tolerance_px)]
    return float(np.concatenate(errors).mean())


def _learn_heights(shown: Sequence[_Searched], tuning: Tuning, case: Case) -> dict[str, float]:
    """Return the mean logarithm of the relative height of each element's peaks."""
    by_name: dict[str, list[float]] = {name: [] for name in case.elements}
    for s in shown:
        xy, height = log_peaks(s.image, tuning)
        i, j = match(xy, s.xy, case.tolerance_px)
        for name, value in zip(s.element[j].tolist(), height[i].tolist(), strict=True):
            if name in by_name and value > 0:
                by_name[name].append(float(np.log(value)))
    means = {name: float(np.mean(values)) for name, values in by_name.items() if values}
    return means or {case.elements[0]: 0.0}
