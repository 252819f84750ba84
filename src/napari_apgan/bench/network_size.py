"""How large the presets' networks are."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from napari_apgan.models.presets import get_preset

from .training import table

#: Elements that are told apart, and the side (px) of the frame that is counted on.
ELEMENTS, SIDE_PX = 3, 64


class NetworkSize(BaseModel):
    """A preset's network for :data:`ELEMENTS` elements.

    Parameters
    ----------
    preset : str
    multiply_adds : float
        Of its convolutions, for one pixel of the frame.
    weights : int
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    multiply_adds: float
    weights: int


def network_size(preset: str) -> NetworkSize:
    """Count the operations and the weights of a preset's network."""
    from napari_apgan.models.networks import build_network, multiply_adds

    network = build_network(get_preset(preset), ELEMENTS)
    total = multiply_adds(network, (SIDE_PX, SIDE_PX))
    weights = sum(p.numel() for p in network.parameters())
    return NetworkSize(preset=preset, multiply_adds=total / SIDE_PX**2, weights=weights)


def sizes_table(sizes: Sequence[NetworkSize]) -> str:
    """Return the table; empty without networks."""
    rows = [
        [s.preset, f"{s.multiply_adds / 1e3:.1f} thousand", f"{s.weights / 1e3:.0f} thousand"]
        for s in sizes
    ]
    heads = [f"network, {ELEMENTS} elements", "multiply-adds per pixel", "weights"]
    return table(heads, rows) if rows else ""
