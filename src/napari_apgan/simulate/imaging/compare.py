"""How far fast HRTEM is from abTEM: correlation, contrast and places of the atoms.

abTEM does everything by itself here: its own potentials on a fine grid, its propagation, its
contrast transfer function, and an average over many foci.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from napari_apgan.simulate.scene import Scene, View, place, reach_pm
from napari_apgan.simulate.specimen import Floats
from napari_apgan.simulate.structures.graphene import GrapheneSettings, build_graphene

from . import aberrations as optics
from .hrtem import hrtem_image, wave_grid
from .multislice import quietly
from .settings import Aberrations, ImagingSettings

#: Points of abTEM's grid lie at most so far apart: it draws potentials bilinearly, which takes
#: three percent of the contrast away at 12 pm.
FINEST_PM = 5.0
#: Thickness of abTEM's slices, in Å.
SLICE = 0.5
#: Foci, and how many standard deviations they reach to.
FOCI, FOCI_REACH = 11, 3.5
#: Radius around an atom in which shifts are measured.
WINDOW_PM = 75.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two images of one scene.

    Parameters
    ----------
    scene : str
    c1_nm, c3_um : float
    correlation : float
        Pearson's.
    gain : float
        Slope of the reference's contrast against the fast one's.
    shift_pm : (float, float)
        Mean shift of the atoms in the reference from where the fast image has them.
    shift_rms_pm : float
        Root mean square of their distances, the mean included.
    """

    scene: str
    c1_nm: float
    c3_um: float
    correlation: float
    gain: float
    shift_pm: tuple[float, float]
    shift_rms_pm: float

    def __str__(self) -> str:
        x, y = self.shift_pm
        return (
            f"{self.scene:<8} C1 {self.c1_nm:+6.1f} nm  C3 {self.c3_um:+6.1f} µm  "
            f"correlation {self.correlation:.5f}  gain {self.gain:.4f}  "
            f"mean shift ({x:+.2f}, {y:+.2f}) pm  rms shift {self.shift_rms_pm:.2f} pm"
        )


def abtem_image(scene: Scene, settings: ImagingSettings) -> Floats:
    """Return abTEM's HRTEM image of a scene of resting atoms, as (Y, X) of the scene's shape.

    Parameters
    ----------
    scene : Scene
        Thermal displacements are not used.
    settings : ImagingSettings
        Voltage, aperture, aberrations and focal spread are used.
    """
    with quietly() as abtem:
        import ase

        grid = wave_grid(scene.shape, scene.pixel_size_pm, settings, FINEST_PM)
        near = grid.near(scene.xyz_pm[:, :2])
        xyz = np.empty((int(near.sum()), 3))
        xyz[:, :2] = grid.on_grid(scene.xyz_pm[near, :2]) * grid.sampling_pm / 100
        xyz[:, 2] = (scene.xyz_pm[near, 2] - scene.xyz_pm[near, 2].min()) / 100 + SLICE / 2
        cell = (
            grid.shape[1] * grid.sampling_pm / 100,
            grid.shape[0] * grid.sampling_pm / 100,
            SLICE * math.ceil(float(xyz[:, 2].max()) / SLICE + 0.5),
        )
        atoms = ase.Atoms(numbers=scene.number[near], positions=xyz, cell=cell, pbc=True)
        potential = abtem.Potential(
            atoms, gpts=grid.shape[::-1], slice_thickness=SLICE, projection="infinite"
        )
        waves = abtem.PlaneWave(energy=settings.voltage_kv * 1e3).multislice(potential, lazy=False)
        # abTEM lets a slice act where it begins, so atoms act half a slice early on average.
        behind = float(xyz[:, 2].mean()) - SLICE / 2 - cell[2]
        steps = np.linspace(-FOCI_REACH, FOCI_REACH, FOCI) if settings.focal_spread_nm else [0.0]
        weights = np.exp(-(np.asarray(steps) ** 2) / 2)
        total = np.zeros(grid.shape[::-1])
        for step, weight in zip(steps, weights / weights.sum(), strict=True):
            lens = optics.abtem_parameters(settings.aberrations)
            lens["C10"] += 10 * settings.focal_spread_nm * step + behind
            ctf = abtem.CTF(
                semiangle_cutoff=settings.aperture_mrad,
                energy=settings.voltage_kv * 1e3,
                aberration_coefficients=lens,
            )
            total += weight * np.asarray(waves.apply_ctf(ctf).intensity().array)
    rows, columns = scene.shape
    m, f = grid.margin * grid.fine, grid.fine
    return total.T[m : m + rows * f : f, m : m + columns * f : f]


