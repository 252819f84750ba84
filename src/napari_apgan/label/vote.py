"""Maps of elements, from X-rays or electrons' losses, vote for the element of each atom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_apgan.atoms import positions
from napari_apgan.doubts import UNDECIDED, add_doubt, without_doubt
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.measure.surroundings import nearest_spacing_px

from .mixture import find_kinds

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Maps are read with a Gaussian of this part of the distance of neighbours.
READ_WITH = 0.3
#: Atoms whose best element has less probability are to be looked at.
SURE = 0.9
#: Two scales that differ by more than this part do not describe one field of view.
SAME_FIELD = 0.02
#: Largest shift that is looked for, in distances of neighbours: beyond it the lattice repeats.
REACH, STEP = 0.5, 0.05


@dataclass(frozen=True, slots=True)
class Registration:
    """Where a position of the frame lies on a map: ``(xy + 0.5) * scale - 0.5 + shift``.

    Parameters
    ----------
    scale : (float, float)
        Pixels of the map for one of the frame, along x and y.
    shift_px : (float, float)
        In pixels of the map.
    how : str
        Where the scale came from, for the user.
    """

    scale: tuple[float, float]
    shift_px: tuple[float, float] = (0.0, 0.0)
    how: str = ""

    def to_map(self, xy_px: ArrayLike) -> Floats:
        """Return (N, 2) positions x, y in px of the map."""
        xy = np.asarray(xy_px, dtype=np.float64).reshape(-1, 2)
        placed: Floats = (xy + 0.5) * self.scale - 0.5 + self.shift_px
        return placed


def register(
    frame: Frame, chart: Frame, *, shift_px: tuple[float, float] = (0.0, 0.0)
) -> Registration:
    """Find the scale between a frame and a map.

    By the pixel sizes when both are known, else by one field of view.

    Parameters
    ----------
    frame : Frame
    chart : Frame
        The map, as an image.
    shift_px : (float, float)
        Of the map against the frame, in pixels of the map.

    Raises
    ------
    UserError
        When a pixel size is unknown and the images have different aspects.
    """
    a, b = frame.calibration, chart.calibration
    if a.known and b.known:
        scale = (_ratio(a.x_pm, b.x_pm), _ratio(a.y_pm, b.y_pm))
        return Registration(scale, shift_px, "by the pixel sizes")
    y, x = (m / n for m, n in zip(chart.shape, frame.shape, strict=True))
    if abs(x / y - 1) > SAME_FIELD:
        raise UserError(
            "The map has another aspect than the image, and not both have a pixel size: give both "
            "pixel sizes."
        )
    return Registration((x, y), shift_px, "taken for the same field of view")


def _ratio(a: float | None, b: float | None) -> float:
    return float(a or 1.0) / float(b or 1.0)


def find_shift(chart: Frame, xy_px: ArrayLike, registration: Registration) -> Registration:
    """Find the shift under which the atoms that should be on a map stand on its brightest places.

    Parameters
    ----------
    chart : Frame
    xy_px : (N, 2) array
        Atoms on the frame that the map should show.
    registration : Registration
        To begin with; moves by no more than half a distance of neighbours.
    """
    at = registration.to_map(xy_px)
    spacing = nearest_spacing_px(at)
    image = _smoothed(chart, READ_WITH * spacing)
    steps = np.arange(-REACH, REACH + STEP / 2, STEP) * spacing
    total = np.array(
        [[_read(image, at + np.array([dx, dy])).mean() for dx in steps] for dy in steps]
    )
    row, column = np.unravel_index(int(total.argmax()), total.shape)
    x, y = registration.shift_px
    moved = (x + float(steps[column]), y + float(steps[row]))
    return Registration(registration.scale, moved, registration.how)


@dataclass(frozen=True)
class Vote:
    """What maps say about atoms.

    Parameters
    ----------
    atoms : DataFrame
        A copy with `element`, `confidence` (its probability, or that no map shows the atom) and
        `flag` where the maps do not decide; atoms outside the maps are as they were.
    intensity : (N, E) array
        Read from each map; NaN outside.
    probability : (N, E) array
        Of each element.
    elements : tuple of str
    doubtful : (M,) int array
        Rows to look at, the least sure first.
    note : str
    """

    atoms: pd.DataFrame
    intensity: Floats
    probability: Floats
    elements: tuple[str, ...]
    doubtful: Ints
    note: str


def vote(
    frame: Frame,
    atoms: pd.DataFrame,
    maps: Mapping[str, Frame],
    *,
    registration: Registration | None = None,
    sure: float = SURE,
) -> Vote:
    """Let maps of elements vote for the element of each atom.

    Each map is read around each atom; over all atoms its readings fall into two kinds, with and
    without the element (a mixture of two Gaussians in the root of the counts, whose noise is the
    same everywhere). Of the elements the most probable one wins; an atom that is on no map keeps
    the element it has.

    Parameters
    ----------
    frame : Frame
        That the atoms stand on.
    atoms : DataFrame
    maps : mapping
        Counts of each element.
    registration : Registration, optional
        By default :func:`register` for each map.
    sure : float
        Atoms with a lower probability are flagged.

    Raises
    ------
    UserError
        When there is no map, fewer than eight atoms lie on one, or sizes do not fit.
    """
    if not maps:
        raise UserError("There is no map of an element to vote: load one as a second image.")
    names = tuple(maps)
    xy = positions(atoms)
    if len(xy) < 8:
        raise UserError("Maps vote by comparing atoms: mark at least eight.")
    spacing = nearest_spacing_px(xy)
    reading = np.full((len(xy), len(names)), np.nan)
    how = ""
    for column, name in enumerate(names):
        chart = maps[name]
        placed = registration or register(frame, chart)
        how = placed.how
        at = placed.to_map(xy)
        rows, columns = chart.shape
        on = ((at >= -0.5) & (at <= np.array([columns, rows]) - 0.5)).all(axis=1)
        if on.sum() < 8:
            raise UserError(f"Fewer than eight atoms lie on the map of {name}: check its shift.")
        image = _smoothed(chart, READ_WITH * spacing * float(np.mean(placed.scale)))
        reading[on, column] = _read(image, at[on])
    judged = np.isfinite(reading).all(axis=1)
    log_odds = np.zeros((int(judged.sum()), len(names)))
    for column in range(len(names)):
        log_odds[:, column] = _log_odds(reading[judged, column])
    probability = np.full(reading.shape, np.nan)
    probability[judged] = _share(log_odds)[:, :-1]
    mute = [name for name, odds in zip(names, log_odds.T, strict=True) if not odds.any()]
    made = _decide(atoms, names, reading, probability, judged, sure, how)
    if not mute:
        return made
    said = f"{made.note} The map of {', '.join(mute)} tells no atoms apart and has no vote."
    return replace(made, note=said)


def _decide(
    atoms: pd.DataFrame,
    names: tuple[str, ...],
    reading: Floats,
    probability: Floats,
    judged: NDArray[np.bool_],
    sure: float,
    how: str,
) -> Vote:
    """Write the winners into a copy of the table."""
    out = atoms.reset_index(drop=True).copy()
    each = np.nan_to_num(probability)
    none = 1.0 - each.sum(axis=1)
    named = judged & (each.max(axis=1) > none)
    confidence = np.where(judged, np.maximum(each.max(axis=1), none), np.nan)
    element = out["element"].to_numpy(dtype=object)
    element[named] = np.array(names, dtype=object)[each.argmax(axis=1)[named]]
    unsure = judged & (confidence < sure)
    flag = out["flag"].to_numpy(dtype=object)
    flag[judged] = [without_doubt(f) for f in flag[judged]]
    flag[unsure] = [add_doubt(f, UNDECIDED) for f in flag[unsure]]
    kept = out["confidence"].to_numpy(np.float64)
    out = out.assign(element=element, confidence=np.where(judged, confidence, kept), flag=flag)
    doubtful = np.flatnonzero(unsure)
    note = (
        f"{int(named.sum())} of {int(judged.sum())} atoms were named by {len(names)} "
        f"map{'s' * (len(names) > 1)} (registered {how}); {len(doubtful)} are unsure."
    )
    return Vote(
        out,
        reading,
        probability,
        names,
        doubtful[np.argsort(confidence[doubtful], kind="stable")].astype(np.int64),
        note,
    )


def _log_odds(reading: Floats) -> Floats:
    """Return for each atom the logarithm of the odds that it holds the element of a map."""
    value = np.sqrt(np.maximum(reading, 0.0))
    spread = float(value.std())
    if spread <= 1e-12:
        return np.zeros(len(value))
    scaled = (value - value.mean()) / spread
    two = find_kinds(scaled, exactly=2)
    if two.bic >= find_kinds(scaled, exactly=1).bic:  # the element is everywhere, or nowhere
        return np.zeros(len(value))
    mean, width = two.means[:, 0], two.spreads[:, 0]
    # One common width: of two the wider one would win at both ends.
    common = float(np.sqrt((two.shares * width**2).sum()))
    odds: Floats = (mean[1] - mean[0]) * (scaled - 0.5 * (mean[0] + mean[1])) / common**2
    return odds


def _share(log_odds: Floats) -> Floats:
    """Return (N, E + 1) probabilities of one of the elements, or, in the last column, of none."""
    odds = np.concatenate([log_odds, np.zeros((len(log_odds), 1))], axis=1)
    weight = np.exp(odds - odds.max(axis=1, keepdims=True))
    shares: Floats = weight / weight.sum(axis=1, keepdims=True)
    return shares


def _smoothed(chart: Frame, sigma_px: float) -> Floats:
    """Smooth a map over its valid pixels."""
    weight = chart.valid.astype(np.float64)
    total = gaussian_filter(chart.data * weight, max(sigma_px, 0.4), mode="nearest")
    smooth: Floats = total / np.maximum(
        gaussian_filter(weight, max(sigma_px, 0.4), mode="nearest"), 1e-6
    )
    return smooth


def _read(image: Floats, xy_px: Floats) -> Floats:
    at: Floats = map_coordinates(image, xy_px.T[::-1], order=1, mode="nearest")
    return at
