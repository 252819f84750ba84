"""Atoms on an image that nobody has labelled, by the bundled network. Imports torch.

The network names atoms by their contrast alone and draws discs a quarter of the spacing wide, so
spacing and radius are read from its own answer. It knows spacings of 4 to 30 px; an image outside
is shown to it smaller or larger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_apgan.atoms import empty_atoms, positions, with_calibration
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame, Progress
from napari_apgan.measure import find_atoms
from napari_apgan.measure import refine as refine_atoms
from napari_apgan.models.modelfile import Model

from .inference import predict_maps
from .prediction import Box, IsCancelled, Prediction, clip_box
from .resample import maps_to_frame, resample_frame

#: Spacings (px) that the network was shown while it learned.
KNOWN_SPACING_PX = (4.0, 30.0)
#: Frames of other spacings are brought to this one.
GOOD_SPACING_PX = 9.0
#: Times a frame is resampled and looked at again.
TRIES = 2
#: Frames are not enlarged or shrunk more than this.
LARGEST_SCALE = 5.0
#: Radii of discs (px) that training draws, see :func:`napari_apgan.maps.default_radius_px`.
RADIUS_BOUNDS_PX = (1.5, 12.0)
#: Where nothing regular is seen, the frame is looked at this much smaller too, and believed if this
#: many atoms are as sure as this and regular there.
REDUCED, MANY, SURE = 0.3, 12, 0.85
#: Fewer discs than this say nothing of a spacing.
ENOUGH = 5
#: In a lattice the quartiles of the nearest distances differ by less than this part of the median.
MOST_SPREAD = 0.25
#: Probability above which a disc of a lattice is an atom: best on held-out simulated frames.
LATTICE_THRESHOLD = 0.4
#: Where atoms lie anywhere, no neighbour speaks for another, and each must be surer of itself, and
#: the answers to the eight symmetries are averaged. Best on held-out simulated frames of lone atoms
#: and of none.
LONE_THRESHOLD = 0.6
#: Discs narrower than this (px) are noise.
LEAST_AREA_PX = 3
#: At half height most discs must still be parted for their areas to mean anything.
LEAST_PARTED = 0.8
#: Maps are computed this far (px) beyond a wanted box, so that discs at its edge are whole.
MARGIN_PX = 32


@dataclass(frozen=True, slots=True)
class Detection:
    """Atoms found on a frame, and what the search learned about it.

    Parameters
    ----------
    atoms : DataFrame
        Atom table in px of the frame, most probable first; `probability` is filled, `origin` is
        ``detected``.
    map : (Y, X) float32 array
        Probability of an atom on the frame's pixels (of the box).
    spacing_px : float or None
        Median distance of nearest neighbours; None where too few atoms were found.
    radius_px : float
        Of the discs, on the frame.
    scale : float
        Pixels of the network for one of the frame; 1 where it was not resampled.
    sentence : str
        What was found, for the user.
    notes : tuple of str
        What else the user should know.
    box : Box, optional
        The part that was looked at, None for all of the frame.
    """

    atoms: pd.DataFrame
    map: NDArray[np.float32]
    spacing_px: float | None
    radius_px: float
    scale: float
    sentence: str
    notes: tuple[str, ...] = ()
    box: Box | None = None

    def as_prediction(self, calibration: Calibration, element: str = "unknown") -> Prediction:
        """Return it as the prediction of a model whose one element is not known."""
        return Prediction(
            self.map[None],
            self.atoms.assign(origin="predicted"),
            (element,),
            (self.sentence, *self.notes),
            self.box,
            calibration,
        )


@dataclass(frozen=True, slots=True)
class _Look:
    """What the network answered at one scale; positions and sizes in its own px.

    `part` is what it was asked for, `factors` (y, x) are its pixels for one of the frame.
    """

    map: NDArray[np.float32]
    discs: Discs
    atoms: pd.DataFrame
    scale: float
    factors: tuple[float, float]
    part: Box


def detect_with(
    model: Model,
    frame: Frame,
    *,
    polarity: Polarity = "bright",
    box: Sequence[float] | None = None,
    threshold: float | None = None,
    element: str = "unknown",
    refine: bool = False,
    device: str = "auto",
    tile: int | None = None,
    tta: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Detection:
    """Find the atoms of a frame without any label.

    Parameters
    ----------
    model : Model
        One whose elements are contrasts, as the bundled one's are.
    frame : Frame
    polarity : {"bright", "dark"}
        Whether the atoms are brighter or darker than what is around them.
    box : (x0, y0, x1, y1), optional
        In px; only atoms inside are returned.
    threshold : float, optional
        Probability above which a disc is an atom; by default 0.4 where the atoms found are as
        regular as a lattice, and 0.6 where they lie anywhere.
    element : str
        Name that the atoms get.
    refine : bool
        Fit the atoms on the raw image.
    device, tile, tta, progress, cancelled
        See :func:`napari_apgan.predict.inference.predict_maps`; irregular atoms are looked at
        under all symmetries anyway, unless a threshold is given.

    Raises
    ------
    UserError
        When the model tells elements apart, or the frame is too small.
    Cancelled
        When `cancelled` said so.
    """
    if not model.card.by_contrast or polarity not in model.card.element_names:
        raise UserError(
            "Atoms without labels are found by a model that knows bright from dark ones: take "
            "“bundled”, or predict with this one."
        )
    if min(frame.shape) < 16:
        raise UserError("The image is too small to detect atoms on: click them instead.")
    wanted = clip_box(box, frame.shape)
    around = _around(wanted, frame.shape)
    notes = [frame.note] if frame.note else []

    def look(scale: float, least: float, often: bool) -> _Look:
        seen = resample_frame(frame, (scale, scale))
        factors = (seen.shape[0] / frame.shape[0], seen.shape[1] / frame.shape[1])
        part = _scaled_box(around, factors, seen.shape)
        maps = predict_maps(
            model,
            seen,
            device=device,
            tile=tile,
            tta=often,
            box=part,
            progress=progress,
            cancelled=cancelled,
            notes=notes,
        )[model.card.element_names.index(polarity)]
        discs = measure_discs(maps, least)
        valid = seen.valid[part[1] : part[3], part[0] : part[2]]
        atoms = find_atoms(
            maps[None], [element], radius_px=discs.radius_px, threshold=least, valid=valid
        )
        return _Look(maps, discs, atoms, scale, factors, part)

    def settle(first: _Look) -> _Look:
        for _ in range(TRIES):
            better = _better_scale(first.scale, first.discs.spacing_px)
            if better == first.scale:
                break
            first = look(better, least, tta)
        return first

    least = LATTICE_THRESHOLD if threshold is None else threshold
    seen = settle(look(1.0, least, tta))
    if threshold is None and not regular(positions(seen.atoms)):
        # Peaks much wider than any it knows, or atoms that lie anywhere?
        small = look(REDUCED, SURE, tta)
        if len(small.atoms) >= MANY and regular(positions(small.atoms)):
            seen = settle(look(REDUCED, least, tta))
        else:
            seen = look(seen.scale, LONE_THRESHOLD, True)
    discs, scale, factors, part = seen.discs, seen.scale, seen.factors, seen.part
    atoms = _on_frame(seen.atoms, part, factors, frame.shape)
    if refine and len(atoms):
        atoms = refine_atoms(frame, atoms, polarity=polarity)
    atoms = _finished(atoms, frame, wanted)
    native = seen.map
    if factors != (1.0, 1.0):
        native = maps_to_frame(seen.map[None], (part[1], part[0]), around, factors)[0]
    if wanted is not None:
        x0, y0 = wanted[0] - around[0], wanted[1] - around[1]
        native = native[y0 : y0 + wanted[3] - wanted[1], x0 : x0 + wanted[2] - wanted[0]]
    spacing = discs.spacing_px and discs.spacing_px / scale
    return Detection(
        atoms,
        np.ascontiguousarray(native),
        spacing,
        discs.radius_px / scale,
        scale,
        _sentence(len(atoms), polarity, spacing, scale),
        tuple(notes),
        wanted,
    )


def detected_frame(
    model: Model,
    frame: Frame,
    *,
    polarity: Polarity = "bright",
    threshold: float | None = None,
    refine: bool = True,
    box: Sequence[float] | None = None,
    device: str = "auto",
    tile: int | None = None,
    tta: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Prediction:
    """Do for a model that knows atoms by their contrast what `predict_frame` does for others."""
    found = detect_with(
        model,
        frame,
        polarity=polarity,
        box=box,
        threshold=threshold,
        refine=refine,
        device=device,
        tile=tile,
        tta=tta,
        progress=progress,
        cancelled=cancelled,
    )
    return found.as_prediction(frame.calibration)


def regular(xy_px: NDArray[np.float64]) -> bool:
    """Tell whether atoms lie as in a lattice: their nearest distances differ little.

    Parameters
    ----------
    xy_px : (N, 2) array
        x, y in px.
    """
    if len(xy_px) < ENOUGH:
        return False
    distance = np.asarray(cKDTree(xy_px).query(xy_px, k=2)[0])[:, 1]
    low, middle, high = np.percentile(distance, [25, 50, 75])
    return bool(high - low < MOST_SPREAD * middle)


@dataclass(frozen=True, slots=True)
class Discs:
    """Sizes read from a map: median distance of neighbours (None: too few), radius, in its px."""

    spacing_px: float | None
    radius_px: float


def measure_discs(values: NDArray[np.floating], threshold: float) -> Discs:
    """Measure the discs of a map without knowing how large they are.

    Connected pixels above the threshold are discs; their areas give the radius, their centres the
    spacing.

    Parameters
    ----------
    values : (Y, X) array
        Probabilities.
    threshold : float
    """
    above = values > threshold
    labels, count = ndimage.label(above)
    least, most = RADIUS_BOUNDS_PX
    if not count:
        return Discs(None, least)
    areas = np.bincount(labels.ravel())[1:]
    solid = np.flatnonzero(areas >= LEAST_AREA_PX)
    if not len(solid):
        return Discs(None, least)
    area = float(np.median(areas[solid]))
    # A disc's edge lies at half its height, which need not be where the threshold is.
    heights = ndimage.maximum(values, labels, solid + 1)
    half = values > 0.5 * float(np.median(heights))
    whole = np.bincount(ndimage.label(half)[0].ravel())[1:]
    whole = whole[whole >= LEAST_AREA_PX]
    if len(whole) >= LEAST_PARTED * len(solid):
        area = float(np.median(whole))
    radius = float(np.clip(math.sqrt(area / math.pi), least, most))
    if len(solid) < ENOUGH:
        return Discs(None, radius)
    centres = np.array(ndimage.center_of_mass(above, labels, solid + 1))
    distance = np.asarray(cKDTree(centres).query(centres, k=2)[0])[:, 1]
    return Discs(float(np.median(distance)), radius)


def _better_scale(scale: float, spacing_px: float | None) -> float:
    """Return the scale to look again at; the same where the spacing is one the network knows."""
    low, high = KNOWN_SPACING_PX
    if spacing_px is None or low <= spacing_px <= high:
        return scale
    wanted = scale * GOOD_SPACING_PX / spacing_px
    return float(np.clip(wanted, 1 / LARGEST_SCALE, LARGEST_SCALE))


def _around(wanted: Box | None, shape: tuple[int, int]) -> Box:
    """Return a box with a margin, inside a frame of (rows, columns)."""
    if wanted is None:
        return 0, 0, shape[1], shape[0]
    return (
        max(wanted[0] - MARGIN_PX, 0),
        max(wanted[1] - MARGIN_PX, 0),
        min(wanted[2] + MARGIN_PX, shape[1]),
        min(wanted[3] + MARGIN_PX, shape[0]),
    )


def _scaled_box(box: Box, factors: tuple[float, float], shape: tuple[int, int]) -> Box:
    """Return the pixels of the resampled frame (rows, columns) under a box, and two around it."""
    if factors == (1.0, 1.0):
        return box
    fy, fx = factors
    return (
        max(math.floor(box[0] * fx) - 2, 0),
        max(math.floor(box[1] * fy) - 2, 0),
        min(math.ceil(box[2] * fx) + 2, shape[1]),
        min(math.ceil(box[3] * fy) + 2, shape[0]),
    )


def _on_frame(
    atoms: pd.DataFrame, part: Box, factors: tuple[float, float], shape: tuple[int, int]
) -> pd.DataFrame:
    """Bring positions on the map to px of the frame."""
    xy = (positions(atoms) + part[:2] + 0.5) / factors[::-1] - 0.5
    inside = ((xy >= -0.5) & (xy < np.array(shape[::-1]) - 0.5)).all(axis=1)
    moved = atoms.copy()
    moved[["x_map_px", "y_map_px"]] = xy
    moved[["x_px", "y_px"]] = xy
    return moved.iloc[np.flatnonzero(inside)].reset_index(drop=True)


def _finished(atoms: pd.DataFrame, frame: Frame, wanted: Box | None) -> pd.DataFrame:
    """Keep the atoms of the box, number them, and give positions in pm."""
    if wanted is not None and len(atoms):
        xy = atoms[["x_map_px", "y_map_px"]].to_numpy(np.float64) + 0.5
        inside = ((xy >= wanted[:2]) & (xy < wanted[2:])).all(axis=1)
        atoms = atoms.iloc[np.flatnonzero(inside)].reset_index(drop=True)
    if not len(atoms):
        return empty_atoms()
    atoms = atoms.assign(frame=frame.index, id=np.arange(len(atoms)), origin="detected")
    return with_calibration(atoms, frame.calibration)


def _sentence(count: int, polarity: Polarity, spacing_px: float | None, scale: float) -> str:
    other = "dark" if polarity == "bright" else "bright"
    if not count:
        return f"No {polarity} atom was found; look for {other} ones, or click some and train."
    text = f"{count} {polarity} atom{'s' * (count > 1)} found"
    if spacing_px is not None:
        text += f", {spacing_px:.3g} px apart"
    if scale != 1.0:
        text += f"; the network saw the image {'enlarged' if scale > 1 else 'reduced'} "
        text += f"{max(scale, 1 / scale):.2g} times"
    return text + "."
