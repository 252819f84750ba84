"""Microscope files in; tables, pairs and maps in and out."""

from .export import EXPORT_SUFFIXES, export_atoms
from .hashing import content_hash
from .images import (
    READABLE,
    calibration_from_file,
    list_sources,
    open_source,
    source_from_array,
)
from .maps import read_maps, write_maps
from .pairs import Pair, PairFile, read_pairs, write_pairs
from .tables import read_atoms, write_atoms
from .units import parse_pixel_size

__all__ = [
    "EXPORT_SUFFIXES",
    "READABLE",
    "Pair",
    "PairFile",
    "calibration_from_file",
    "content_hash",
    "export_atoms",
    "list_sources",
    "open_source",
    "parse_pixel_size",
    "read_atoms",
    "read_maps",
    "read_pairs",
    "source_from_array",
    "write_atoms",
    "write_maps",
    "write_pairs",
]
