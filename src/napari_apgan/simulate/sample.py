"""The embedded sample: simulated frames whose atoms, and undisplaced lattice, are known exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import make_atoms, with_calibration
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.io.pairs import Pair
from napari_apgan.regions import Region

from .linear import HAADF_PEAK, count, inside, render, row_jitter, smooth_background
from .multilayer import Columns, build_multilayer

Floats = NDArray[np.float64]
Pattern = Literal["wall", "vortex", "none"]

#: Frames see columns this far outside them, since their tails reach in.
MARGIN_PM = 500.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Simulated pairs with their undisplaced lattice.

    Parameters
    ----------
    pairs : list of Pair
        Frames with exact atoms; each frame is one complete region.
    undisplaced : list of DataFrame
        For each pair, an atom table with the undisplaced site of each row of its atoms.
    expected : list of (Y, X) array
        For each pair the image without jitter and noise, in the units of its frame.
    """

    pairs: list[Pair]
    undisplaced: list[pd.DataFrame]
    expected: list[Floats]

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[index]


def make_sample(
    *,
    seed: int = 0,
    n_frames: int = 8,
    shape: tuple[int, int] = (256, 256),
    pixel_size_pm: float = 29.0,
    snr: float | None = 3.0,
    dose: float | None = None,
    jitter: bool | float = True,
    pattern: Pattern | None = None,
    amplitude_pm: float | None = None,
) -> Sample:
    """Simulate HAADF frames of a PbTiO3/SrTiO3 multilayer seen along [010].

    Pb, Sr and Ti columns (oxygen is invisible), peak heights as Z^1.7, a probe with tails, a
    slowly varying background, row jitter, counting noise. In PbTiO3 titanium is displaced by
    10 to 30 pm: domains parted by 180° walls in one frame, flux-closing vortices in the next. Every
    frame has its own layers, rotation, offset and magnification (its calibration is right).

    Parameters
    ----------
    seed : int
    n_frames : int
    shape : (int, int)
        (rows, columns).
    pixel_size_pm : float
        Mean over the frames; single frames differ by up to 3 %.
    snr : float, optional
        var(signal) / var(noise) over the frame; None, without a dose, gives no noise.
    dose : float, optional
        Mean counts a pixel, in place of `snr`.
    jitter : bool or float
        Row jitter; a number is its standard deviation in pm (3 by default).
    pattern : {"wall", "vortex", "none"}, optional
        Take one polarization pattern for all frames; by default they alternate.
    amplitude_pm : float, optional
        Largest displacement of Ti; by default between 10 and 30 pm, drawn for each frame.

    Returns
    -------
    Sample
        Pairs are named ``sample_00`` and so on.
    """
    if n_frames < 1 or min(shape) < 16 or not pixel_size_pm > 0:
        raise UserError("A sample needs at least one frame of 16x16 px and a positive pixel size.")
    jitter_pm = 3.0 * jitter if isinstance(jitter, bool) else float(jitter)
    pairs, sites, images = [], [], []
    for number in range(n_frames):
        rng = np.random.default_rng([seed, number])
        pixel_pm = pixel_size_pm * rng.uniform(0.97, 1.03)
        chosen = pattern or ("wall", "vortex")[number % 2]
        peak_pm = rng.uniform(10.0, 30.0) if amplitude_pm is None else amplitude_pm
        columns = _place(rng, shape, pixel_pm, chosen, peak_pm)
        expected = _picture(columns, rng, pixel_pm, shape)
        seen = row_jitter(expected, jitter_pm / pixel_pm, rng) if jitter_pm else expected
        counted = count(seen, rng, snr=snr, dose=dose)
        calibration = Calibration.from_pixel_size(
            pixel_pm, origin="file", note="The pixel size of the simulation."
        )
        name = f"sample_{number:02d}"
        frame = make_frame(counted, calibration, missing="none", name=name)
        on = inside(columns.xy, shape)
        atoms = _table(columns.xy[on], columns.element[on], calibration)
        region = Region.rectangle(-0.5, -0.5, shape[1] - 0.5, shape[0] - 0.5)
        pairs.append(
            Pair(
                name=name,
                frame=frame,
                atoms=atoms,
                regions=(region,),
                origin="simulated",
                source="PbTiO3/SrTiO3 multilayer [010], linear HAADF model",
            )
        )
        sites.append(_table(columns.site[on], columns.element[on], calibration))
        images.append(expected * (counted.mean() / expected.mean()))
    return Sample(pairs, sites, images)


def _table(xy_px: Floats, element: NDArray[np.str_], calibration: Calibration) -> pd.DataFrame:
    """Make a simulated atom table, with positions in pm and sublattices A and B."""
    lattice = np.where(element == "Ti", "B", "A")
    table = make_atoms(xy_px, element.tolist(), origin="simulated", sublattice=lattice)
    return with_calibration(table, calibration)


def _place(
    rng: np.random.Generator,
    shape: tuple[int, int],
    pixel_pm: float,
    pattern: Pattern,
    amplitude_pm: float,
) -> Columns:
    """Build a multilayer large enough, rotate and shift it at random, and put it in px."""
    size_pm = np.array([shape[1], shape[0]]) * pixel_pm
    reach = float(np.hypot(*size_pm)) / 2 + MARGIN_PM
    columns = build_multilayer(rng, reach, pattern=pattern, amplitude_pm=amplitude_pm)
    angle = np.deg2rad(rng.uniform(-15.0, 15.0))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = rng.uniform(-200.0, 200.0, 2)

    def to_px(xy_pm: Floats) -> Floats:
        moved: Floats = (xy_pm @ turn.T + offset + size_pm / 2) / pixel_pm - 0.5
        return moved

    xy = to_px(columns.xy)
    near = inside(xy, shape, MARGIN_PM / pixel_pm)
    return Columns(xy[near], to_px(columns.site)[near], columns.element[near], columns.height[near])


def _picture(
    columns: Columns, rng: np.random.Generator, pixel_pm: float, shape: tuple[int, int]
) -> Floats:
    """Render the columns over a slowly varying background (5 % of a Pb column, ± 1.5 %)."""
    image = render(columns.xy, columns.height, HAADF_PEAK, pixel_pm, shape)
    background = 0.05 + 0.015 * np.clip(smooth_background(shape, rng), -3.0, 3.0)
    return image + background
