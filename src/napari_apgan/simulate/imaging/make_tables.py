"""Make the tables of columns that the fast STEM engine ships with.

``python -m napari_apgan.simulate.imaging.make_tables -o columns.npz`` computes the cells of
:mod:`.table_cells` by multislice and reads from the scanned images what each kind of column adds to
them. It needs abTEM and takes about half an hour on one core; ``--cells FOLDER`` keeps the images
of the cells and takes those that it finds there.

What a column adds to an image at a thickness is written as

    probe ⊗ (Σ_k c_k Gaussian(WIDTHS_PM[k])) at its entrance + shift,

and the cell as a whole adds a haze, Gaussians of :data:`HAZE_PM` at the columns in proportion to
ΣZ^1.7: electrons that left a column and scatter elsewhere. The coefficients, linear, and the
shifts, not linear, are fitted to the Fourier coefficients of the image, which repeats with the
cell.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from napari_apgan.simulate.scene import Z_POWER
from napari_apgan.simulate.structures.base import THERMAL_PM, USUAL_THERMAL_PM

from .crosssections import cross_section_pm2
from .table_cells import BEAM, CELLS, Cell, cell_image, sampled_transfer
from .tables import HAZE_PM, SHIFT, WIDTHS_PM
from .transfer import wavelength_pm

Floats = NDArray[np.float64]

TILTS_MRAD = (0.0, 2.5, 5.0, 10.0)
#: Thicknesses that are read: dense where the beam is still finding its columns.
NODES_PM = np.concatenate(
    [
        np.array([4, 8, 12, 16, 24, 32, 40, 50, 65, 80, 100]) * 100.0,
        np.arange(12_500.0, 60_001.0, 2_500.0),
    ]
)
#: Passes over each cell; lead shakes most.
PASSES = (2, 5, 2, 2)
#: Which rings make which detector.
DETECTORS = {"haadf": slice(4, 6), "adf": slice(3, 6), "abf": slice(1, 2)}
#: Fraction of the electrons on the ABF detector in vacuum.
BRIGHT = 1 - (BEAM.rings_mrad[1] / BEAM.rings_mrad[2]) ** 2
#: Weight of the expectation that columns are seen where their first third lies; that of columns too
#: faint to tell.
PRIOR, PRIOR_OF_FAINT = 0.02, 1.0
#: Share of an image's contrast that its disorder makes, and how well (relative) the signal of a
#: column is expected to be that of its atoms alone: what decides where the image says nothing, as
#: on oxygen beside lead.
NOISE = 0.05
EXPECTATION = 0.5


class CellFit:
    """Reads the columns from images of one cell.

    Parameters
    ----------
    cell : Cell
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.names = tuple(dict.fromkeys(name for name, _, _ in cell.columns))
        nx, ny = cell.scan
        fy = np.fft.fftfreq(ny, cell.size_pm[1] / ny)[:, None] + np.zeros(nx)
        fx = np.fft.fftfreq(nx, cell.size_pm[0] / nx) + np.zeros((ny, 1))
        size = np.hypot(fx, fy)
        # A real image says nothing new on the left half.
        self._kept = (size < 2e-3 * BEAM.aperture_mrad / wavelength_pm(BEAM.voltage_kv)) & (fx >= 0)
        self._fx, size = fx[self._kept], size[self._kept]
        self._twice = np.where(self._fx > 0, np.sqrt(2), 1.0)
        probe = sampled_transfer(cell, BEAM)[self._kept]
        self._widths = probe * np.exp(-2 * (np.pi * np.outer(WIDTHS_PM, size)) ** 2)
        self._places = np.array([self._columns(name, fx, fy) for name in self.names])
        strength = np.array([sum(z**Z_POWER for z in cell.atoms_of(n)) for n in self.names])
        self.scattering = strength
        haze = (
            strength
            @ self._places
            / sum(strength[self.names.index(name)] for name, _, _ in cell.columns)
        )
        self._haze = haze * probe * np.exp(-2 * (np.pi * HAZE_PM * size) ** 2)

    def _columns(self, name: str, fx: Floats, fy: Floats) -> NDArray[np.complex128]:
        total = np.zeros(int(self._kept.sum()), dtype=np.complex128)
        for column, u, v in self.cell.columns:
            if column == name:
                x, y = u * self.cell.size_pm[0], v * self.cell.size_pm[1]
                total += np.exp(-2j * np.pi * (fx * x + fy * y))[self._kept]
        return total

    def widths_of(self, name: str) -> tuple[int, ...]:
        """Return which of the widths a column takes: those of light atoms are too weak for all."""
        return (1,) if self.cell.atoms_of(name) == [8] else tuple(range(len(WIDTHS_PM)))

    def _design(self, shifts: Floats) -> Floats:
        shifted = self._places * np.exp(-2j * np.pi * np.outer(shifts, self._fx))
        parts = [
            shifted[i] * self._widths[k]
            for i, n in enumerate(self.names)
            for k in self.widths_of(n)
        ]
        design = np.array([*parts, self._haze]).T * self._twice[:, None]
        return np.concatenate([design.real, design.imag])

    def _expectation(self, alone: Floats) -> tuple[Floats, Floats]:
        """Return equations (per unit of contrast) for the sum of each column's coefficients."""
        owner = [i for i, n in enumerate(self.names) for _ in self.widths_of(n)]
        known = np.flatnonzero(np.isfinite(alone))
        rows = np.zeros((len(known), len(owner) + 1))
        for row, i in zip(rows, known.tolist(), strict=True):
            row[:-1][np.array(owner) == i] = NOISE / (EXPECTATION * alone[i])
        return rows, np.full(len(known), NOISE / EXPECTATION)

    def read(
        self, image: Floats, alone: Floats, lean_pm: float
    ) -> tuple[Floats, Floats, float, float]:
        """Fit one image.

        Parameters
        ----------
        image : (NY, NX) array
        alone : (names,) array
            Signals expected of columns whose atoms scatter alone, in pm²; NaN: unknown.
        lean_pm : float
            How far the columns lean from entrance to exit.

        Returns
        -------
        coefficients : (names, widths) array
            Integrals in pm².
        shifts : (names,) array
            In pm from the entrance.
        haze : float
            Integral over the cell in pm².
        misfit : float
            Root mean square of what is left over that of the image's variation.
        """
        area = self.cell.size_pm[0] * self.cell.size_pm[1]
        spectrum = np.fft.fft2(image)[self._kept] * area / image.size * self._twice
        data = np.concatenate([spectrum.real, spectrum.imag])
        contrast = np.sqrt(area) * image.std() * np.sqrt(area)

        trust, wanted = self._expectation(alone)
        share = contrast / np.sqrt(len(data))
        trust, wanted = trust * share, wanted * share
        faint = np.array([len(self.widths_of(n)) == 1 for n in self.names]) & np.isfinite(alone)
        prior = np.where(faint, PRIOR_OF_FAINT, PRIOR)

        def solve(shifts: Floats) -> tuple[Floats, Floats]:
            design = self._design(shifts)
            found = np.linalg.lstsq(
                np.concatenate([design, trust]), np.concatenate([data, wanted]), rcond=1e-4
            )[0]
            return found, data - design @ found

        def misfit(shifts: Floats) -> Floats:
            expected = (shifts - lean_pm / 3) / lean_pm * prior
            return np.concatenate([solve(shifts)[1] / contrast, expected])

        shifts = np.zeros(len(self.names))
        if lean_pm:
            start = np.full(len(self.names), lean_pm / 6)
            bound = lean_pm + 1.0
            shifts = least_squares(misfit, start, bounds=(-bound, bound), x_scale=3.0).x
        found, left = solve(shifts)
        coefficients = np.zeros((len(self.names), len(WIDTHS_PM)))
        position = 0
        for i, name in enumerate(self.names):
            for k in self.widths_of(name):
                coefficients[i, k] = found[position]
                position += 1
        return coefficients, shifts, float(found[-1]), float(np.sqrt((left**2).sum()) / contrast)


