"""The stream of everything: what it shows, and what its frames say of themselves.

Atoms are named by their contrast alone, ``bright`` or ``dark``. A frame says how large the discs of
its atoms are, and about which of the two it says anything: a lattice of bright atoms has dark
places between them, and whether these are atoms is not for such a frame to say.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_apgan.elements import SAFE_COLORS, Element
from napari_apgan.io.pairs import Pair

#: Output channels, and what the elements of the frames are called.
CHANNELS = ("bright", "dark")
#: Key under which a pair says what only such frames say of themselves.
KEY = "everything"


class ZooSettings(BaseModel):
    """What the stream of everything shows.

    Parameters
    ----------
    kind : {"everything"}
    shape : (int, int)
        (rows, columns) of a frame.
    spacing_px : (float, float)
        Least and largest distance of nearest neighbours.
    snr : (float, float)
        Least and largest var(signal) / var(noise) where the atoms are. Where atoms are only a few
        pixels wide the least is raised: nothing could be seen there.
    crystals, scattered, empty : float
        Parts of the views that are whole simulations, lone atoms on a film, and without any atom;
        the others are random lattices.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["everything"] = "everything"
    shape: tuple[int, int] = (208, 208)
    spacing_px: tuple[float, float] = (4.0, 30.0)
    snr: tuple[float, float] = (0.2, 10.0)
    crystals: float = Field(default=0.25, ge=0, le=1)
    scattered: float = Field(default=0.18, ge=0, le=1)
    empty: float = Field(default=0.1, ge=0, le=1)

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return "simulated lattices of every kind"


def channel_elements() -> list[Element]:
    """Return the elements of a model of everything: atoms by their contrast."""
    return [
        Element(name="bright", color=SAFE_COLORS[0], polarity="bright"),
        Element(name="dark", color=SAFE_COLORS[1], polarity="dark"),
    ]


def disc_radius_px(pair: Pair) -> float | None:
    """Return the radius that a frame of this stream wants; None for any other pair."""
    told = (pair.simulation or {}).get(KEY)
    return None if told is None else float(told["radius_px"])


def shown_channels(pair: Pair) -> tuple[str, ...] | None:
    """Return the elements a frame of this stream says anything about; None: all, for any other."""
    told = (pair.simulation or {}).get(KEY)
    return None if told is None else tuple(told["shows"])
