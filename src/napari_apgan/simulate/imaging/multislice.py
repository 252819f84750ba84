"""Multislice by abTEM: HRTEM with a plane wave, STEM with a scattering matrix or with probes.

The potentials are drawn here (Lobato's scattering factors, projected into slices) and handed to
abTEM, which propagates the waves, scans and detects. Its own infinite projection interpolates
bilinearly: an atom between the points of a grid of 4 pm scatters 13 % less to a HAADF detector than
one on a point, here less than 0.1 %. HRTEM images are recorded like those of the engine ``fast``,
so that both differ in the exit wave alone.

Sources: J. Madsen, T. Susi, Open Research Europe 1 (2021) 24 (abTEM); C. Ophus, Advanced Structural
and Chemical Imaging 3 (2017) 13 (PRISM); R. F. Loane, P. Xu, J. Silcox, Acta Cryst. A 47 (1991) 267
(frozen phonons).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import Scene
from napari_apgan.simulate.specimen import Floats, Ints

from . import aberrations as optics
from .hrtem import Slices, cut_in_slices, record, wave_grid
from .potentials import KEPT, projected_potential
from .settings import ImagingSettings
from .transfer import aperture_frequency, foci, wavelength_pm

#: Greatest distance of slices.
SLICE_PM = 200.0
#: Slices whose potentials are held at a time in HRTEM.
SLICES_AT_A_TIME = 12
#: HRTEM waves are sampled at least this finely.
FINEST_HRTEM_PM = 9.0
#: STEM waves carry at least this frequency (1/pm), so that the scattering inside is right also
#: where the detector is small.
STEM_FREQUENCY = 0.04
#: Memory for a scattering matrix.
MATRIX_BYTES = 1.5e9
#: How much of its edge a probe has beyond the reach of its aberrations.
PROBE_TAIL_PM = 600.0
#: Probes are followed at most so far from their centre.
WIDEST_PROBE_PM = 2500.0
#: Costs of a complex multiplication in a matrix product, of a Fourier transform a point, and of
#: beginning a block, in the same unit (about 0.1 ns on two cores).
PRODUCT_COST, FOURIER_COST, BLOCK_COST = 1.0, 100.0, 1e9


def multislice_image(scene: Scene, settings: ImagingSettings, rng: np.random.Generator) -> Floats:
    """Return the image of a scene by multislice.

    Each frozen-phonon configuration displaces every atom in the image plane by its thermal
    displacement. The focal spread is an average over foci (Gauss-Hermite; in HRTEM the exact
    envelope where the scattered wave meets the unscattered one), the angular spread of HRTEM an
    envelope, the source of STEM a Gaussian blur of the scan.

    Parameters
    ----------
    scene : Scene
        Of any thickness; mistilt is in the positions of the atoms.
    settings : ImagingSettings
        C1 counts from the mean depth of the atoms in HRTEM, and from the first atom in STEM.
    rng : numpy Generator
        Draws the frozen phonons.

    Returns
    -------
    (Y, X) array
        HRTEM: intensity relative to vacuum; STEM: fraction of the electrons on the detector.

    Raises
    ------
    UserError
        When abTEM is not installed.
    """
    with quietly() as abtem:
        images = [
            _hrtem(abtem, still, settings)
            if settings.mode == "hrtem"
            else _stem(abtem, still, settings)
            for still in _configurations(scene, settings.phonons, rng)
        ]
    mean: Floats = np.mean(images, axis=0)
    return mean


@contextmanager
def quietly() -> Iterator[Any]:
    """Give abTEM, set up to compute at once, in single precision and without progress bars.

    Raises
    ------
    UserError
        When abTEM is not installed.
    """
    try:
        import abtem
    except ImportError as error:
        raise UserError(
            "The multislice engine needs abTEM, which is not installed: run "
            "`pip install napari-apgan[simulate]`, or choose the engine 'fast'."
        ) from error
    setup = {
        "device": "cpu",
        "precision": "float32",
        "fft": "fftw",
        # Plans that are measured differ from run to run, and with them the last digits.
        "fftw.planning_effort": "FFTW_ESTIMATE",
        "fftw.threads": 2,
        "diagnostics.progress_bar": False,
        "dask.lazy": False,
    }
    with abtem.config.set(setup):
        yield abtem


def _configurations(scene: Scene, count: int, rng: np.random.Generator) -> Iterator[Scene]:
    """Yield scenes of resting atoms: `count` thermal snapshots, or the scene itself for none."""
    if not count:
        yield scene
    for _ in range(count):
        xyz = scene.xyz_pm.copy()
        xyz[:, :2] += rng.normal(0.0, 1.0, (len(xyz), 2)) * scene.thermal_pm[:, None]
        yield replace(scene, xyz_pm=xyz)


def _potentials(
    xy_px: Floats,
    number: Ints,
    depth: Floats,
    slices: range,
    shape: tuple[int, int],
    sampling_pm: float,
) -> NDArray[np.float32]:
    """Return potentials in V Å, (slices, X, Y): abTEM's first axis is x.

    `depth` (N,) is in slices; atoms between two slices are shared out.
    """
    array = np.zeros((len(slices), shape[1], shape[0]), dtype=np.float32)
    for row, which in zip(array, slices, strict=True):
        share = np.clip(1 - np.abs(depth - which), 0.0, 1.0)
        here = share > 0
        if here.any():
            still = np.zeros(int(here.sum()))
            drawn = projected_potential(
                xy_px[here], number[here], still, shape, sampling_pm, share=share[here]
            )
            row[...] = drawn.T / 100
    return array


def _hrtem(abtem: Any, scene: Scene, settings: ImagingSettings) -> Floats:
    grid = wave_grid(scene.shape, scene.pixel_size_pm, settings, FINEST_HRTEM_PM)
    near = grid.near(scene.xyz_pm[:, :2])
    xyz, number = scene.xyz_pm[near], scene.number[near]
    slices = cut_in_slices(xyz[:, 2], SLICE_PM)
    sampling = grid.sampling_pm
    extent = (grid.shape[1] * sampling / 100, grid.shape[0] * sampling / 100)
    waves = abtem.PlaneWave(
        energy=settings.voltage_kv * 1e3, gpts=grid.shape[::-1], extent=extent
    ).build(lazy=False)
    for first in range(0, slices.count, SLICES_AT_A_TIME):
        part = range(first, min(first + SLICES_AT_A_TIME, slices.count))
        at = grid.on_grid(xyz[:, :2])
        array = _potentials(at, number, slices.depth, part, grid.shape, sampling)
        potential = abtem.PotentialArray(array, slices.step_pm / 100, extent=extent)
        waves = waves.multislice(potential)
    # abTEM propagates the wave past the last slice; C1 counts from the middle.
    exit_pm = slices.entrance_pm + slices.count * slices.step_pm
    wave = np.array(waves.array.T, dtype=np.complex64, order="C")
    return record(wave, grid, settings, focus_pm=slices.middle_pm - exit_pm)


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """How a scan is divided, and how its waves are sampled.

    Parameters
    ----------
    margin_pm : float
        Specimen around the probes of a block.
    block : (int, int)
        (rows, columns) of probe positions in a block.
    points : (int, int)
        (Y, X) of the waves' grid.
    sampling_pm : float
    interpolation : int
        Of PRISM: the window around a probe is the cell divided by this.
    prism : bool
        A scattering matrix; else every probe on its own.
    """

    margin_pm: float
    block: tuple[int, int]
    points: tuple[int, int]
    sampling_pm: float
    interpolation: int
    prism: bool


def plan_scan(
    positions: tuple[int, int], pixel_size_pm: float, slices: int, settings: ImagingSettings
) -> ScanPlan:
    """Return the division of a scan that is expected to take least time within the memory.

    Parameters
    ----------
    positions : (int, int)
        (rows, columns) of probes.
    pixel_size_pm : float
    slices : int
    settings : ImagingSettings
    """
    wavelength = wavelength_pm(settings.voltage_kv)
    edge = aperture_frequency(settings)
    outer = settings.detector_mrad[1] * 1e-3 / wavelength
    highest = max(1.05 * outer, 1.5 * edge, STEM_FREQUENCY)
    sampling = KEPT / (2 * highest)
    thickness = slices * SLICE_PM
    turn = np.linspace(0.0, 2 * math.pi, 24, endpoint=False)
    slope = optics.gradient(
        settings.aberrations, edge * np.cos(turn), edge * np.sin(turn), wavelength
    )
    lens = float(np.abs(slope).max()) / (2 * math.pi)
    lens += 2 * settings.focal_spread_nm * 1e3 * settings.aperture_mrad * 1e-3
    margin = min(
        PROBE_TAIL_PM + lens + thickness * settings.aperture_mrad * 1e-3 / 2, WIDEST_PROBE_PM
    )
    best: tuple[float, ScanPlan] | None = None
    side = max(positions)
    while True:
        block = (min(side, positions[0]), min(side, positions[1]))
        cells = [n * pixel_size_pm + 2 * margin for n in block]
        windows = max(1, int(min(cells) / (2 * margin)))
        blocks = math.prod(math.ceil(n / b) for n, b in zip(positions, block, strict=True))
        for prism in (True, False):
            factor = windows if prism else 1
            points = _points(cells, sampling, factor)
            plan = ScanPlan(margin, block, points, sampling, factor, prism)
            cost, size = _cost(plan, slices, edge, highest)
            total = blocks * (cost + BLOCK_COST)
            if size < MATRIX_BYTES and (best is None or total < best[0]):
                best = (total, plan)
        if side <= 4:
            break
        side = math.ceil(side / 2)
    assert best is not None  # single probes hold no matrix
    return best[1]


def _points(cells_pm: list[float], sampling_pm: float, factor: int) -> tuple[int, int]:
    """Return (Y, X) points that hold a cell, in multiples of the interpolation."""
    y, x = (
        2 * factor * scipy.fft.next_fast_len(math.ceil(cell / sampling_pm / (2 * factor)))
        for cell in cells_pm
    )
    return y, x


def _cost(plan: ScanPlan, slices: int, edge: float, highest: float) -> tuple[float, float]:
    """Return the cost of a block, and the bytes of its matrix."""
    cell, probes = math.prod(plan.points), math.prod(plan.block)
    if not plan.prism:
        return FOURIER_COST * probes * cell * (2 * slices + 1), 0.0
    window = cell / plan.interpolation**2
    beams = math.pi * edge**2 * window * plan.sampling_pm**2
    kept = KEPT**2
    build = FOURIER_COST * beams * cell * 2 * slices
    reduce = probes * window * kept * (PRODUCT_COST * beams + FOURIER_COST)
    return build + reduce, 8 * beams * cell * kept


def _stem(abtem: Any, scene: Scene, settings: ImagingSettings) -> Floats:
    pixel = scene.pixel_size_pm
    # Probes around the frame, so that the blur of the source knows what lies there.
    blur = settings.source_size_pm / pixel
    around = math.ceil(3 * blur)
    positions = (scene.shape[0] + 2 * around, scene.shape[1] + 2 * around)
    slices = cut_in_slices(scene.xyz_pm[:, 2], SLICE_PM)
    plan = plan_scan(positions, pixel, slices.count, settings)
    image = np.empty(positions)
    rows, columns = plan.block
    for top in range(0, positions[0], rows):
        for left in range(0, positions[1], columns):
            # The last block of a row or column reaches back, so that all have one size.
            y, x = min(top, positions[0] - rows), min(left, positions[1] - columns)
            corner = ((x - around) * pixel, (y - around) * pixel)
            image[y : y + rows, x : x + columns] = _scan_block(
                abtem, scene, slices, settings, plan, corner
            )
    if blur:
        image = gaussian_filter(image, blur, mode="nearest", truncate=4.0)
    return image[around : around + scene.shape[0], around : around + scene.shape[1]]


def _scan_block(
    abtem: Any,
    scene: Scene,
    slices: Slices,
    settings: ImagingSettings,
    plan: ScanPlan,
    corner_pm: tuple[float, float],
) -> Floats:
    """Return the signal of a block whose first probe stands at `corner_pm` (x, y)."""
    pixel, sampling = scene.pixel_size_pm, plan.sampling_pm
    sides = np.array([plan.points[1], plan.points[0]]) * sampling
    reach = (np.array([plan.block[1], plan.block[0]]) - 1) * pixel
    start = (sides - reach) / 2
    at = scene.xyz_pm[:, :2] - corner_pm + start
    inside = ((at >= 0) & (at < sides)).all(axis=1)
    potential = abtem.PotentialArray(
        _potentials(
            at[inside] / sampling,
            scene.number[inside],
            # Whole atoms: two halves would cancel in part what they scatter to high angles.
            np.round(slices.depth[inside]),
            range(slices.count),
            plan.points,
            sampling,
        ),
        slices.step_pm / 100,
        extent=tuple((sides / 100).tolist()),
    )
    scan = abtem.GridScan(
        start=tuple((start / 100).tolist()),
        end=tuple(((start + reach + pixel) / 100).tolist()),
        gpts=(plan.block[1], plan.block[0]),
        endpoint=False,
    )
    inner, outer = settings.detector_mrad
    detector = abtem.AnnularDetector(inner=inner, outer=outer)
    energy, edge = settings.voltage_kv * 1e3, settings.aperture_mrad
    matrix = None
    if plan.prism:
        matrix = abtem.SMatrix(
            potential=potential,
            energy=energy,
            semiangle_cutoff=edge,
            interpolation=plan.interpolation,
        ).build(lazy=False)
    signal = np.zeros(plan.block)
    for shift_pm, weight in foci(settings):
        lens = optics.abtem_parameters(settings.aberrations)
        lens["C10"] += shift_pm / 100
        if matrix is not None:
            ctf = abtem.CTF(semiangle_cutoff=edge, energy=energy, aberration_coefficients=lens)
            measured = matrix.reduce(scan=scan, detectors=detector, ctf=ctf)
        else:
            probe = abtem.Probe(semiangle_cutoff=edge, energy=energy, aberrations=lens)
            probe.grid.match(potential)
            measured = probe.scan(potential, scan=scan, detectors=detector, lazy=False)
        signal += weight * np.asarray(measured.array, dtype=np.float64).T
    return signal
