"""Maps of a series, written a frame at a time into a zarr folder, also by several processes."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration


class MapStore:
    """A zarr 3 group with the array ``maps`` (T, C, Y, X), as `io.read_maps` reads it.

    A frame is one chunk, and a frame is written by one process alone, so processes may share the
    folder. Frames not yet written read as 0.

    Parameters
    ----------
    path : Path
        Ends in ``.zarr``.
    shape : (int, int, int, int)
        Frames, elements, rows, columns.
    elements : sequence of str
    calibration : Calibration
    fresh : bool
        Whether to replace an older folder; otherwise one of the same shape is added to.

    Raises
    ------
    UserError
        When the folder cannot be written, or holds something else.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int, int],
        elements: Sequence[str],
        calibration: Calibration,
        *,
        fresh: bool,
    ) -> None:
        import zarr

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Two shards must not both find the folder absent and make it.
            with FileLock(path.with_name(f".{path.name}.lock")):
                if fresh or not path.is_dir():
                    _make(path, shape, elements, calibration)
            self._array: Any = zarr.open_group(path, mode="r+")["maps"]
        except (OSError, KeyError, ValueError) as error:
            raise UserError(
                f"The maps cannot be written to {path} ({error}): choose another folder."
            ) from error
        if tuple(self._array.shape) != shape:
            raise UserError(
                f"{path} holds maps of the shape {tuple(self._array.shape)}, not {shape}: they are "
                "of another series; choose another folder."
            )

    def write(self, frame: int, maps: NDArray[np.float32]) -> None:
        """Write the (C, Y, X) maps of one frame."""
        self._array[frame] = maps


def _make(
    path: Path,
    shape: tuple[int, int, int, int],
    elements: Sequence[str],
    calibration: Calibration,
) -> None:
    """Make the group under another name and swap it in."""
    import zarr

    made = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        group = zarr.create_group(made)
        group.create_array("maps", shape=shape, chunks=(1, *shape[1:]), dtype="float32")
        group.attrs["elements"] = list(elements)
        group.attrs["calibration"] = calibration.model_dump(mode="json")
        if path.exists():
            shutil.rmtree(path)
        made.rename(path)
    finally:
        shutil.rmtree(made, ignore_errors=True)
