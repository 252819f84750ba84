"""The regions on the canvas: a shapes layer that shows the session's regions and a draft."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Shapes

from napari_apgan.atoms import positions
from napari_apgan.regions import LEFT_OUT, PAINTED, Region, RegionKind

LAYER_NAME = "Regions"
COMPLETE = "#3FB27F"
HELD_OUT = "#56B4E9"
IGNORE = "#E4572E"
DRAFT = "#FFFFFF"
#: What is being rubbed out.
RUBBED = "#FFFFFF"
_KINDS = {
    "complete": COMPLETE,
    "vacuum": "#8FA8C8",
    "amorphous": "#B58AE0",
    "contamination": "#C9922E",
    "ignore": IGNORE,
}
#: Painted areas are veiled, complete ones stay clear.
_VEIL, _CLEAR = 0.28, 0.04

XY = tuple[float, float]
#: Corners, colour, how dense its veil is, and how wide its edge.
_Shape = tuple[tuple[XY, ...], str, float, float]


def count_inside(region: Region, atoms: pd.DataFrame) -> str:
    """Say what stands in a region: ``64 Pb, 61 Ti``; "no atoms" when nothing does."""
    if len(atoms) == 0:
        return "no atoms"
    inside = atoms[region.contains(positions(atoms))]
    counts = inside["element"].value_counts(sort=False)
    return ", ".join(f"{n} {name}" for name, n in counts.items() if n) or "no atoms"


def describe(region: Region, atoms: pd.DataFrame) -> str:
    """Say what a region is: ``complete: 64 Pb, 61 Ti``, ``held out: …``, ``ignored`` and so on."""
    if region.kind in LEFT_OUT:
        return "ignored" if region.kind == "ignore" else f"{region.kind}: not learned"
    if region.kind == "vacuum":
        inside = count_inside(region, atoms)
        return "vacuum" if inside == "no atoms" else f"vacuum, yet with {inside}"
    return f"{'held out' if region.held_out else 'complete'}: {count_inside(region, atoms)}"


def color_of(region: Region) -> str:
    """Colour of a region by what it is for."""
    return HELD_OUT if region.held_out else color_of_kind(region.kind)


def color_of_kind(kind: RegionKind) -> str:
    """Colour of regions of a kind that are trained on or left out."""
    return _KINDS[kind]


class RegionsView:
    """Draws the regions, and the one that is being drawn with what stands inside.

    Parameters
    ----------
    make_layer : callable
        Adds a shapes layer to the viewer and returns it.
    """

    def __init__(self, make_layer: Callable[..., Shapes]) -> None:
        self._make_layer = make_layer
        self.layer: Shapes | None = None
        self.edge_px = 1.0
        self._regions: tuple[Region, ...] = ()
        self._captions: list[str] = []
        self._draft: tuple[tuple[XY, ...], str, str] | None = None
        self._drawn: list[_Shape] = []

    @property
    def captions(self) -> list[str]:
        """What each region is and what stands inside."""
        return list(self._captions)

    def caption_at(self, x: float, y: float) -> str:
        """Say which region a position in px lies in; empty where there is none."""
        at = np.array([[x, y]])
        inside = (
            c for r, c in zip(self._regions, self._captions, strict=True) if r.contains(at)[0]
        )
        return next(inside, "")

    def show(self, regions: Sequence[Region], atoms: pd.DataFrame) -> None:
        """Show the regions of a frame."""
        captions = [describe(r, atoms) for r in regions]
        if (tuple(regions), captions) == (self._regions, self._captions):
            return
        self._regions, self._captions = tuple(regions), captions
        self._draw()

    def show_draft(self, corners: Sequence[XY] | None, caption: str = "", color: str = "") -> None:
        """Show a box or polygon that is being drawn; None takes it away."""
        new = None if corners is None else (tuple(corners), caption, color or DRAFT)
        if new != self._draft:
            self._draft = new
            self._draw()

    def ensure(self) -> Shapes:
        """Make the layer before it is needed: a new layer in mid-drag would shift the canvas."""
        if self.layer is None:
            self.layer = self._make_layer()
            self._drawn = []
        return self.layer

    def _draw(self) -> None:
        """Take away and add only what changed: napari needs tens of milliseconds for a polygon."""
        wanted = [
            (r.polygon, color_of(r), _VEIL if r.kind in PAINTED else _CLEAR, self.edge_px)
            for r in self._regions
        ]
        caption, draft = "", None
        if self._draft is not None and len(self._draft[0]) >= 2:
            corners, caption, color = self._draft
            draft = (corners, color, _CLEAR, self.edge_px)
            wanted.append(draft)
        layer = self.ensure()
        left = list(wanted)
        gone, kept = set(), []
        for row, shape in enumerate(self._drawn):
            if shape in left:
                left.remove(shape)
                kept.append(shape)
            else:
                gone.add(row)
        with layer.events.blocker_all():
            if len(gone) == len(self._drawn) or layer.nshapes != len(self._drawn):
                left, kept = wanted, []
                layer.selected_data = set()
                layer.data = []
            elif gone:
                layer.selected_data = gone
                layer.remove_selected()
            layer.selected_data = set()
            if left:
                layer.add(
                    [np.asarray(corners, dtype=float)[:, ::-1] for corners, _, _, _ in left],
                    shape_type=["polygon" if len(c) > 2 else "path" for c, _, _, _ in left],
                    edge_color=[color for _, color, _, _ in left],
                    face_color=[_tint(color, alpha) for _, color, alpha, _ in left],
                    edge_width=self.edge_px,
                )
            self._drawn = [*kept, *left]
            texts = [caption if shape is draft else "" for shape in self._drawn]
            layer.features = pd.DataFrame({"caption": texts})
        layer.refresh(thumbnail=False)
        layer.refresh_text()


def _tint(color: str, alpha: float) -> Any:
    return (*(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)), alpha)
