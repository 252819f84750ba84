"""SHA-256 of files and arrays: how moved images are found again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from napari_apgan.errors import UserError

from ._guard import existing_file, explain


def content_hash(path_or_array: str | os.PathLike[str] | Any) -> str:
    """Return the SHA-256 (hex) of a file's bytes, or of an array's type, shape and values.

    Files are read in pieces; dask arrays one frame at a time. An array's hash does not depend on
    its memory layout or byte order.

    Raises
    ------
    UserError
        When the file cannot be read.
    """
    digest = hashlib.sha256()
    if isinstance(path_or_array, (str, os.PathLike)):
        path = existing_file(Path(path_or_array))
        try:
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
        except OSError as error:
            raise UserError(f"{path.name} could not be read: {explain(error)}.") from error
        return digest.hexdigest()
    array = path_or_array
    dtype = np.dtype(array.dtype).newbyteorder("<")
    digest.update(f"{dtype.str}{tuple(int(n) for n in array.shape)}".encode())
    pieces = array if array.ndim > 2 else (array,)
    for piece in pieces:
        digest.update(np.ascontiguousarray(np.asarray(piece), dtype=dtype).tobytes())
    return digest.hexdigest()
