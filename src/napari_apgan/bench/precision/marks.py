"""What is known of a test frame before anyone answers: defects, vacuum, its smallest errors.

Everything here follows from the simulation alone, so it is the same for every method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import positions
from napari_apgan.measure.surroundings import (
    NEIGHBOUR_REACH,
    in_border_band,
    missing_neighbours,
    near,
    nearest_spacing_px,
)
from napari_apgan.simulate.ideal import Sampling, find_material, on_frame, sampling_of
from napari_apgan.simulate.pairs import SimulatedPair
from napari_apgan.simulate.settings import SimulationSettings

from .cases import is_unpolarized
from .interfaces import Interface, find_interface
from .limits import Limits

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Width of the band along the frame's edge, in px.
BORDER_PX = 8.0
#: An atom is near a defect within this many spacings of one.
DEFECT_REACH = 1.5


@dataclass(frozen=True, slots=True)
class Marks:
    """A frame's truth, and which of its atoms are special.

    Parameters
    ----------
    pair : SimulatedPair
    spacing_px : float
        Usual distance between nearest neighbours.
    lacking : (N,) bool array
        True atoms with fewer neighbours than usual.
    near_defect : (N,) bool array
        True atoms within :data:`DEFECT_REACH` spacings of a defect.
    border : (N,) bool array
        True atoms in the band along the edge.
    defect_px : (D, 2) array
        Places of defects: empty sites, atoms with too few or too many neighbours, atoms at which
        the sublattices or grains change.
    interface : Interface
        Where atoms stand beside interfaces that are not polarized.
    vacuum : (Y, X) bool array
        Pixels farther from every column than the material reaches.
    limits : Limits
        Smallest errors that the frame allows, of each true atom.
    """

    pair: SimulatedPair
    spacing_px: float
    lacking: Bools
    near_defect: Bools
    border: Bools
    defect_px: Floats
    interface: Interface
    vacuum: Bools
    limits: Limits

    @property
    def vacuum_nm2(self) -> float:
        """Area of the vacuum."""
        size = self.pair.pair.frame.calibration.mean_pm
        return 0.0 if size is None else float(self.vacuum.sum()) * (size / 1000.0) ** 2


def mark(pair: SimulatedPair, limits: Limits) -> Marks:
    """Work out what is special where on a simulated frame."""
    atoms, shape = pair.pair.atoms, pair.pair.frame.shape
    xy, sites = positions(atoms), positions(pair.undisplaced)
    sampling = _sampling(pair)
    outside = _outside(pair, sampling, set(atoms["element"]))
    everything = np.concatenate([sites, outside])
    spacing = nearest_spacing_px(everything) if len(everything) > 1 else float(max(shape))
    short = missing_neighbours(
        sites, kinds=atoms["element"].to_list(), around_px=outside, spacing_px=spacing
    )
    defects = np.concatenate(
        [positions(pair.vacancies), sites[(short != 0) | _between(atoms, sites, spacing)]]
    )
    return Marks(
        pair=pair,
        spacing_px=spacing,
        lacking=short > 0,
        near_defect=near(sites, defects, DEFECT_REACH * spacing),
        border=in_border_band(xy, shape, BORDER_PX),
        defect_px=defects,
        interface=_interface(pair, sites, spacing),
        vacuum=_vacuum(pair, sampling),
        limits=limits,
    )


def _interface(pair: SimulatedPair, sites: Floats, spacing: float) -> Interface:
    """Return the rows along unpolarized interfaces; none where layers are polarized."""
    if not is_unpolarized(pair):
        return Interface.none(len(sites))
    return find_interface(pair.pair.atoms, sites, spacing)


def _sampling(pair: SimulatedPair) -> Sampling:
    return sampling_of(SimulationSettings.model_validate(pair.record["settings"]))


def _outside(pair: SimulatedPair, sampling: Sampling, elements: set[str]) -> Floats:
    """Return the sites beyond the frame's edge, of the elements that are labelled on it."""
    columns = pair.scene.columns
    sites = sampling.to_frame(columns.site_px)
    beyond = ~on_frame(sampling.to_frame(columns.xy_px), pair.pair.frame.shape)
    kept: Floats = sites[beyond & np.isin(columns.element, sorted(elements))]
    return kept


def _between(atoms: pd.DataFrame, sites: Floats, spacing: float) -> Bools:
    """Tell which atoms stand where grains or sublattices change: an edge of either is a defect.

    A site without a sublattice counts where sublattices are told at all.
    """
    out = np.zeros(len(atoms), dtype=np.bool_)
    sublattice, grain = atoms["sublattice"].to_numpy(str), atoms["grain"].to_numpy()
    if (sublattice != "").any():
        out |= sublattice == ""
    for name in np.unique(grain):
        ours = grain == name
        out[ours] |= near(sites[ours], sites[~ours], NEIGHBOUR_REACH * spacing)
    return out


def _vacuum(pair: SimulatedPair, sampling: Sampling) -> Bools:
    """Return the pixels of the frame where no material is (drift and shear left aside)."""
    fine = find_material(pair.scene, sampling)
    binned = fine[:: sampling.binning, :: sampling.binning]
    margin, (rows, columns) = sampling.margin_px, pair.pair.frame.shape
    return ~binned[margin : margin + rows, margin : margin + columns]
