"""Microscope formats, through RosettaSciIO's plugins imported by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_apgan.errors import UserError

from ._stored import LUMINANCE_NOTE, Stored, luminance, one_frame_chunks, to_stack
from .units import Scale, calibration_from_scales, scale_from

#: Suffix -> plugin of RosettaSciIO.
PLUGINS: dict[str, str] = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".ser": "tia",
    ".emi": "tia",
    ".mrc": "mrc",
    ".mrcs": "mrc",
    ".hspy": "hspy",
    ".png": "image",
    ".jpg": "image",
    ".jpeg": "image",
    ".bmp": "image",
}

# Plugins that can be told to make one-frame chunks; their default is the whole stack in one.
_CHUNKED = frozenset({"digitalmicrograph", "mrc"})

_ENERGIES = frozenset({"ev", "kev", "mev"})

#: What is kept of RosettaSciIO's metadata: where it stands, and what we call it.
_KEPT = {
    ("General", "title"): "title",
    ("General", "date"): "date",
    ("Signal", "quantity"): "quantity",
    ("Acquisition_instrument", "TEM", "microscope"): "microscope",
    ("Acquisition_instrument", "TEM", "acquisition_mode"): "mode",
    ("Acquisition_instrument", "TEM", "beam_energy"): "beam energy (keV)",
    ("Acquisition_instrument", "TEM", "magnification"): "magnification",
}

_MRC_BYTES = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}


def scan(path: Path, plugin: str) -> list[Stored]:
    """Find the images in a file; call it, and the `read` of what it returns, guarded."""
    if plugin == "mrc":
        _check_mrc(path)
    options: dict[str, Any] = {"lazy": plugin != "image"}
    if plugin in _CHUNKED:
        options["chunks"] = (1, -1, -1) if _is_stack(path, plugin) else "auto"
    if plugin == "mrc":
        options["metadata_file"] = None
    reader = importlib.import_module(f"rsciio.{plugin}").file_reader
    signals = [s for s in reader(str(path), **options) if _is_image(s)]
    names = _unique_names(signals)
    return [_stored(signal, name, plugin) for name, signal in zip(names, signals, strict=True)]


def _check_mrc(path: Path) -> None:
    """Refuse a header whose sizes the file cannot hold, before anything is allocated for it."""
    with path.open("rb") as file:
        header = np.frombuffer(file.read(1024), dtype="<i4")
    if header.size < 256:
        raise UserError(f"{path.name} is too short for an MRC file.")
    nx, ny, nz, mode = (int(v) for v in header[:4])
    if mode not in _MRC_BYTES:
        raise UserError(f"{path.name} holds MRC data of mode {mode}, which is no real image.")
    if min(nx, ny, nz) < 1 or nx * ny * nz * _MRC_BYTES[mode] > path.stat().st_size:
        raise UserError(
            f"{path.name} is damaged: its header announces {nx} x {ny} x {nz} pixels, more than "
            "the file holds."
        )


def _is_stack(path: Path, plugin: str) -> bool:
    """Whether the file's first image has three axes, so that one-frame chunks make sense."""
    if plugin == "mrc":
        with path.open("rb") as file:
            return int(np.frombuffer(file.read(12), dtype="<i4")[2]) > 1
    reader = importlib.import_module(f"rsciio.{plugin}").file_reader
    return all(s["data"].ndim == 3 for s in reader(str(path), lazy=True))


def _is_image(signal: Mapping[str, Any]) -> bool:
    """Whether a signal is an image or a series: no spectra, no diffraction of no extent."""
    data = signal["data"]
    if data.ndim < 2 or 0 in data.shape or min(data.shape[-2:]) < 2:
        return False
    if data.dtype.names is None and data.dtype.kind not in "buif":
        return False
    axes = list(signal.get("axes") or [])
    if any(str(a.get("units")).strip().lower() in _ENERGIES for a in axes):
        return False
    in_signal = [a for a in axes if a.get("navigate") is False]
    return not (data.ndim > 2 and len(in_signal) == 1)


def _unique_names(signals: list[Mapping[str, Any]]) -> list[str]:
    """Name each image by its title; a number follows where titles repeat or lack."""
    if len(signals) == 1:
        return [""]
    titles = [str(_dig(s.get("metadata"), ("General", "title")) or "") for s in signals]
    return [
        title if title and titles.count(title) == 1 else f"{title or 'image'} {index}"
        for index, title in enumerate(titles)
    ]


def _stored(signal: dict[str, Any], name: str, plugin: str) -> Stored:
    data = signal["data"]
    colours = data.dtype.names is not None
    shape = (int(np.prod(data.shape[:-2])), int(data.shape[-2]), int(data.shape[-1]))

    def read() -> Any:
        stack = to_stack(data, "first")
        if shape[0] == 1 or plugin == "tia":
            # TIA's lazy arrays read the whole file for each frame: once is better.
            stack = np.asarray(stack)
            return luminance(stack) if colours else stack
        if colours:
            stack = stack.map_blocks(luminance, dtype=np.float32)
        return one_frame_chunks(stack)

    y, x = _scales(list(signal.get("axes") or []))
    return Stored(
        dataset=name,
        shape=shape,
        read=read,
        calibration=calibration_from_scales(y, x, f"the {_where(plugin)}"),
        metadata=dict(_metadata(signal.get("metadata") or {})),
        note=LUMINANCE_NOTE if colours else "",
    )


def _scales(axes: list[Mapping[str, Any]]) -> tuple[Scale, Scale]:
    """Return the scales of the last two axes, y and x; axes may come without names or units."""
    if len(axes) < 2:
        return Scale(1.0, None), Scale(1.0, None)
    y, x = axes[-2:]
    return scale_from(y.get("scale"), y.get("units")), scale_from(x.get("scale"), x.get("units"))


def _where(plugin: str) -> str:
    return {
        "digitalmicrograph": "Gatan image tags",
        "emd": "EMD metadata",
        "tia": "TIA header",
        "mrc": "MRC header",
        "hspy": "hyperspy axes",
        "image": "image header",
    }[plugin]


def _metadata(tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for place, name in _KEPT.items():
        value = _dig(tree, place)
        if value is not None and str(value).strip() not in ("", "__unnamed__"):
            yield name, str(value)


def _dig(tree: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        if not isinstance(tree, Mapping) or key not in tree:
            return None
        tree = tree[key]
    return tree
