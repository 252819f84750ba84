"""Try an HDF5 file in a process of its own: the HDF5 library may hang or crash on a damaged one.

Run as a script, with nothing but h5py imported: ``python -P _hdf5_probe.py FILE``. Exits
with 1 and the reason on stderr when the file is damaged.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import h5py

#: What h5py raises for healthy values that it cannot express; they are no damage.
_HARMLESS = (TypeError, ValueError, NotImplementedError)


def touch(file: h5py.File) -> None:
    """Visit every group and dataset, read every attribute and the first value of each dataset."""

    def visit(_name: str, item: Any) -> None:
        for key in item.attrs:
            with contextlib.suppress(*_HARMLESS):
                item.attrs[key]
        if isinstance(item, h5py.Dataset) and item.shape is not None and 0 not in item.shape:
            with contextlib.suppress(*_HARMLESS):
                item[(0,) * item.ndim]

    visit("/", file)
    file.visititems(visit)


if __name__ == "__main__":
    try:
        with h5py.File(sys.argv[1], "r") as probed:
            touch(probed)
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
