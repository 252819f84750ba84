"""Run a model on a frame: tiled, seamless, at the model's own pixel size. Imports torch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Progress
from napari_apgan.measure import find_atoms
from napari_apgan.models.modelfile import Model
from napari_apgan.models.networks import AtomNetwork, fold_batch_norm
from napari_apgan.models.normalise import normalise

from .answer import Answer, finish, on_frame, refined
from .memory import kept_memory
from .prediction import Box, Cancelled, IsCancelled, Prediction, clip_box
from .resample import network_box, network_scale, resample_frame
from .tiles import SMALLEST_TILE, cut, halo_px, tile_side
from .uncertainty import Uncertainty, map_deviation, spread_of, with_error_bars

#: From tiles of so many px on, a network's layers answer with tens of MB.
LARGE_PX = 2**18
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
    answer = _ask(
        model, frame, wanted, device, tile, tta, progress, cancelled, [] if notes is None else notes
    )
    return answer.on_frame()


def _ask(
    model: Model,
    frame: Frame,
    wanted: Box,
    device: str,
    tile: int | None,
    tta: bool,
    progress: Progress | None,
    cancelled: IsCancelled | None,
    notes: list[str],
    *,
    spread: bool = False,
) -> Answer:
    """Resample and normalise the frame, and have the network answer for the wanted box.

    With `spread` the answer's maps are followed by as many standard deviations over the symmetries.
    """
    scale, note = network_scale(frame.calibration, model.card.pixel_size_pm)
    if note:
        notes.append(note)
    seen = resample_frame(frame, scale)
    factors = (seen.shape[0] / frame.shape[0], seen.shape[1] / frame.shape[1])
    inner = wanted if seen is frame else network_box(wanted, factors, seen.shape)
    spec = model.card.network
    task = _Task(
        image=_network_input(seen, model.card.normalisation, spec.stride),
        box=inner,
        n_maps=len(model.card.elements) * (2 if spread else 1),
        halo=halo_px(spec.receptive_field_px, spec.stride),
        stride=spec.stride,
        answer=_averaged_with_spread if spread else _averaged if tta else _answer,
        progress=progress,
        cancelled=cancelled,
    )
    maps = _with_fallbacks(model.network, task, choose_device(device), tile, notes)
    if not np.isfinite(maps).all():
        raise UserError("The model answered with values that are not numbers: train it again.")
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
    rows, cols = frame.shape
    around = (0, 0, cols, rows)
    if wanted is not None:
        around = (
            max(wanted[0] - FIT_MARGIN, 0),
            max(wanted[1] - FIT_MARGIN, 0),
            min(wanted[2] + FIT_MARGIN, cols),
            min(wanted[3] + FIT_MARGIN, rows),
        )
    symmetries = uncertainty == "symmetry"
    answer = _ask(
        model, frame, around, device, tile, tta, progress, cancelled, notes, spread=symmetries
    )
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
    spread = spread_of(atoms, answer.maps, model.card)
    if uncertainty == "map":
        drawn = map_deviation(answer.maps, atoms, spread, model.card)
        deviation = replace(answer, maps=drawn)
    atoms = with_error_bars(atoms, spread, model.card, answer.factors, frame.calibration)
    atoms = on_frame(atoms, answer, frame.shape)
    if refine and len(atoms):
        if cancelled is not None and cancelled():
            raise Cancelled
        atoms = refined(frame, atoms, around, model.card)
    atoms = finish(atoms, frame, wanted)
    return Prediction(
        _cropped(answer, wanted),
        atoms,
        names,
        tuple(notes),
        wanted,
        frame.calibration,
        None if deviation is None else _cropped(deviation, wanted),
    )


def _parted(answer: Answer) -> tuple[Answer, Answer]:
    """Part an answer into its maps and their deviations."""
    n = len(answer.maps) // 2
    return replace(answer, maps=answer.maps[:n]), replace(answer, maps=answer.maps[n:])


def _cropped(answer: Answer, wanted: Box | None) -> NDArray[np.float32]:
    """Return the maps of an answer on the frame's pixels, the wanted box alone."""
    maps = answer.on_frame()
    if wanted is not None:
        x0, y0 = wanted[0] - answer.box[0], wanted[1] - answer.box[1]
        maps = maps[:, y0 : y0 + wanted[3] - wanted[1], x0 : x0 + wanted[2] - wanted[0]]
    return np.ascontiguousarray(maps)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be computed, whatever the device and the tiles.

    `image` is (2, Y, X), its sizes multiples of the stride; `box` may reach less far.
    """

    image: Tensor
    box: Box
    n_maps: int
    halo: int
    stride: int
    answer: Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]
    progress: Progress | None
    cancelled: IsCancelled | None


def _network_input(frame: Frame, normalisation: str, stride: int) -> Tensor:
    """Stack the normalised image and its mask as (2, Y, X), padded with missing pixels."""
    rows, cols = (-(-n // stride) * stride for n in frame.shape)
    stack = np.zeros((2, rows, cols), dtype=np.float32)
    stack[0, : frame.shape[0], : frame.shape[1]] = normalise(frame, normalisation)
    stack[1, : frame.shape[0], : frame.shape[1]] = frame.valid
    return torch.from_numpy(stack)


def _with_fallbacks(
    network: AtomNetwork, task: _Task, device: torch.device, tile: int | None, notes: list[str]
) -> NDArray[np.float32]:
    """Run the task; when memory ends, halve the tile, then go to the CPU, then give up in words."""
    side = tile or tile_side(_operations_per_px(network), task.halo, gpu=device.type != "cpu")
    # Halving begins at what the tiles really are, not at a side larger than the image.
    side = min(side, max(task.box[2] - task.box[0], task.box[3] - task.box[1]))
    while True:
        maps = _try_tiles(network, task, device, side)
        if maps is not None:
            return maps
        # Only here, outside the except block, are the tensors of the failed try free.
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if side > SMALLEST_TILE:
            side = max(side // 2, SMALLEST_TILE)
        elif device.type != "cpu":
            notes.append(
                f"The memory of the {device.type.upper()} device did not suffice: "
                "computed on the CPU, which takes longer."
            )
            device = torch.device("cpu")
            side = tile_side(_operations_per_px(network), task.halo, gpu=False)
        else:
            raise UserError(
                "There is not enough memory to apply this model: close other programs, or choose "
                "a region of the image."
            )


def _try_tiles(
    network: AtomNetwork, task: _Task, device: torch.device, side: int
) -> NDArray[np.float32] | None:
    """Run the task once; None when memory did not suffice."""
    try:
        with kept_memory(large=_is_large(task, side)):
            return _run_tiles(_prepared(network, device, task.cancelled), task, device, side)
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
    return None


def _is_large(task: _Task, side: int) -> bool:
    """Whether a layer's answer to one tile is a piece of memory that is worth keeping."""
    rows, cols = (min(side + 2 * task.halo, n) for n in task.image.shape[1:])
    return rows * cols >= LARGE_PX


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "out of memory" in text
        or "not enough memory" in text
        or "can't allocate memory" in text
    )


