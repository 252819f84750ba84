"""A proposed lattice on the canvas: rings on its atoms, squares where one is missing, crosses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .atoms_layer import rgba
from .detect_found import radius_px
from .points_view import PointsView

if TYPE_CHECKING:
    from napari_apgan.label.sites import Sites

#: Atoms of one grain after the other; missing and extra ones have shapes of their own.
GRAIN_SHAPES = ("disc", "diamond", "triangle_up", "triangle_down")
GRAIN_SIGNS = "○◇△▽"
MISSING, EXTRA = "#FFB000", "#FF4040"
_LEFT_OUT = "#808080"


class LatticeView(PointsView):
    """Draws the sites of a proposal, in the colours of what their sublattices become."""

    layer_name = "Proposed lattice"
    shapes = (*GRAIN_SHAPES, "square", "x")
    least_px = 6

    def show(
        self,
        sites: Sites,
        there: NDArray[np.bool_],
        missing: NDArray[np.bool_],
        extra: NDArray[np.int64],
        colors: Mapping[str, str],
    ) -> None:
        """Draw what a threshold makes of the sites.

        Parameters
        ----------
        sites : Sites
        there, missing : (N,) bool array
        extra : (M,) int array
            Which of the peaks stand beside the sites.
        colors : mapping
            Of each sublattice that is not left out.
        """
        atoms, empty = np.flatnonzero(there), np.flatnonzero(missing)
        xy = np.concatenate([sites.offered_px[atoms], sites.ideal_px[empty], sites.peak_px[extra]])
        kind = np.concatenate(
            [
                sites.grain[atoms] % len(GRAIN_SHAPES),
                np.full(len(empty), len(GRAIN_SHAPES)),
                np.full(len(extra), len(GRAIN_SHAPES) + 1),
            ]
        ).astype(int)
        border = np.tile(rgba(_LEFT_OUT, 0.5), (len(xy), 1))
        for name, color in colors.items():
            border[: len(atoms)][sites.sublattice[atoms] == name] = rgba(color)
        border[len(atoms) : len(atoms) + len(empty)] = rgba(MISSING)
        border[len(atoms) + len(empty) :] = rgba(EXTRA)
        self._draw(xy, kind, border, 2.2 * radius_px(sites.ideal_px))

    def show_missing(self, xy: NDArray[np.float64], diameter_px: float) -> None:
        """Draw nothing but squares on (N, 2) places x, y in px."""
        kind = np.full(len(xy), len(GRAIN_SHAPES))
        self._draw(xy, kind, np.tile(rgba(MISSING), (len(xy), 1)), diameter_px)

    def show_picks(self, xy: NDArray[np.float64], diameter_px: float) -> None:
        """Ring the (N, 2) atoms that were picked so far."""
        self._draw(
            xy, np.zeros(len(xy), dtype=int), np.tile(rgba("#FFFFFF"), (len(xy), 1)), diameter_px
        )

    def _draw(
        self,
        xy: NDArray[np.float64],
        kind: NDArray[np.int64],
        border: NDArray[np.float32],
        diameter_px: float,
    ) -> None:
        crossed = kind == len(GRAIN_SHAPES) + 1
        face = np.zeros((len(xy), 4), dtype=np.float32)
        face[crossed] = border[crossed]
        self.fill(
            xy,
            kind,
            face=face,
            border=border,
            size=np.where(crossed, 0.7, 1.0) * diameter_px,
            border_width=np.where(crossed, 0.05, 0.14),
        )
