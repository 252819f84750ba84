"""Everything: an endless stream of frames of all lattices, contrasts, samplings and noises.

It teaches a network what an atom is, whatever the material: the bundled model comes from it. See
:mod:`.zoo_settings` for what a frame says of itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from napari_apgan.atoms import empty_atoms, make_atoms
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame
from napari_apgan.io.pairs import Pair
from napari_apgan.maps import default_radius_px
from napari_apgan.regions import Region

from .degradation.scan import Distortion
from .ideal import draw_ideal as image_crystal
from .ideal import on_frame
from .pairs import HELD_OUT_FROM
from .truth import truth_of
from .zoo_crystals import draw_crystal
from .zoo_imaging import Ideal, add_background, image_sites, record
from .zoo_lattices import Sites, lattice_sites, no_sites, scattered_sites
from .zoo_random import chance
from .zoo_settings import CHANNELS, KEY, ZooSettings

#: Keeps its random numbers apart from those of other streams of the same seed.
ZOO = 0x200A11
#: Views that take turns, and frames recorded of each.
LANES, EXPOSURES = 4, 3
#: A lone atom's disc in units of its peak's width; in a lattice the spacing decides.
LONE_RADIUS = 1.7
#: Least SNR times the square of the spacing in px. Below, a lattice looks like mere noise, and a
#: network shown both learns to see lattices in noise.
SEEN = 9.0
#: A crystal's atoms stand out by at least this many standard deviations of its image.
LEAST_CONTRAST = 0.3


@dataclass(frozen=True, slots=True)
class _View:
    """One specimen imaged once, before it is recorded several times."""

    ideal: Ideal
    atoms: pd.DataFrame
    radius_px: float
    dark: bool
    sites: Sites


class ZooStream:
    """Endless frames; frame `number` follows from settings, seed and `number` alone.

    Parameters
    ----------
    settings : ZooSettings
    seed : int
    """

    def __init__(self, settings: ZooSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or ZooSettings()
        self.seed = seed
        self._views: dict[int, tuple[int, _View]] = {}

    def __iter__(self) -> Iterator[Pair]:
        return map(self.frame, itertools.count())

    def frame(self, number: int) -> Pair:
        """Return frame `number` as a pair of origin ``simulated``."""
        lane, turn = number % LANES, number // LANES
        view = self._view(lane, turn // EXPOSURES)
        rng = np.random.default_rng([self.seed, ZOO, 1, number])
        low, high = self.settings.snr
        least = min(max(low, SEEN / view.sites.spacing_px**2), high)
        # More often high than low: what is hardly seen teaches little.
        snr = high * (least / high) ** (1 - math.sqrt(rng.random()))
        image, valid = record(view.ideal, snr, view.sites.width_px, rng, dark=view.dark)
        shows = CHANNELS if not len(view.sites.xy_px) else (CHANNELS[view.dark],)
        return Pair(
            name=f"{KEY}_{number}",
            frame=Frame(image, valid, Calibration(), f"{KEY}_{number}"),
            atoms=view.atoms,
            regions=(Region.whole(image.shape),),
            origin="simulated",
            source=self.settings.title,
            simulation={
                KEY: {
                    "kind": view.sites.kind,
                    "radius_px": view.radius_px,
                    "shows": list(shows),
                    "snr": snr,
                    "width_px": view.sites.width_px,
                }
            },
        )

    def _view(self, lane: int, number: int) -> _View:
        """Return a view of a lane, made anew when it is not the last one."""
        if lane not in self._views or self._views[lane][0] != number:
            rng = np.random.default_rng([self.seed, ZOO, 0, lane, number])
            self._views[lane] = number, draw_view(self.settings, rng)
        return self._views[lane][1]


def draw_view(settings: ZooSettings, rng: np.random.Generator) -> _View:
    """Draw what lies under the beam, and image it."""
    kind, shape = rng.random(), settings.shape
    dark = chance(rng, 0.5)
    lone = False
    if kind < settings.crystals:
        found = _crystal(settings, rng)
        if found is not None:
            return found
        sites = lattice_sites(shape, settings.spacing_px, rng)
    elif kind < settings.crystals + settings.scattered:
        sites, lone = scattered_sites(shape, rng), True
    elif kind < settings.crystals + settings.scattered + settings.empty:
        sites = no_sites(shape, rng)
    else:
        sites = lattice_sites(shape, settings.spacing_px, rng)
    ideal = add_background(image_sites(sites, shape, rng), sites, rng)
    return _finished(ideal, sites, shape, dark=dark, lone=lone)


def _crystal(settings: ZooSettings, rng: np.random.Generator) -> _View | None:
    """Simulate a crystal; None where its atoms do not stand out as they should."""
    crystal = draw_crystal(settings.shape, settings.spacing_px, rng)
    try:
        drawn = image_crystal(crystal.settings, int(rng.integers(2**31)), 0)
    except UserError:  # no column in the frame however it is drawn: a small particle, a hole
        return None
    truth = truth_of(drawn, Distortion(settings.shape))
    dark = crystal.polarity == "dark"
    signal = (-drawn.image if dark else drawn.image).astype(np.float32)
    at = np.clip(np.rint(truth.xy_px).astype(int), 0, np.array(settings.shape[::-1]) - 1)
    if not len(at):
        return None
    inside = signal[drawn.material]
    spread = float(inside.std())
    height = float(signal[at[:, 1], at[:, 0]].mean() - inside.mean())
    if height < LEAST_CONTRAST * spread:
        return None
    floor = float(np.percentile(inside, 5))
    unit = 1.0 / (height + float(inside.mean()) - floor)
    kind = crystal.settings.structure.kind
    spacing = 4 * default_radius_px(_table(truth.xy_px, "bright")) if len(at) > 1 else 12.0
    sites = Sites(kind, truth.xy_px, np.ones(len(at)), crystal.width_px, spacing)
    signal = (signal - np.float32(floor)) * np.float32(unit)
    ideal = add_background(Ideal(signal, np.zeros_like(signal), spread * unit), sites, rng)
    if crystal.settings.imaging.mode == "haadf":
        dark = chance(rng, 0.3)
    return _finished(ideal, sites, settings.shape, dark=dark, lone=False)


def _finished(
    ideal: Ideal, sites: Sites, shape: tuple[int, int], *, dark: bool, lone: bool
) -> _View:
    """Name the atoms on the frame and decide how large their discs are."""
    atoms = _table(sites.xy_px[on_frame(sites.xy_px, shape)], CHANNELS[dark])
    radius = default_radius_px(atoms)
    if lone or len(atoms) < 2:
        radius = float(np.clip(LONE_RADIUS * sites.width_px, 1.5, 12.0))
    return _View(ideal, atoms, radius, dark, sites)


def _table(xy_px: np.ndarray[Any, Any], name: str) -> pd.DataFrame:
    return make_atoms(xy_px, name, origin="simulated") if len(xy_px) else empty_atoms()


def held_out_frames(settings: ZooSettings, n: int, seed: int = 0) -> list[Pair]:
    """Return frames to validate on, each of a view of its own; no training ever sees them."""
    stream = ZooStream(settings, seed)
    step = LANES * EXPOSURES
    return [
        stream.frame(HELD_OUT_FROM // step * step + (k // LANES) * step + k % LANES)
        for k in range(n)
    ]