def _operations_per_px(network: nn.Module) -> float:
    """Estimate the multiply-adds per pixel: every weight of a convolution is used once a place.

    Trunks of strided networks work at half resolution at least.
    """
    stride = min(float(getattr(network, "stride", 1)), 2.0)
    weights = sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.Conv2d))
    return weights / stride**2


def _prepared(
    network: AtomNetwork, device: torch.device, cancelled: IsCancelled | None
) -> AtomNetwork:
    """Return the network for inference on `device`, leaving the given one as it is.

    A cancellation is heard before each of its convolutions: a tile may take seconds.
    """
    ready = fold_batch_norm(copy.deepcopy(network)).to(device)

    def heed(_layer: nn.Module, _inputs: object) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled

    if cancelled is not None:
        for layer in ready.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_pre_hook(heed)
    return ready.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


def _run_tiles(
    network: AtomNetwork, task: _Task, device: torch.device, side: int
) -> NDArray[np.float32]:
    x0, y0, x1, y1 = task.box
    out = np.empty((task.n_maps, y1 - y0, x1 - x0), dtype=np.float32)
    shape = (task.image.shape[1], task.image.shape[2])
    tiles = list(cut(task.box, shape, side, task.halo, task.stride))
    # TF32 keeps ten bits: a tile would differ from the whole by more than rounding.
    with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
        for done, tile in enumerate(tiles):
            if task.cancelled is not None and task.cancelled():
                raise Cancelled
            left, top, right, bottom = tile.read
            read = task.image[None, :, top:bottom, left:right].to(device)
            maps = task.answer(network, read)[0].float().cpu().numpy()
            kx0, ky0 = max(tile.keep[0], x0), max(tile.keep[1], y0)
            kx1, ky1 = min(tile.keep[2], x1), min(tile.keep[3], y1)
            out[:, ky0 - y0 : ky1 - y0, kx0 - x0 : kx1 - x0] = maps[
                :, ky0 - top : ky1 - top, kx0 - left : kx1 - left
            ]
            if task.progress is not None:
                task.progress(done + 1, len(tiles), "predicting")
    return out


def _answer(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    return network(image.contiguous(memory_format=torch.channels_last))


def _averaged(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Average the answers to the eight mirror images and quarter turns, each turned back."""
    total = torch.zeros((), device=image.device)
    for maps in _turned(network, image):
        total = total + maps
    return total / 8


def _averaged_with_spread(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Return the average over the symmetries, and after it the standard deviation over them."""
    total = squares = torch.zeros((), device=image.device)
    for maps in _turned(network, image):
        total, squares = total + maps, squares + maps**2
    mean = total / 8
    return torch.cat([mean, (squares / 8 - mean**2).clamp_min(0).sqrt()], dim=1)


def _turned(network: Callable[[Tensor], Tensor], image: Tensor) -> Iterator[Tensor]:
    """Answer the eight mirror images and quarter turns, each answer turned back."""
    for turns in range(4):
        for mirrored in (False, True):
            seen = torch.rot90(image.flip(-1) if mirrored else image, turns, (-2, -1))
            maps = torch.rot90(_answer(network, seen), -turns, (-2, -1))
            yield maps.flip(-1) if mirrored else maps
