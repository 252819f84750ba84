"""Run a model on a frame: tiled, seamless, at the model's own pixel size. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Progress
from napari_apgan.measure import find_atoms
from napari_apgan.measure.spread import measure_spread
from napari_apgan.models.modelfile import Model

from .answer import Answer, finish, on_frame, refined
from .prediction import (
    Box,
    Cancelled,
    IsCancelled,
    Prediction,
    Uncertainty,
    clip_box,
    cut_out,
    widened,
)
from .resample import network_box, network_scale, resample_frame
from .running import Way, run_network
from .uncertainty import map_deviation, with_error_bars

#: Maps and atoms this far (px) outside a wanted box are computed too, so that atoms at its edge
#: are read whole and fitted together with their neighbours.
FIT_MARGIN = 32


def choose_device(wanted: str = "auto") -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:1` or `mps` into a device that is there.

    Raises
    ------
    UserError
        When it is not.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise UserError(f"{wanted!r} is no device: choose auto, cpu, cuda or mps.") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise UserError(f"This computer has no device {wanted!r}: choose auto or cpu.")
    return device


def predict_maps(
    model: Model,
    frame: Frame,
    *,
    device: str = "auto",
    tile: int | None = None,
    tta: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
    box: Sequence[float] | None = None,
    notes: list[str] | None = None,
) -> NDArray[np.float32]:
    """Compute the probability maps of a frame.

    The frame is resampled to the pixel size that the model was trained at, normalised once as a
    whole, and cut into tiles that see beyond their edges as far as the network does, so the
    answer does not depend on the tiles.

    Parameters
    ----------
    model : Model
    frame : Frame
    device : str
        See :func:`choose_device`.
    tile : int, optional
        Side of a tile in the network's px; chosen by the cost of the network when left out.
    tta : bool
        Average over the eight mirror images and quarter turns.
    progress : callable, optional
        Called after each tile.
    cancelled : callable, optional
        Asked before each tile and each layer.
    box : (x0, y0, x1, y1), optional
        In px of the frame; only this part is computed and returned.
    notes : list of str, optional
        Sentences for the user are appended to it.

    Returns
    -------
    (C, Y, X) float32 array, 0..1
        On the pixels of the frame (of the box).

    Raises
    ------
    UserError
        When the pixel sizes cannot belong together, the device is missing, or memory does not
        suffice even for the smallest tile on the CPU.
    Cancelled
        When `cancelled` said so.
    """
    wanted = clip_box(box, frame.shape) or (0, 0, frame.shape[1], frame.shape[0])
    way = Way(
        device=choose_device(device),
        tile=tile,
        symmetries="mean" if tta else "none",
        progress=progress,
        cancelled=cancelled,
    )
    return ask(model, frame, wanted, way, [] if notes is None else notes).on_frame()


def ask(
    model: Model,
    frame: Frame,
    wanted: Box,
    way: Way,
    notes: list[str],
    *,
    scale: tuple[float, float] | None = None,
) -> Answer:
    """Resample the frame, and have the network answer for the wanted box.

    Parameters
    ----------
    model : Model
    frame : Frame
    wanted : Box
    way : Way
    notes : list of str
        Sentences for the user are appended to it.
    scale : (y, x), optional
        Pixels of the network for one of the frame; those that the pixel sizes say when left out.

    Raises
    ------
    UserError, Cancelled
        As :func:`predict_maps`.
    """
    if scale is None:
        scale, note = network_scale(frame.calibration, model.card.pixel_size_pm)
        if note:
            notes.append(note)
    seen = resample_frame(frame, scale)
    factors = (seen.shape[0] / frame.shape[0], seen.shape[1] / frame.shape[1])
    inner = network_box(wanted, factors, seen.shape)
    maps = run_network(model, seen, inner, way, notes)
    x0, y0, x1, y1 = inner
    return Answer(maps, seen.valid[y0:y1, x0:x1], (x0, y0), factors, wanted)


def predict_frame(
    model: Model,
    frame: Frame,
    *,
    threshold: float | None = None,
    refine: bool = True,
    box: Sequence[float] | None = None,
    device: str = "auto",
    tile: int | None = None,
    tta: bool = False,
    uncertainty: Uncertainty = "none",
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Prediction:
    """Compute the maps of a frame and read its atoms.

    Parameters
    ----------
    model, frame, device, tile, tta, progress, cancelled
        See :func:`predict_maps`.
    threshold : float, optional
        Probability above which a disc is an atom; by default the one on the model's card.
    refine : bool
        Fit the atoms on the raw image; positions are the maps' where that fails or is not wanted.
    box : (x0, y0, x1, y1), optional
        In px; only atoms inside are returned. The maps are computed a little beyond it, so that
        atoms at its edge are read and fitted like any other.
    uncertainty : {"none", "map", "symmetry"}
        Where the deviation of each pixel comes from. ``map``: from the maps themselves, which costs
        nothing; ``symmetry``: from the answers to the eight symmetries, over which the maps are
        then averaged as with `tta`. Error bars and confidence of the atoms come with every
        prediction.

    Returns
    -------
    Prediction

    Raises
    ------
    UserError
        When `uncertainty` is none of these, and as :func:`predict_maps`.
    """
    if uncertainty not in get_args(Uncertainty):
        raise UserError(f"uncertainty takes none, map or symmetry, not {uncertainty!r}.")
    notes = [frame.note] if frame.note else []
    wanted = clip_box(box, frame.shape)
    around = widened(wanted, FIT_MARGIN, frame.shape)
    symmetries = uncertainty == "symmetry"
    way = Way(
        device=choose_device(device),
        tile=tile,
        symmetries="spread" if symmetries else "mean" if tta else "none",
        progress=progress,
        cancelled=cancelled,
    )
    answer = ask(model, frame, around, way, notes)
    answer, deviation = _parted(answer) if symmetries else (answer, None)
    names = tuple(model.card.element_names)
    # Positions are read on the network's own pixels, where the discs are what it learned to draw.
    atoms = find_atoms(
        answer.maps,
        names,
        radius_px=model.card.radius_px,
        threshold=model.card.threshold if threshold is None else threshold,
        valid=answer.valid,
    )
    spread = measure_spread(answer.maps, names, atoms, model.card.radius_px)
    if uncertainty == "map":
        drawn = map_deviation(answer.maps, names, atoms, spread, model.card.radius_px)
        deviation = replace(answer, maps=drawn)
    atoms = with_error_bars(atoms, spread, model.card, answer.factors, frame.calibration)
    atoms = on_frame(atoms, answer, frame.shape)
    if refine and len(atoms):
        if cancelled is not None and cancelled():
            raise Cancelled
        atoms = refined(frame, atoms, around, model.card)
    atoms = finish(atoms, frame, wanted)
    return Prediction(
        cut_out(answer.on_frame(), around, wanted),
        atoms,
        names,
        tuple(notes),
        wanted,
        frame.calibration,
        None if deviation is None else cut_out(deviation.on_frame(), around, wanted),
    )


def _parted(answer: Answer) -> tuple[Answer, Answer]:
    """Part an answer into its maps and their deviations."""
    n = len(answer.maps) // 2
    return replace(answer, maps=answer.maps[:n]), replace(answer, maps=answer.maps[n:])
