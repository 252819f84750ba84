"""Atoms on an image that nobody has labelled, by the bundled network. Imports torch.

The network names atoms by their contrast alone and draws discs a quarter of the spacing wide, so
spacing and radius are read from its own answer. It knows spacings of 4 to 30 px; an image outside
is shown to it smaller or larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import positions
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame, Progress
from napari_apgan.measure import find_atoms
from napari_apgan.measure import refine as refine_atoms
from napari_apgan.measure.spread import measure_spread
from napari_apgan.models.modelfile import Model

from .answer import Answer, finish, on_frame
from .discs import Discs, measure_discs, regular
from .inference import ask, choose_device
from .prediction import Box, IsCancelled, Prediction, Uncertainty, clip_box, cut_out, widened
from .running import Symmetries, Way
from .uncertainty import map_deviation

#: Spacings (px) that the network was shown while it learned.
KNOWN_SPACING_PX = (4.0, 30.0)
#: Frames of other spacings are brought to this one.
GOOD_SPACING_PX = 9.0
#: Times a frame is resampled and looked at again.
TRIES = 2
#: Frames are not enlarged or shrunk more than this.
LARGEST_SCALE = 5.0
#: Where nothing regular is seen, the frame is looked at this much smaller too, and believed if this
#: many atoms are as sure as this and regular there.
REDUCED, MANY, SURE = 0.3, 12, 0.85
#: Probability above which a disc of a lattice is an atom: best on held-out simulated frames.
LATTICE_THRESHOLD = 0.4
#: Where atoms lie anywhere, no neighbour speaks for another, and each must be surer of itself, and
#: the answers to the eight symmetries are averaged. Best on held-out simulated frames of lone atoms
#: and of none.
LONE_THRESHOLD = 0.6
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
    deviation : (Y, X) float32 array, optional
        Standard deviation of the map's pixels, where it was asked for.
    """

    atoms: pd.DataFrame
    map: NDArray[np.float32]
    spacing_px: float | None
    radius_px: float
    scale: float
    sentence: str
    notes: tuple[str, ...] = ()
    box: Box | None = None
    deviation: NDArray[np.float32] | None = None

    def as_prediction(self, calibration: Calibration, element: str = "unknown") -> Prediction:
        """Return it as the prediction of a model that knows one element, called `element`."""
        return Prediction(
            self.map[None],
            self.atoms.assign(origin="predicted"),
            (element,),
            (self.sentence, *self.notes),
            self.box,
            calibration,
            None if self.deviation is None else self.deviation[None],
        )


class _Look(NamedTuple):
    """What the network answered at one scale: its one map, and sizes and atoms in its own px.

    `deviation` is that of the map over the symmetries, where these were looked at for it.
    """

    answer: Answer
    deviation: Answer | None
    discs: Discs
    atoms: pd.DataFrame
    scale: float


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
    uncertainty: Uncertainty = "none",
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
    uncertainty : {"none", "map", "symmetry"}
        See :func:`napari_apgan.predict.inference.predict_frame`.

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
    around = widened(wanted, MARGIN_PX, frame.shape)
    notes = [frame.note] if frame.note else []
    way = Way(device=choose_device(device), tile=tile, progress=progress, cancelled=cancelled)
    names = model.card.element_names
    channel = names.index(polarity)

    def look(scale: float, least: float, often: bool) -> _Look:
        over: Symmetries = "spread" if uncertainty == "symmetry" else "mean" if often else "none"
        how = replace(way, symmetries=over)
        whole = ask(model, frame, around, how, notes, scale=(scale, scale))
        answer = replace(whole, maps=whole.maps[channel, None])
        deviation = None
        if over == "spread":
            deviation = replace(whole, maps=whole.maps[len(names) + channel, None])
        discs = measure_discs(answer.maps[0], least)
        atoms = find_atoms(
            answer.maps,
            [element],
            radius_px=discs.radius_px,
            threshold=least,
            valid=answer.valid,
        )
        return _Look(answer, deviation, discs, atoms, scale)

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
    if uncertainty == "map":
        seen = _with_deviation(seen, element)
    atoms = on_frame(seen.atoms, seen.answer, frame.shape)
    if refine and len(atoms):
        atoms = refine_atoms(frame, atoms, polarity=polarity)
    atoms = finish(atoms, frame, wanted).assign(origin="detected")
    discs, scale = seen.discs, seen.scale
    spacing = discs.spacing_px and discs.spacing_px / scale
    return Detection(
        atoms,
        cut_out(seen.answer.on_frame(), around, wanted)[0],
        spacing,
        discs.radius_px / scale,
        scale,
        _sentence(len(atoms), polarity, spacing, scale),
        tuple(notes),
        wanted,
        None if seen.deviation is None else cut_out(seen.deviation.on_frame(), around, wanted)[0],
    )


def _with_deviation(look: _Look, element: str) -> _Look:
    """Have the map tell the deviation of its own pixels."""
    maps, radius = look.answer.maps, {element: look.discs.radius_px}
    spread = measure_spread(maps, [element], look.atoms, radius)
    drawn = map_deviation(maps, [element], look.atoms, spread, radius)
    return look._replace(deviation=replace(look.answer, maps=drawn))


def _better_scale(scale: float, spacing_px: float | None) -> float:
    """Return the scale to look again at; the same where the spacing is one the network knows."""
    low, high = KNOWN_SPACING_PX
    if spacing_px is None or low <= spacing_px <= high:
        return scale
    wanted = scale * GOOD_SPACING_PX / spacing_px
    return float(np.clip(wanted, 1 / LARGEST_SCALE, LARGEST_SCALE))


def _sentence(count: int, polarity: Polarity, spacing_px: float | None, scale: float) -> str:
    other = "dark" if polarity == "bright" else "bright"
    if not count:
        return f"No {polarity} atom was found; look for {other} ones, or click some and train."
    text = f"{count:,} {polarity} atom{'s' * (count > 1)} found"
    if spacing_px is not None:
        text += f", {spacing_px:.3g} px apart"
    if scale != 1.0:
        text += f"; the network saw the image {'enlarged' if scale > 1 else 'reduced'} "
        text += f"{max(scale, 1 / scale):.2g} times"
    return text + "."
