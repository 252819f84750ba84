"""Atoms for hyperspy and atomap, both HDF5."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.spatial import cKDTree

from napari_apgan.atoms import COLUMNS, positions
from napari_apgan.io.export import Export


def to_hspy(export: Export) -> bytes:
    """Return a hyperspy file: the image, markers per element, the table in ``metadata.Atoms``."""
    from rsciio.hspy import file_writer

    x_nm, y_nm, unit = _scale(export)
    picture = export.picture()
    axes = [
        {"name": n, "size": s, "scale": k, "offset": 0.0, "units": unit, "navigate": False}
        for n, s, k in zip("yx", picture.shape, (y_nm, x_nm), strict=True)
    ]
    signal = {
        "data": picture,
        "axes": [{**axis, "_type": "UniformDataAxis"} for axis in axes],
        "metadata": {
            "General": {"title": export.name},
            "Signal": {"signal_type": ""},
            "Atoms": _columns(export),
            "Markers": _markers(export, x_nm, y_nm),
        },
        "original_metadata": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False},
        "learning_results": {},
        "models": {},
        # hyperspy warns about signals of packages that it does not know, so none is named.
        "package_info": {"package": "", "package_version": ""},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "atoms.hspy"
        file_writer(str(path), signal)
        return path.read_bytes()


def _columns(export: Export) -> dict[str, Any]:
    table = export.table
    return {
        name: (
            np.array(table[name].to_list(), dtype="S")
            if kind == "str" and table[name].map(str.isascii).all()
            else [str(v) for v in table[name]]
            if kind == "str"
            else table[name].to_numpy()
        )
        for name, (kind, _) in COLUMNS.items()
        if len(table)
    }


def _markers(export: Export, x_nm: float, y_nm: float) -> dict[str, Any]:
    """Return hyperspy's permanent markers: points at the atoms, in the element's colour."""
    markers: dict[str, Any] = {}
    for element in export.elements:
        part = export.table[export.table["element"] == element.name]
        if len(part):
            markers[element.name.replace("/", "-").replace(".", "-")] = {
                "class": "Points",
                "name": element.name,
                "plot_on_signal": True,
                "offset_transform": "data",
                "transform": "display",
                "kwargs": {
                    "offsets": positions(part) * (x_nm, y_nm),
                    "sizes": (5.0,),
                    "units": "points",
                    "color": (element.color,),
                },
                "ScalarMappable_array": None,
            }
    return markers


def to_atomap(export: Export) -> bytes:
    """Return the HDF5 file that atomap's ``load_atom_lattice_from_hdf5`` reads."""
    out = io.BytesIO()
    picture = export.picture().astype(np.float64)
    mean_pm = export.calibration.mean_pm
    with h5py.File(out, "w") as file:
        file.attrs["name"] = export.name
        file.attrs["pixel_separation"] = _separation(positions(export.table))
        file.create_dataset("image_data", data=picture, compression="gzip")
        used = [e for e in export.elements if (export.table["element"] == e.name).any()]
        for index, element in enumerate(used):
            part = export.table[export.table["element"] == element.name]
            # atomap takes the groups in the order of their names.
            group = file.create_group(f"{index:03d}_{element.name.replace('/', '-')}_sublattice")
            width = part["width_px"].fillna(1.0).to_numpy()
            group.create_dataset("modified_image_data", data=picture, compression="gzip")
            group.create_dataset("original_image_data", data=picture, compression="gzip")
            group.create_dataset("atom_positions", data=positions(part))
            group.create_dataset("sigma_x", data=width)
            group.create_dataset("sigma_y", data=width)
            group.create_dataset("rotation", data=np.zeros(len(part)))
            group.attrs["pixel_size"] = 1.0 if mean_pm is None else mean_pm / 1e3
            group.attrs["units"] = "pixel" if mean_pm is None else "nm"
            group.attrs["pixel_separation"] = _separation(positions(part))
            group.attrs["name"] = element.name
            group.attrs["plot_color"] = element.color
            group.attrs["sublattice_index"] = index
    return out.getvalue()


def _scale(export: Export) -> tuple[float, float, str]:
    """Return the pixel size along x and y, and its unit."""
    x_pm, y_pm = export.calibration.x_pm, export.calibration.y_pm
    if x_pm is None or y_pm is None:
        return 1.0, 1.0, "px"
    return x_pm / 1e3, y_pm / 1e3, "nm"


def _separation(xy: Any) -> float:
    """Return the median distance between nearest neighbours, in px; 1 for a single atom."""
    if len(xy) < 2:
        return 1.0
    return float(np.median(np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1]))
