"""Fast HRTEM: a phase object under a partially coherent lens.

A sheet shifts the phase of the wave by σ times its projected potential, averaged over thermal
motion. Specimens of some thickness (ripples, films, particles) are cut into a few such sheets with
free propagation between them, a coarse multislice. What is left out is the diffuse scattering by
thermal motion: it matters in specimens thicker than about 5 nm of heavy elements, and is what the
engine ``abtem`` is for.

Source: J. M. Cowley, A. F. Moodie, Acta Crystallographica 10 (1957) 609.
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
    frequencies,
    image_of_wave,
    interaction,
    wavelength_pm,
)

#: The wave is computed on a grid at least this fine.
FINEST_NEEDED_PM = 13.0
#: Greatest distance of the sheets that a thick specimen is cut into.
SHEET_PM = 500.0
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


@dataclass(frozen=True, slots=True)
class Slices:
    """Evenly spaced slices, the first and last at the first and last atom.

    Parameters
    ----------
    depth : (N,) array
        Where each atom lies, in slices from the first.
    count : int
    step_pm : float
        Distance between slices.
    entrance_pm : float
        Depth of the first slice.
    middle_pm : float
        Mean depth of the atoms.
    """

    depth: Floats
    count: int
    step_pm: float
    entrance_pm: float
    middle_pm: float


def cut_in_slices(z_pm: Floats, greatest_pm: float) -> Slices:
    """Return evenly spaced slices from the first to the last atom.

    Parameters
    ----------
    z_pm : (N,) array
        Depths of the atoms.
    greatest_pm : float
        Greatest distance between slices.
    """
    if not len(z_pm):
        return Slices(np.zeros(0), 1, greatest_pm, 0.0, 0.0)
    entrance, thickness = float(z_pm.min()), float(np.ptp(z_pm))
    count = math.ceil(thickness / greatest_pm - 1e-6) + 1
    step = thickness / (count - 1) if count > 1 else greatest_pm
    return Slices((z_pm - entrance) / step, count, step, entrance, float(z_pm.mean()))


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
    """Return the HRTEM image of a scene.

    Parameters
    ----------
    scene : Scene
    settings : ImagingSettings
        C1 counts from the mean depth of the atoms. An aperture wider than the grid's highest
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
    xyz, number, thermal = scene.xyz_pm[near], scene.number[near], scene.thermal_pm[near]
    slices = cut_in_slices(xyz[:, 2], SHEET_PM)
    at = grid.on_grid(xyz[:, :2])
    move = _free_space(grid, settings, slices.step_pm) if slices.count > 1 else None
    wave: Waves | None = None
    for sheet in range(slices.count):
        # Atoms between two sheets belong to both, so that their depth is right on average.
        share = np.clip(1 - np.abs(slices.depth - sheet), 0.0, 1.0)
        here = share > 0
        potential = projected_potential(
            at[here],
            number[here],
            thermal[here],
            grid.shape,
            grid.sampling_pm,
            share=share[here],
        )
        shift = _phase_object(np.float32(interaction(settings.voltage_kv)) * potential)
        wave = shift if wave is None or move is None else _propagate(wave, move) * shift
    assert wave is not None  # there is always one slice
    exit_pm = slices.entrance_pm + (slices.count - 1) * slices.step_pm
    return record(wave, grid, settings, focus_pm=slices.middle_pm - exit_pm)


def _phase_object(turn: NDArray[np.float32]) -> Waves:
    wave = np.empty(turn.shape, dtype=np.complex64)
    np.cos(turn, out=wave.real)
    np.sin(turn, out=wave.imag)
    return wave


def _free_space(grid: Grid, settings: ImagingSettings, distance_pm: float) -> Waves:
    """Return the propagator, 0 for frequencies that the grid cannot carry."""
    turn = math.pi * wavelength_pm(settings.voltage_kv) * distance_pm
    kx, ky = frequencies(grid.shape, grid.sampling_pm)
    # Row times column: an exponential of every point would take longer than the propagation.
    move: Waves = np.exp(-1j * turn * ky**2).astype(np.complex64) * np.exp(
        -1j * turn * kx**2
    ).astype(np.complex64)
    move *= kx**2 + ky**2 < (KEPT / 2 / grid.sampling_pm) ** 2
    return move


def _propagate(wave: Waves, move: Waves) -> Waves:
    spectrum = scipy.fft.fft2(wave, overwrite_x=True, workers=2)
    spectrum *= move
    moved: Waves = scipy.fft.ifft2(spectrum, overwrite_x=True, workers=2)
    return moved


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
