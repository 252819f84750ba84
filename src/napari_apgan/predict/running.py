"""Run a network over a whole image, tile by tile, within the memory there is. Imports torch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Progress
from napari_apgan.models.modelfile import Model
from napari_apgan.models.networks import AtomNetwork, fold_batch_norm
from napari_apgan.models.normalise import normalise

from .memory import kept_memory
from .prediction import Box, Cancelled, IsCancelled
from .tiles import SMALLEST_TILE, cut, halo_px, tile_side

#: From tiles of so many px on, a network's layers answer with tens of MB.
LARGE_PX = 2**18

#: What is done with the eight mirror images and quarter turns of a tile: nothing; their answers are
#: averaged; or averaged and followed by as many maps of their standard deviations.
Symmetries = Literal["none", "mean", "spread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a network is asked.

    Parameters
    ----------
    device : torch.device
    tile : int, optional
        Side of a tile in the network's px; chosen by the cost of the network when left out.
    symmetries : {"none", "mean", "spread"}
    progress : callable, optional
        Called after each tile.
    cancelled : callable, optional
        Asked before each tile and each layer.
    """

    device: torch.device
    tile: int | None = None
    symmetries: Symmetries = "none"
    progress: Progress | None = None
    cancelled: IsCancelled | None = None


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
    way: Way


def run_network(
    model: Model, frame: Frame, box: Box, way: Way, notes: list[str]
) -> NDArray[np.float32]:
    """Compute the maps of a box of a frame whose pixels are as large as the model's.

    The frame is normalised once as a whole, and cut into tiles that see beyond their edges as far
    as the network does, so the answer does not depend on the tiles.

    Parameters
    ----------
    model : Model
    frame : Frame
    box : Box
    way : Way
    notes : list of str
        Sentences for the user are appended to it.

    Returns
    -------
    (C, Y, X) float32 array, 0..1
        Twice as many maps where deviations are asked for, see :data:`Symmetries`.

    Raises
    ------
    UserError
        When memory does not suffice even for the smallest tile on the CPU, or the answer holds no
        numbers.
    Cancelled
        When `way.cancelled` said so.
    """
    spec = model.card.network
    task = _Task(
        image=_network_input(frame, model.card.normalisation, spec.stride),
        box=box,
        n_maps=len(model.card.elements) * (2 if way.symmetries == "spread" else 1),
        halo=halo_px(spec.receptive_field_px, spec.stride),
        stride=spec.stride,
        way=way,
    )
    maps = _with_fallbacks(model.network, task, notes)
    if not np.isfinite(maps).all():
        raise UserError("The model answered with values that are not numbers: train it again.")
    return maps


def _network_input(frame: Frame, normalisation: str, stride: int) -> Tensor:
    """Stack the normalised image and its mask as (2, Y, X), padded with missing pixels."""
    rows, cols = (-(-n // stride) * stride for n in frame.shape)
    stack = np.zeros((2, rows, cols), dtype=np.float32)
    stack[0, : frame.shape[0], : frame.shape[1]] = normalise(frame, normalisation)
    stack[1, : frame.shape[0], : frame.shape[1]] = frame.valid
    return torch.from_numpy(stack)


def _with_fallbacks(network: AtomNetwork, task: _Task, notes: list[str]) -> NDArray[np.float32]:
    """Run the task; when memory ends, halve the tile, then go to the CPU, then give up in words."""
    device = task.way.device
    side = task.way.tile or tile_side(
        _operations_per_px(network), task.halo, gpu=device.type != "cpu"
    )
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
            return _run_tiles(_prepared(network, device, task.way.cancelled), task, device, side)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    return None


def _is_large(task: _Task, side: int) -> bool:
    """Whether a layer's answer to one tile is a piece of memory that is worth keeping."""
    rows, cols = (min(side + 2 * task.halo, n) for n in task.image.shape[1:])
    return rows * cols >= LARGE_PX


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, in any of the ways torch says so."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        sign in text for sign in ("out of memory", "not enough memory", "can't allocate memory")
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
    way = task.way
    answer = _ANSWERS[way.symmetries]
    out = np.empty((task.n_maps, y1 - y0, x1 - x0), dtype=np.float32)
    shape = (task.image.shape[1], task.image.shape[2])
    tiles = list(cut(task.box, shape, side, task.halo, task.stride))
    # TF32 keeps ten bits: a tile would differ from the whole by more than rounding.
    with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
        for done, tile in enumerate(tiles):
            if way.cancelled is not None and way.cancelled():
                raise Cancelled
            left, top, right, bottom = tile.read
            read = task.image[None, :, top:bottom, left:right].to(device)
            maps = answer(network, read)[0].float().cpu().numpy()
            kx0, ky0 = max(tile.keep[0], x0), max(tile.keep[1], y0)
            kx1, ky1 = min(tile.keep[2], x1), min(tile.keep[3], y1)
            out[:, ky0 - y0 : ky1 - y0, kx0 - x0 : kx1 - x0] = maps[
                :, ky0 - top : ky1 - top, kx0 - left : kx1 - left
            ]
            if way.progress is not None:
                way.progress(done + 1, len(tiles), "predicting")
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


_ANSWERS: dict[Symmetries, Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]] = {
    "none": _answer,
    "mean": _averaged,
    "spread": _averaged_with_spread,
}
