"""The regions on the canvas: a shapes layer that shows the session's regions and a draft."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Shapes

from napari_apgan.atoms import positions
from napari_apgan.regions import Region

LAYER_NAME = "Regions"
COMPLETE = "#3FB27F"
HELD_OUT = "#56B4E9"
IGNORE = "#E4572E"
DRAFT = "#FFFFFF"

XY = tuple[float, float]


def count_inside(region: Region, atoms: pd.DataFrame) -> str:
    """Say what stands in a region: ``64 Pb, 61 Ti``; "no atoms" when nothing does."""
    if len(atoms) == 0:
        return "no atoms"
    inside = atoms[region.contains(positions(atoms))]
    counts = inside["element"].value_counts(sort=False)
    return ", ".join(f"{n} {name}" for name, n in counts.items() if n) or "no atoms"


def describe(region: Region, atoms: pd.DataFrame) -> str:
    """Say what a region is: ``complete: 64 Pb, 61 Ti``, ``held out: …`` or ``ignored``."""
    if region.kind == "ignore":
        return "ignored"
    return f"{'held out' if region.held_out else 'complete'}: {count_inside(region, atoms)}"


def color_of(region: Region) -> str:
    """Colour of a region by what it is for."""
    if region.kind == "ignore":
        return IGNORE
    return HELD_OUT if region.held_out else COMPLETE


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
        return self.layer

    def _draw(self) -> None:
        drawn: list[tuple[tuple[XY, ...], str, str]] = [
            (r.polygon, text, color_of(r))
            for r, text in zip(self._regions, self._captions, strict=True)
        ]
        draft_text = []
        if self._draft is not None and len(self._draft[0]) >= 2:
            drawn.append(self._draft)
            draft_text = [self._draft[1]]
        layer = self.ensure()
        with layer.events.blocker_all():
            layer.selected_data = set()
            layer.data = []
            if drawn:
                layer.add(
                    [np.asarray(corners, dtype=float)[:, ::-1] for corners, _, _ in drawn],
                    shape_type=["polygon" if len(c) > 2 else "path" for c, _, _ in drawn],
                    edge_color=[color for _, _, color in drawn],
                    face_color=[_tint(color, text) for _, text, color in drawn],
                    edge_width=self.edge_px,
                )
            layer.features = pd.DataFrame({"caption": [*[""] * len(self._regions), *draft_text]})
        layer.refresh(thumbnail=False)
        layer.refresh_text()


def _tint(color: str, caption: str) -> Any:
    """Ignored parts are veiled, complete ones stay clear."""
    alpha = 0.28 if caption == "ignored" else 0.04
    return (*(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)), alpha)