def cell_images(cell: Cell, number: int, folder: Path | None) -> Iterator[tuple[float, Floats]]:
    """Yield tilts and (T, R, NY, NX) images of a cell, from the folder where it has them."""
    for tilt in TILTS_MRAD:
        path = None if folder is None else folder / f"raw_{number}_{tilt}.npz"
        if path is not None and path.exists():
            yield tilt, np.load(path)["im"]
            continue
        rng = np.random.default_rng(number)
        images = cell_image(cell, tilt, NODES_PM, passes=PASSES[number], rng=rng)
        if path is not None:
            np.savez(path, im=images)
        yield tilt, images


def table_of_cell(
    cell: Cell, number: int, folder: Path | None
) -> tuple[dict[str, Floats], list[str]]:
    """Return tables (names, tilts, depths, quantities) for each detector, and lines of a report.

    Quantities are cumulative over the depth and divided by what the atoms of one pm of column
    would scatter alone (for ABF by Z per pm): the coefficients, their sum times the shift per
    mrad, and the haze.
    """
    fit = CellFit(cell)
    depths = np.rint(NODES_PM / cell.period_pm) * cell.period_pm
    tables = {
        d: np.zeros((len(fit.names), len(TILTS_MRAD), len(depths) + 1, len(WIDTHS_PM) + 2))
        for d in DETECTORS
    }
    report = []
    share = fit.scattering / sum(
        fit.scattering[fit.names.index(name)] for name, _, _ in cell.columns
    )
    for t, (tilt, images) in enumerate(cell_images(cell, number, folder)):
        for detector, rings in DETECTORS.items():
            unit = np.array([_unit(cell, name, detector) for name in fit.names])
            for d, depth in enumerate(depths):
                image = images[d, rings].sum(axis=0)
                if detector == "abf":
                    image = BRIGHT - image
                lean = tilt * 1e-3 * depth
                alone = unit * depth if detector != "abf" else np.full(len(unit), np.nan)
                found, shifts, haze, misfit = fit.read(image, alone, lean)
                moment = found.sum(axis=1) * shifts / max(tilt, 1e-9)
                row = np.column_stack([found, moment, haze * share]) / unit[:, None]
                tables[detector][:, t, d + 1] = row
                report.append(
                    f"{cell.name} {detector} {tilt:4.1f} mrad {depth / 1e3:5.1f} nm: left"
                    f" {misfit:.3f}, shifts {np.round(shifts, 1).tolist()},"
                    f" response {np.round(row[:, :3].sum(axis=1) / depth, 3).tolist()},"
                    f" haze {row[0, 4] / depth:.3f}"
                )
    for detector, table in tables.items():
        if detector != "abf":
            # One or two atoms scatter alone, which the noise of their image would hide.
            first = depths[0]
            table[:, :, 1] = 0.0
            table[:, :, 1, 0] = first
            table[:, :, 1, SHIFT] = first * first / 2 * 1e-3
        _resample(table, depths)
    return tables, report


