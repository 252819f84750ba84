"""What a column of atoms adds to a STEM image, by its strength, its tilt and the depth.

A beam that enters a crystal along a zone axis is drawn into the columns. How bright a column is
does then not grow in proportion to its atoms, and a leaning column is seen close to where its
*entrance* lies. The tables hold, for kinds of columns from oxygen to gold (ordered by their
strength, ΣZ per length), what the slab at each depth adds: how much, how wide, and displaced by how
much along the lean. Kinds between those of the tables are interpolated.

``python -m napari_apgan.simulate.imaging.make_tables`` makes the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Detector = Literal["haadf", "adf", "abf"]

#: Standard deviations (pm) of the Gaussians that, convolved with the probe, a column shows.
WIDTHS_PM = (8.0, 28.0, 60.0)
#: That of the haze around columns.
HAZE_PM = 250.0
#: Coefficients of the widths, then shift and haze.
SHIFT = len(WIDTHS_PM)
HAZE = SHIFT + 1


@dataclass(frozen=True, slots=True)
class Tables:
    """Responses of columns; K kinds, T tilts, J slabs.

    Parameters
    ----------
    strength_per_pm : (K,) array
        ΣZ per pm of column, increasing.
    thermal_pm : (K,) array
        Thermal displacement (rms per axis) that the tables were made with.
    tilt_mrad : (T,) array
    depth_pm : (J+1,) array
        Boundaries of the slabs, at :attr:`voltage_kv`.
    response : dict of (K, T, J, 5) arrays
        For each detector what an atom at that depth adds, relative to the same atom alone: the
        coefficients of :data:`WIDTHS_PM`, their sum times the shift in pm per mrad, and the haze.
    voltage_kv : float
        Energy of the tables.
    """

    strength_per_pm: Floats
    thermal_pm: Floats
    tilt_mrad: Floats
    depth_pm: Floats
    response: dict[Detector, Floats]
    voltage_kv: float

    def of_columns(self, detector: Detector, strength_per_pm: Floats, tilt_mrad: Floats) -> Floats:
        """Return the (C, J, 5) responses of columns.

        Parameters
        ----------
        detector : {"haadf", "adf", "abf"}
        strength_per_pm : (C,) array
            Outside the range of the tables its nearest end holds.
        tilt_mrad : (C,) array
            Likewise.
        """
        low, part = _between(np.log(self.strength_per_pm), np.log(strength_per_pm))
        tilt, lean = _between(self.tilt_mrad, tilt_mrad)
        table = self.response[detector]
        part, lean = part[:, None, None], lean[:, None, None]
        upright = (1 - part) * table[low, tilt] + part * table[low + 1, tilt]
        leaning = (1 - part) * table[low, tilt + 1] + part * table[low + 1, tilt + 1]
        mixed: Floats = (1 - lean) * upright + lean * leaning
        return mixed

    def slab_of(self, depth_pm: Floats) -> NDArray[np.int_]:
        """Return the slab of each depth; beyond the last boundary the last one."""
        slab = np.searchsorted(self.depth_pm, depth_pm, side="right") - 1
        return np.clip(slab, 0, len(self.depth_pm) - 2)


def _between(nodes: Floats, values: Floats) -> tuple[NDArray[np.int_], Floats]:
    """Return the node below each value and how far (0 to 1) it lies towards the next."""
    low = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    part = (values - nodes[low]) / (nodes[low + 1] - nodes[low])
    return low, np.clip(part, 0.0, 1.0)


@lru_cache(maxsize=1)
def load_tables() -> Tables:
    """Return the tables that come with the package."""
    with (
        resources.as_file(resources.files(__package__) / "columns.npz") as path,
        np.load(path, allow_pickle=False) as file,
    ):
        arrays = {name: file[name] for name in file.files}
    return tables_from(arrays)


def tables_from(arrays: dict[str, NDArray[np.generic]]) -> Tables:
    """Return tables from the arrays of their file; kinds of equal strength are averaged.

    Parameters
    ----------
    arrays : dict
        As :func:`.make_tables.make` returns them: responses accumulated over the depth.
    """
    import json

    strengths = arrays["strength_per_pm"].astype(np.float64)
    depth = arrays["depth_pm"].astype(np.float64)
    kinds, member = np.unique(np.round(np.log(strengths), 2), return_inverse=True)
    count = np.bincount(member)

    def averaged(values: Floats) -> Floats:
        return np.stack([values[member == k].sum(axis=0) / count[k] for k in range(len(kinds))])

    response: dict[Detector, Floats] = {}
    names: tuple[Detector, ...] = ("haadf", "adf", "abf")
    for name in names:
        slabs = np.diff(arrays[name].astype(np.float64), axis=2) / np.diff(depth)[:, None]
        # An upright column has no shift to measure; the least tilt that has one stands for it.
        slabs[:, 0, :, SHIFT] = slabs[:, 1, :, SHIFT]
        response[name] = averaged(slabs)
    return Tables(
        strength_per_pm=np.exp(averaged(np.log(strengths))),
        thermal_pm=averaged(arrays["thermal_pm"].astype(np.float64)),
        tilt_mrad=arrays["tilt_mrad"].astype(np.float64),
        depth_pm=depth,
        response=response,
        voltage_kv=float(json.loads(str(arrays["meta"]))["voltage_kv"]),
    )
