"""Microscope files in; tables, pairs and maps in and out."""

from .hashing import content_hash
from .images import (
    READABLE,
    calibration_from_file,
    list_sources,
    open_source,
    source_from_array,
)
from .pairs import Pair, PairFile, read_pairs, write_pairs
from .tables import read_atoms, write_atoms
from .units import parse_pixel_size

__all__ = [
    "READABLE",
    "Pair",
    "PairFile",
    "calibration_from_file",
    "content_hash",
    "list_sources",
    "open_source",
    "parse_pixel_size",
    "read_atoms",
    "read_pairs",
    "source_from_array",
    "write_atoms",
    "write_pairs",
]
