"""Fast HRTEM: a phase object under a partially coherent lens.

The specimen shifts the phase of the wave by σ times its projected potential, averaged over thermal
motion. That holds for graphene and other monolayers, also rippled ones, and for films of light
elements up to about 5 nm; thicker or heavier specimens spread the wave inside themselves and need
the engine ``abtem``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_apgan.simulate.scene import Scene
from napari_apgan.simulate.specimen import Floats

from .potentials import KEPT, projected_potential
from .settings import ImagingSettings
from .transfer import (
    Waves,
    aperture_frequency,
    delocalisation_pm,
    image_of_wave,
    interaction,
)

#: The wave is computed on a grid at least this fine.
FINEST_NEEDED_PM = 13.0
#: Atoms this far outside the frame and the reach of the lens still count.
ATOM_REACH_PM = 300.0
LARGEST_MARGIN_PM = 4000.0


@dataclass(frozen=True, slots=True)
class Grid:
    """A periodic grid around a frame; every pixel's centre is one of its points.

    Parameters
    ----------
    frame : (int, int)
        (rows, columns) of the frame.
    pixel_size_pm : float
    margin : int
        Pixels before the frame along both axes.
    pixels : (int, int)
        (rows, columns) of the grid in pixels of the frame.
    fine : int
        Points of the exit wave a pixel.
    coarse : int
        Points of the image a pixel; divides `fine`.
    """

    frame: tuple[int, int]
    pixel_size_pm: float
    margin: int
    pixels: tuple[int, int]
    fine: int
    coarse: int

    @property
    def shape(self) -> tuple[int, int]:
        """Points of the exit wave."""
        return self.pixels[0] * self.fine, self.pixels[1] * self.fine

    @property
    def sampling_pm(self) -> float:
        """Distance of the points of the exit wave."""
        return self.pixel_size_pm / self.fine

    def on_grid(self, xy_pm: Floats) -> Floats:
        """Return positions (N, 2) of the frame in points of the exit wave's grid."""
        return (xy_pm / self.pixel_size_pm + self.margin) * self.fine

    def near(self, xy_pm: Floats) -> NDArray[np.bool_]:
        """Return which positions (N, 2) lie on the grid."""
        at = xy_pm / self.pixel_size_pm + self.margin
        inside = (at >= 0) & (at < [self.pixels[1], self.pixels[0]])
        return inside[:, 0] & inside[:, 1]

    def crop(self, image: Floats) -> Floats:
        """Return the frame out of an image with `coarse` points a pixel."""
        m, c = self.margin * self.coarse, self.coarse
        rows, columns = self.frame
        return image[m : m + rows * c : c, m : m + columns * c : c]


def wave_grid(
    frame: tuple[int, int],
    pixel_size_pm: float,
    settings: ImagingSettings,
    finest_pm: float = FINEST_NEEDED_PM,
) -> Grid:
    """Return a grid that holds the wave and lets no atom's wrap-around reach the frame.

    Parameters
    ----------
    frame : (int, int)
        (rows, columns).
    pixel_size_pm : float
    settings : ImagingSettings
    finest_pm : float, optional
        The exit wave's points lie no farther apart.
    """
    reach = delocalisation_pm(settings) + ATOM_REACH_PM
    margin = math.ceil(min(reach, LARGEST_MARGIN_PM) / pixel_size_pm)
    rows, columns = (scipy.fft.next_fast_len(n + 2 * margin, real=True) for n in frame)
    fine = math.ceil(pixel_size_pm / finest_pm)
    # The image holds twice the frequency of the wave, and no more than the exit wave has.
    edge = min(aperture_frequency(settings), KEPT / 2 * fine / pixel_size_pm)
    needed = math.ceil(4 * edge * pixel_size_pm)
    coarse = next(c for c in range(1, fine + 1) if fine % c == 0 and c >= min(needed, fine))
    return Grid(frame, pixel_size_pm, margin, (rows, columns), fine, coarse)


def hrtem_image(scene: Scene, settings: ImagingSettings, rng: np.random.Generator) -> Floats:
    """Return the HRTEM image of a thin scene.

    Parameters
    ----------
    scene : Scene
    settings : ImagingSettings
        C1 counts from the middle of the specimen. An aperture wider than the grid's highest
        frequency (about 1 / (3 · 13 pm)) is the same as none.
    rng : numpy Generator
        Not used: the image is an average over thermal motion.

    Returns
    -------
    (Y, X) array
        Intensity at the centres of the pixels, relative to vacuum.
    """
    grid = wave_grid(scene.shape, scene.pixel_size_pm, settings)
    near = grid.near(scene.xyz_pm[:, :2])
    potential = projected_potential(
        grid.on_grid(scene.xyz_pm[near, :2]),
        scene.number[near],
        scene.thermal_pm[near],
        grid.shape,
        grid.sampling_pm,
    )
    turn = np.float32(interaction(settings.voltage_kv)) * potential
    wave = np.empty(grid.shape, dtype=np.complex64)
    np.cos(turn, out=wave.real)
    np.sin(turn, out=wave.imag)
    return record(wave, grid, settings)


def record(wave: Waves, grid: Grid, settings: ImagingSettings, *, focus_pm: float = 0.0) -> Floats:
    """Return the image of an exit wave on a grid, cropped to the frame.

    Parameters
    ----------
    wave : (Y, X) complex array
        Of ``grid.shape``; overwritten. Vacuum is 1.
    grid : Grid
    settings : ImagingSettings
    focus_pm : float, optional
        Added to C1.
    """
    spectrum = scipy.fft.fft2(wave, norm="forward", overwrite_x=True, workers=2)
    rows, columns = (n * grid.coarse for n in grid.pixels)
    small = _low_frequencies(spectrum, rows, columns)
    image = image_of_wave(small, settings, grid.pixel_size_pm / grid.coarse, focus_pm=focus_pm)
    return grid.crop(image)


def _low_frequencies(spectrum: Waves, rows: int, columns: int) -> Waves:
    """Return the (rows, columns) lowest frequencies of a spectrum in FFT order."""
    for axis, count in ((0, rows), (1, columns)):
        low = (count + 1) // 2
        head, middle, tail = np.split(spectrum, [low, spectrum.shape[axis] - count + low], axis)
        spectrum = np.concatenate([head, tail], axis) if middle.size else spectrum
    return spectrum
