"""Large pieces of memory, used again instead of being fetched anew from the system each time."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

#: Options of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
#: Pieces up to 32 MB, which is the largest that glibc takes, come from memory that was freed
#: before, of which 128 MB are kept. On its own it hands back what one layer leaves to the next.
_USUAL = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 * 2**20, _TRIM_THRESHOLD: 128 * 2**20}
#: Pieces of any size do, and nothing is given back.
_ALL = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1}


@cache
def _glibc() -> ctypes.CDLL | None:
    """Return the C library where it is glibc, which alone has these options."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return None
    try:
        library = ctypes.CDLL(None)
        library.mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
        library.malloc_trim.argtypes = (ctypes.c_size_t,)
    except (OSError, AttributeError):
        return None
    return library


@contextmanager
def kept_memory(*, large: bool) -> Iterator[None]:
    """Keep what is freed inside for the next use.

    Memory that comes anew from the system is cleared first, page by page: between the layers of a
    network that costs a fifth of the time, on large images a third. On systems without glibc
    nothing changes.

    Parameters
    ----------
    large : bool
        Keep pieces of any size, and give all back at the end.
    """
    library = _glibc()
    if library is None:
        yield
        return
    _set(library, _ALL if large else _USUAL)
    try:
        yield
    finally:
        if large:
            _set(library, _USUAL)
            library.malloc_trim(0)


def _set(library: ctypes.CDLL, options: dict[int, int]) -> None:
    for option, value in options.items():
        library.mallopt(option, value)
