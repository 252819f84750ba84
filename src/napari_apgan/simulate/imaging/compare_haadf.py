"""How well the fast HAADF engine agrees with multislice, on crystals that made no table.

The reference is PbTiO3 beside SrTiO3, cell by cell, so that every Ti has an interface on both
sides, with polar shifts of Ti and O and random shifts of whole columns. Both images, free of
counting noise, are measured in the same way: all bright columns at once, each a Gaussian on a
common background. Differences of position are then differences of the *images*, of the size that a
user would meet. The reference itself is an average over finitely many thermal configurations: with
two passes its positions repeat to about 2 pm.

``python -m napari_apgan.simulate.imaging.compare_haadf`` prints the comparison; the reference
takes minutes to hours, by the number of passes.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from napari_apgan.elements import SYMBOLS
from napari_apgan.simulate.scene import Scene, View, place
from napari_apgan.simulate.specimen import Specimen
from napari_apgan.simulate.structures.base import THERMAL_PM

from .haadf import haadf_image
from .settings import ImagingSettings
from .table_cells import BEAM, Beam, Cell, cell_image, sampled_transfer
from .transfer import wavelength_pm

Floats = NDArray[np.float64]

THICKNESSES_PM = (5_000.0, 20_000.0, 50_000.0)
TILTS_MRAD = (0.0, 5.0)
#: Rings of the reference's detector: 70 to 200 mrad.
HAADF_RINGS = slice(4, 6)
_LATTICE_PM = 390.5


def interface_cell(seed: int = 1, *, displacement_pm: float = 10.0) -> Cell:
    """Return an interface of PbTiO3 and SrTiO3 whose columns are displaced.

    In PbTiO3 Ti moves by (12, 8) pm and O by twice that; every column moves by a random vector of
    mean length `displacement_pm`.

    Parameters
    ----------
    seed : int
    displacement_pm : float, optional
    """
    rng = np.random.default_rng(seed)
    size = (2 * _LATTICE_PM, _LATTICE_PM)
    sites = []
    for i, a in enumerate(("Pb", "Sr")):
        polar = np.array([12.0, 8.0]) * (a == "Pb")
        sites += [
            (a, (i, 0.0), 0 * polar, 0),
            ("Ti", (i + 0.5, 0.5), polar, 1),
            ("O", (i + 0.5, 0.0), 2 * polar, 1),
            ("O", (i, 0.5), 2 * polar, 1),
        ]
    layers: tuple[list[tuple[str, float, float]], ...] = ([], [])
    columns = []
    for symbol, cell, shift, layer in sites:
        random = rng.normal(0.0, displacement_pm / np.sqrt(np.pi / 2), 2)
        u, v = (np.array(cell) * _LATTICE_PM + shift + random) / size
        layers[layer].append((symbol, float(u % 1), float(v % 1)))
        columns.append((symbol, float(u % 1), float(v % 1)))
        if symbol == "Ti":
            # The oxygen of this column moves as oxygen does.
            u, v = (np.array(cell) * _LATTICE_PM + 2 * shift + random) / size
            layers[0].append(("O", float(u % 1), float(v % 1)))
    return Cell(
        "PbTiO3/SrTiO3 interface",
        size,
        _LATTICE_PM,
        (tuple(layers[0]), tuple(layers[1])),
        tuple(columns),
        repeats=(1, 2),
        scan=(26, 13),
        mirrored=False,
    )


def scene_of_cell(cell: Cell, thickness_pm: float, tilt_mrad: float) -> Scene:
    """Return a scene of which the first cell covers the frame, pixel by probe position.

    Parameters
    ----------
    cell : Cell
        With the same distance of probe positions along x and y.
    thickness_pm : float
    tilt_mrad : float
        Along x.
    """
    periods = round(thickness_pm / cell.period_pm)
    step = cell.period_pm / len(cell.layers)
    around = [int(np.ceil(2000.0 / size)) for size in cell.size_pm]
    shifts = np.array(
        [(i, j) for i in range(-around[0], around[0] + 1) for j in range(-around[1], around[1] + 1)]
    ) * np.array(cell.size_pm)
    sites = np.array([(u, v) for _, u, v in cell.columns]) * cell.size_pm
    xyz, number, column, thermal = [], [], [], []
    for depth, layer in enumerate(cell.layers):
        for symbol, u, v in layer:
            at = np.array([u, v]) * cell.size_pm
            apart = (sites - at + np.array(cell.size_pm) / 2) % cell.size_pm
            owner = int(np.abs(apart - np.array(cell.size_pm) / 2).sum(axis=1).argmin())
            z = depth * step + np.arange(periods) * cell.period_pm
            for number_of_cell, shift in enumerate(shifts):
                xyz.append(np.column_stack([np.tile(at + shift, (periods, 1)), z]))
                number.append(np.full(periods, SYMBOLS.index(symbol) + 1))
                column.append(np.full(periods, number_of_cell * len(sites) + owner))
                thermal.append(np.full(periods, THERMAL_PM[symbol]))
    specimen = Specimen(
        np.concatenate(xyz),
        np.concatenate(number),
        np.concatenate(column),
        np.concatenate(thermal),
        (sites + shifts[:, None]).reshape(-1, 2),
        np.array([name for name, _, _ in cell.columns] * len(shifts)),
        np.zeros(len(sites) * len(shifts), dtype=np.int_),
    )
    pixel = cell.size_pm[0] / cell.scan[0]
    shape = (cell.scan[1], cell.scan[0])
    # The view puts the specimen's origin on the centre of the frame; here it is the first pixel.
    first = -(np.array([shape[1], shape[0]]) - 1) / 2 * pixel
    view = View(offset_pm=(float(first[0]), float(first[1])), tilt_mrad=(tilt_mrad, 0.0))
    return place(specimen, view, shape, pixel)


@dataclass(frozen=True, slots=True)
class Measured:
    """Bright columns of an image that repeats.

    Parameters
    ----------
    element : (C,) str array
    xy_pm : (C, 2) array
    intensity : (C,) array
        Integral of the Gaussian in pm².
    """

    element: NDArray[np.str_]
    xy_pm: Floats
    intensity: Floats


def with_probe_of_cell(image: Floats, cell: Cell, beam: Beam) -> Floats:
    """Return an image of the fast engine under the probe that the waves' grid of a cell samples.

    The reference's cell is small, so that its aperture consists of few pixels: that is its fault,
    not the fast engine's.

    Parameters
    ----------
    image : (NY, NX) array
        Under the probe of a round aperture; repeats with the cell.
    cell : Cell
    beam : Beam
    """
    nx, ny = cell.scan
    fy = np.fft.fftfreq(ny, cell.size_pm[1] / ny)[:, None]
    fx = np.fft.fftfreq(nx, cell.size_pm[0] / nx)
    # The autocorrelation of a disc (Goodman, Introduction to Fourier Optics, section 6.4).
    x = np.hypot(fy, fx) * wavelength_pm(beam.voltage_kv) / (2e-3 * beam.aperture_mrad)
    x = np.clip(x, 0.0, 1.0)
    disc = 2 / np.pi * (np.arccos(x) - x * np.sqrt(1 - x * x))
    # Close to the limit both are nothing, and their ratio is not to be trusted.
    ratio = np.where(x < 0.97, sampled_transfer(cell, beam) / np.maximum(disc, 1e-6), 1.0)
    changed: Floats = np.fft.ifft2(np.fft.fft2(image) * ratio).real
    return changed


def measure_columns(image: Floats, cell: Cell, lean_pm: float) -> Measured:
    """Fit Gaussians (one width an element) and a background to all columns but oxygen.

    Parameters
    ----------
    image : (NY, NX) array
    cell : Cell
    lean_pm : float
        How far the columns lean; bounds the search.
    """
    bright = [(n, u, v) for n, u, v in cell.columns if n != "O"]
    element = np.array([n for n, _, _ in bright])
    names, kind = np.unique(element, return_inverse=True)
    start = np.array([(u, v) for _, u, v in bright]) * cell.size_pm
    ny, nx = image.shape
    pixel = cell.size_pm[0] / nx
    x, y = np.arange(nx) * pixel, np.arange(ny) * pixel
    count = len(bright)

    def waves(at: Floats, grid: Floats, width: Floats, period: float) -> Floats:
        apart = (grid - at[:, None] + period / 2) % period - period / 2
        # Neighbouring periods light the edges of this one.
        periods = period * np.arange(-1, 2)[:, None, None]
        lit: Floats = np.exp(-((apart + periods) ** 2) / (2 * width[:, None] ** 2)).sum(axis=0)
        return lit

    def model(p: Floats) -> tuple[Floats, Floats, Floats]:
        at, width = p[: 2 * count].reshape(-1, 2), p[2 * count :][kind]
        bases = (
            waves(at[:, 1], y, width, cell.size_pm[1])[:, :, None]
            * waves(at[:, 0], x, width, cell.size_pm[0])[:, None, :]
        )
        design = np.concatenate([bases, np.ones((1, ny, nx))]).reshape(count + 1, -1).T
        found = np.linalg.lstsq(design, image.ravel(), rcond=None)[0]
        return (design @ found - image.ravel()) / image.std(), found, width

    def misfit(p: Floats) -> Floats:
        return model(p)[0]

    p0 = np.concatenate([start.ravel(), np.full(len(names), 45.0)])
    reach = np.concatenate([np.full(2 * count, 60.0 + lean_pm), np.full(len(names), 30.0)])
    fitted = least_squares(misfit, p0, bounds=(p0 - reach, p0 + reach), x_scale=5.0)
    _, found, width = model(fitted.x)
    at = fitted.x[: 2 * count].reshape(-1, 2)
    return Measured(element, at, 2 * np.pi * width**2 * found[:count])


@dataclass(frozen=True, slots=True)
class Comparison:
    """Fast against multislice for one element at one thickness and tilt.

    Parameters
    ----------
    thickness_pm, tilt_mrad : float
    element : str
    intensity_ratio : float
        Mean ratio of the column intensities.
    mean_shift_pm : (float, float)
        Mean difference of position (x, y): a bias that all columns share.
    rms_shift_pm : float
        Root mean square length of the difference.
    seen_pm : float
        For scale: how far along the lean multislice shows the columns from their entrance.
    """

    thickness_pm: float
    tilt_mrad: float
    element: str
    intensity_ratio: float
    mean_shift_pm: tuple[float, float]
    rms_shift_pm: float
    seen_pm: float


def compare_images(
    fast: Floats, reference: Floats, cell: Cell, thickness_pm: float, tilt_mrad: float
) -> list[Comparison]:
    """Compare two images of a cell, element by element."""
    lean = tilt_mrad * 1e-3 * thickness_pm
    ours, theirs = (measure_columns(image, cell, lean) for image in (fast, reference))
    sites = np.array([(u, v) for n, u, v in cell.columns if n != "O"]) * cell.size_pm
    rows = []
    for element in dict.fromkeys(ours.element.tolist()):
        of = ours.element == element
        shift = ours.xy_pm[of] - theirs.xy_pm[of]
        mean = shift.mean(axis=0)
        rows.append(
            Comparison(
                thickness_pm,
                tilt_mrad,
                element,
                float((ours.intensity[of] / theirs.intensity[of]).mean()),
                (float(mean[0]), float(mean[1])),
                float(np.sqrt((shift**2).sum(axis=1).mean())),
                float((theirs.xy_pm[of] - sites[of])[:, 0].mean()),
            )
        )
    return rows


def beam_settings(beam: Beam) -> ImagingSettings:
    """Return the settings of the fast engine that see what a beam and its outer rings see."""
    rings = beam.rings_mrad
    return ImagingSettings(
        mode="haadf",
        voltage_kv=beam.voltage_kv,
        aperture_mrad=beam.aperture_mrad,
        inner_mrad=rings[HAADF_RINGS.start],
        outer_mrad=rings[HAADF_RINGS.stop],
        source_size_pm=0.0,
        focal_spread_nm=0.0,
    )


def compare(
    *, passes: int = 2, folder: Path | None = None, cell: Cell | None = None, beam: Beam = BEAM
) -> list[Comparison]:
    """Compare the engines on a crystal, at all thicknesses and tilts.

    Parameters
    ----------
    passes : int, optional
        Of the reference, for each probe position; an even number has opposite disorder in pairs.
    folder : path, optional
        Keeps the images of the reference, and takes those that it finds.
    cell : Cell, optional
        The interface by default.
    beam : Beam, optional
    """
    cell = interface_cell() if cell is None else cell
    depths = np.round(np.array(THICKNESSES_PM) / cell.period_pm) * cell.period_pm
    rows = []
    for tilt in TILTS_MRAD:
        path = None if folder is None else folder / f"reference_{tilt}.npy"
        if path is not None and path.exists():
            images = np.load(path)
        else:
            images = cell_image(
                cell, tilt, depths, passes=passes, rng=np.random.default_rng(9), beam=beam
            )
            if path is not None:
                np.save(path, images)
        for depth, rings in zip(depths.tolist(), images, strict=True):
            scene = scene_of_cell(cell, depth, tilt)
            fast = haadf_image(scene, beam_settings(beam), np.random.default_rng(0))
            fast = with_probe_of_cell(fast, cell, beam)
            reference = rings[HAADF_RINGS].sum(axis=0)
            rows += compare_images(fast, reference, cell, depth, tilt)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="compare_haadf", description=__doc__.splitlines()[0])
    parser.add_argument("--passes", type=int, default=2, help="passes of the reference")
    parser.add_argument("--cells", type=Path, help="folder that keeps the reference's images")
    chosen = parser.parse_args(arguments)
    for row in compare(passes=chosen.passes, folder=chosen.cells):
        sys.stdout.write(
            f"{row.thickness_pm / 1e3:5.1f} nm {row.tilt_mrad:4.1f} mrad {row.element:2s}"
            f" intensity x {row.intensity_ratio:.3f}, mean shift ({row.mean_shift_pm[0]:+.2f},"
            f" {row.mean_shift_pm[1]:+.2f}) pm, rms {row.rms_shift_pm:.2f} pm,"
            f" multislice sees {row.seen_pm:+.1f} pm along the lean\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
