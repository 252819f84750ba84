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
#: What glibc itself ends at once large pieces have been freed (bytes, pieces).
_USUAL = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 * 2**20, _TRIM_THRESHOLD: 64 * 2**20}


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
def kept_memory() -> Iterator[None]:
    """Keep what is freed inside for the next use; give it back at the end.

    glibc takes every piece above 32 MB from the system and returns it when freed, so that each
    layer of a network on a large image waits for its pages to be cleared: a third of the time.
    On other systems nothing changes.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        for option, value in _USUAL.items():
            library.mallopt(option, value)
        library.malloc_trim(0)