def local_shifts(image: Floats, reference: Floats, xy_px: Floats, radius_px: float) -> Floats:
    """Return by how much (px; x, y) each neighbourhood lies elsewhere in the reference, (N, 2).

    Least squares of offset, gain and shift (Lucas and Kanade's linear step), for shifts that are
    small against the width of an atom.

    Parameters
    ----------
    image, reference : (Y, X) arrays
    xy_px : (N, 2) array
        Far enough from the border.
    radius_px : float
    """
    dy, dx = (np.asarray(np.gradient(image, axis=axis)) for axis in (0, 1))
    reach = math.ceil(radius_px)
    steps = np.arange(-reach, reach + 1)
    disc = steps[None] ** 2 + steps[:, None] ** 2 <= radius_px**2
    shifts = np.empty((len(xy_px), 2))
    for number, (x, y) in enumerate(np.round(xy_px).astype(int).tolist()):
        box = np.s_[y - reach : y + reach + 1, x - reach : x + reach + 1]
        columns = [np.ones(disc.sum()), image[box][disc], -dx[box][disc], -dy[box][disc]]
        fit = np.linalg.lstsq(np.stack(columns, axis=1), reference[box][disc], rcond=None)[0]
        shifts[number] = fit[2:] / fit[1]
    return shifts


def compare_images(
    name: str, scene: Scene, settings: ImagingSettings, image: Floats, reference: Floats
) -> Comparison:
    """Compare a fast image with the reference of the same scene."""
    radius = WINDOW_PM / scene.pixel_size_pm
    border = math.ceil(radius) + 1
    xy = scene.columns.xy_px
    low, high = border, np.array([scene.shape[1], scene.shape[0]]) - 1 - border
    inside = ((xy > low) & (xy < high)).all(axis=1)
    shifts = local_shifts(image, reference, xy[inside], radius) * scene.pixel_size_pm
    x, y = shifts.mean(axis=0).tolist()
    return Comparison(
        name,
        settings.aberrations.c1_nm,
        settings.aberrations.c3_um,
        float(np.corrcoef(image.ravel(), reference.ravel())[0, 1]),
        float(np.polyfit(image.ravel(), reference.ravel(), 1)[0]),
        (x, y),
        float(np.sqrt((shifts**2).sum(axis=1).mean())),
    )


def graphene_scene(
    settings: GrapheneSettings, side: int = 128, pixel_size_pm: float = 23.0, seed: int = 0
) -> Scene:
    """Return a square scene of graphene whose atoms rest."""
    shape = (side, side)
    rng = np.random.default_rng(seed)
    specimen = build_graphene(settings, rng, reach_pm(shape, pixel_size_pm))
    scene = place(specimen, View(rotation_rad=0.3), shape, pixel_size_pm)
    return replace(scene, thermal_pm=np.zeros_like(scene.thermal_pm))


SHEETS = {
    "perfect": GrapheneSettings(),
    "defects": GrapheneSettings(lines="5-7", vacancy_percent=1.0, dopant="Si", dopant_percent=1.0),
    "rippled": GrapheneSettings(ripple_pm=200.0),
}
LENSES = (
    Aberrations(c1_nm=10.0, c3_um=-20.0),
    Aberrations(c1_nm=-10.0, c3_um=-20.0),
    Aberrations(c1_nm=5.0, c3_um=-20.0),
    Aberrations(c1_nm=-3.0, c3_um=5.0),
    Aberrations(c1_nm=8.0, c3_um=-20.0, a1_nm=2.0, a1_deg=30.0, b2_nm=60.0, a2_nm=60.0),
)


def compare_hrtem(side: int = 128) -> Iterator[Comparison]:
    """Yield comparisons on graphene at 80 kV, 40 mrad, with a focal spread of 3 nm.

    Parameters
    ----------
    side : int, optional
        Of the frames, in px of 23 pm.
    """
    rng = np.random.default_rng(0)
    for name, sheet in SHEETS.items():
        scene = graphene_scene(sheet, side)
        for lens in LENSES:
            settings = ImagingSettings(aberrations=lens)
            image = hrtem_image(scene, settings, rng)
            yield compare_images(name, scene, settings, image, abtem_image(scene, settings))


def main() -> int:
    """Write one line a comparison; ``python -m napari_apgan.simulate.imaging.compare``."""
    for row in compare_hrtem():
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