def _unit(cell: Cell, name: str, detector: str) -> float:
    """Return what the atoms of a pm of column scatter alone (pm² per pm); for ABF Z per pm."""
    atoms = cell.atoms_of(name)
    if detector == "abf":
        return sum(atoms) / cell.period_pm
    rings = DETECTORS[detector]
    inner, outer = BEAM.rings_mrad[rings.start], BEAM.rings_mrad[rings.stop]
    return sum(cross_section_pm2(z, BEAM.voltage_kv, inner, outer) for z in atoms) / cell.period_pm


def _resample(table: Floats, depths: Floats) -> None:
    """Bring a table from whole periods of its cell to the depths that all tables share."""
    own = np.concatenate([[0.0], depths])
    flat = table.reshape(-1, len(own), table.shape[-1])
    for rows in flat:
        for q in range(rows.shape[1]):
            rows[1:, q] = np.interp(NODES_PM, own, rows[:, q])


def make(
    folder: Path | None, cells: tuple[Cell, ...] = CELLS
) -> tuple[dict[str, NDArray[np.generic]], list[str]]:
    """Return the arrays of the file of tables and the lines of a report."""
    names, strengths, thermal, report = [], [], [], []
    rows: dict[str, list[Floats]] = {d: [] for d in DETECTORS}
    for cell in cells:
        number = CELLS.index(cell)
        tables, lines = table_of_cell(cell, number, folder)
        report += lines
        for i, name in enumerate(CellFit(cell).names):
            atoms = cell.atoms_of(name)
            names.append(f"{name} in {cell.name}")
            strengths.append(sum(atoms) / cell.period_pm)
            thermal.append(THERMAL_PM.get(name, USUAL_THERMAL_PM))
            for detector in DETECTORS:
                rows[detector].append(tables[detector][i])
    order = np.argsort(strengths)
    meta = {
        "voltage_kv": BEAM.voltage_kv,
        "aperture_mrad": BEAM.aperture_mrad,
        "rings_mrad": BEAM.rings_mrad,
        "passes": PASSES,
        "columns": [names[i] for i in order],
        "potentials": "abTEM, Lobato, infinite projection",
    }
    arrays: dict[str, NDArray[np.generic]] = {
        "strength_per_pm": np.array(strengths)[order],
        "thermal_pm": np.array(thermal)[order],
        "tilt_mrad": np.array(TILTS_MRAD),
        "depth_pm": np.concatenate([[0.0], NODES_PM]),
        "meta": np.array(json.dumps(meta)),
    }
    for detector, table in rows.items():
        arrays[detector] = np.stack(table)[order].astype(np.float32)
    return arrays, report


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="make_tables", description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write (.npz)")
    parser.add_argument("--cells", type=Path, help="folder that keeps the images of the cells")
    chosen = parser.parse_args(arguments)
    arrays, report = make(chosen.cells)
    np.savez_compressed(chosen.output, allow_pickle=False, **arrays)
    sys.stderr.write("\n".join(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
