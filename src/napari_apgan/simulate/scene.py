"""Scenes: a specimen as one frame sees it, with the truth about every column.

Here x and y are measured from the centre of the first pixel: ``x_pm / pixel_size_pm`` is the column
coordinate of an image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_apgan.elements import SYMBOLS

from .specimen import Floats, Ints, Specimen, Strings

#: The element of a column is scored where one species carries this share of its scattering.
PURE_SHARE = 0.8
#: Scattering to large angles goes about as this power of the atomic number.
Z_POWER = 1.7


class ViewSettings(BaseModel):
    """How the specimen lies under the beam; drawn anew for each frame.

    Parameters
    ----------
    rotation_deg : float, optional
        Rotation in the image plane in degrees, from x towards y; any angle when empty.
    strain_percent : float
        Largest strain: both normal and the shear component are drawn between minus and plus this.
    tilt_mrad : float
        Largest mistilt of the zone axis in mrad; its direction is random.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotation_deg: float | None = None
    strain_percent: float = Field(default=1.0, ge=0, le=15)
    tilt_mrad: float = Field(default=0.0, ge=0, le=100)


@dataclass(frozen=True, slots=True)
class View:
    """How one frame sees the specimen.

    Parameters
    ----------
    rotation_rad : float
    offset_pm : (float, float)
        Where the specimen's origin lies, relative to the centre of the frame.
    strain : ((float, float), (float, float))
        Symmetric strain in the specimen's axes, applied before the rotation.
    tilt_mrad : (float, float)
        Shift of an atom in x and y per depth z, in the frame's axes.
    """

    rotation_rad: float = 0.0
    offset_pm: tuple[float, float] = (0.0, 0.0)
    strain: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0))
    tilt_mrad: tuple[float, float] = (0.0, 0.0)

    def matrix(self) -> Floats:
        """Return the 2x2 matrix of strain, then rotation."""
        c, s = math.cos(self.rotation_rad), math.sin(self.rotation_rad)
        turned: Floats = np.array([[c, -s], [s, c]]) @ (np.eye(2) + np.asarray(self.strain))
        return turned


#: The specimen's origin is drawn within this distance (pm) of the frame's centre, along x and y.
OFFSET_PM = 500.0


def draw_view(settings: ViewSettings, rng: np.random.Generator) -> View:
    """Draw one view."""
    turn = rng.uniform(0.0, 2 * math.pi)
    if settings.rotation_deg is not None:
        turn = math.radians(settings.rotation_deg)
    e_xx, e_yy, e_xy = (rng.uniform(-0.01, 0.01, 3) * settings.strain_percent).tolist()
    size, where = rng.uniform(0.0, settings.tilt_mrad), rng.uniform(0.0, 2 * math.pi)
    dx, dy = rng.uniform(-OFFSET_PM, OFFSET_PM, 2).tolist()
    return View(
        turn,
        (dx, dy),
        ((e_xx, e_xy), (e_xy, e_yy)),
        (size * math.cos(where), size * math.sin(where)),
    )


@dataclass(frozen=True, slots=True)
class Columns:
    """The truth about columns; every array has one row a column.

    Parameters
    ----------
    xy_px : (C, 2) array
        Mean of the projected atoms of the column's element, each counted once: in a polar crystal
        the oxygen of a Ti column moves apart from the titanium, and titanium is what is asked for.
    entrance_px : (C, 2) array
        The same weighted to the entrance surface, where a channelling beam looks first; differs
        from `xy_px` in tilted or sheared columns.
    site_px : (C, 2) array
        Undisplaced site (at the mean depth of those atoms).
    element : (C,) str array
        Species that carries the largest share of ΣZ^1.7.
    share : (C,) array
        That share; below :data:`PURE_SHARE` the element is not scored.
    weight : (C,) array
        ΣZ^1.7 over the column's atoms.
    n_atoms : (C,) int array
    composition : tuple of dict
        Atoms of each species.
    sublattice : (C,) str array
    grain : (C,) int array
    """

    xy_px: Floats
    entrance_px: Floats
    site_px: Floats
    element: Strings
    share: Floats
    weight: Floats
    n_atoms: Ints
    composition: tuple[dict[str, int], ...]
    sublattice: Strings
    grain: Ints

    def __len__(self) -> int:
        return len(self.xy_px)


@dataclass(frozen=True, slots=True)
class Scene:
    """Atoms in the coordinates of a frame.

    Parameters
    ----------
    xyz_pm : (N, 3) array
        x and y from the centre of the first pixel; also atoms outside the frame.
    number, column, thermal_pm : (N,) arrays
        As in :class:`Specimen`.
    columns : Columns
        Also those outside the frame.
    vacancy_px : (V, 2) array
    vacancy_element : (V,) str array
    shape : (int, int)
        (rows, columns) of the frame.
    pixel_size_pm : float
    tilt_mrad : (float, float)
        Already in the positions of the atoms.
    """

    xyz_pm: Floats
    number: Ints
    column: Ints
    thermal_pm: Floats
    columns: Columns
    vacancy_px: Floats
    vacancy_element: Strings
    shape: tuple[int, int]
    pixel_size_pm: float
    tilt_mrad: tuple[float, float] = (0.0, 0.0)

    @property
    def thickness_pm(self) -> float:
        """Extent of the atoms along the beam."""
        return float(np.ptp(self.xyz_pm[:, 2])) if len(self.xyz_pm) else 0.0


def reach_pm(
    shape: tuple[int, int],
    pixel_size_pm: float,
    *,
    margin_pm: float = 1500.0,
    view: ViewSettings | None = None,
    thickness_pm: float = 0.0,
) -> float:
    """Return the radius (pm) that a specimen must cover to fill any view of a frame.

    Parameters
    ----------
    shape : (int, int)
    pixel_size_pm : float
    margin_pm : float
        How far the specimen reaches past the frame.
    view : ViewSettings, optional
        What the views are drawn from; by default strains up to 6.9 % and no mistilt.
    thickness_pm : float
        Of the specimen: a mistilt moves its exit surface by so much per mrad.
    """
    view = view or ViewSettings(strain_percent=6.9)
    half_diagonal = 0.5 * math.hypot(*shape) * pixel_size_pm
    sheared = thickness_pm * view.tilt_mrad * 1e-3
    # A symmetric strain of entries up to e shrinks no direction by more than 2 e.
    stretched = 1.0 / (1.0 - 0.02 * view.strain_percent)
    return stretched * (half_diagonal + OFFSET_PM * math.sqrt(2) + margin_pm + sheared)


def place(specimen: Specimen, view: View, shape: tuple[int, int], pixel_size_pm: float) -> Scene:
    """Put a specimen under a frame.

    Parameters
    ----------
    specimen : Specimen
    view : View
    shape : (int, int)
        (rows, columns).
    pixel_size_pm : float

    Returns
    -------
    Scene
        With all atoms of the specimen, also those outside the frame.
    """
    matrix = view.matrix()
    middle = (np.array([shape[1], shape[0]]) - 1) / 2 * pixel_size_pm + view.offset_pm
    tilt = np.asarray(view.tilt_mrad) * 1e-3
    xyz = specimen.xyz_pm.copy()
    xyz[:, :2] = xyz[:, :2] @ matrix.T + middle + xyz[:, 2:] * tilt
    sites = specimen.site_pm @ matrix.T + middle
    mean_depth = float(specimen.xyz_pm[:, 2].mean()) if len(xyz) else 0.0
    vacancies = specimen.vacancy_pm @ matrix.T + middle + mean_depth * tilt
    columns = _columns(specimen, xyz, sites, tilt, pixel_size_pm)
    return Scene(
        xyz,
        specimen.number,
        specimen.column,
        specimen.thermal_pm,
        columns,
        vacancies / pixel_size_pm,
        specimen.vacancy_element,
        shape,
        pixel_size_pm,
        view.tilt_mrad,
    )


def _mean_by_column(
    values: Floats, column: Ints, n_columns: int, weight: Floats | None = None
) -> Floats:
    """Return the (C, K) mean of (N, K) values over the atoms of each column."""
    held = column >= 0
    weights = np.ones(len(values)) if weight is None else weight
    total = np.bincount(column[held], weights[held], n_columns)
    sums = [np.bincount(column[held], weights[held] * v[held], n_columns) for v in values.T]
    mean: Floats = np.stack(sums, axis=1) / np.maximum(total, 1e-300)[:, None]
    return mean


#: Depth (pm) over which a channelling beam forgets: weight of an atom exp(-z / depth).
ENTRANCE_DEPTH_PM = 10_000.0


def _columns(
    specimen: Specimen, xyz: Floats, site_pm: Floats, tilt: Floats, pixel_size_pm: float
) -> Columns:
    count = specimen.n_columns
    held = specimen.column >= 0
    column, number = specimen.column[held], specimen.number[held]
    species = np.unique(number)
    atoms = (
        np.stack([np.bincount(column[number == z], minlength=count) for z in species], axis=1)
        if len(species)
        else np.zeros((count, 0), dtype=np.int_)
    )
    scattering = atoms * species.astype(np.float64) ** Z_POWER
    weight = scattering.sum(axis=1)
    symbols = [SYMBOLS[int(z) - 1] for z in species]
    best = scattering.argmax(axis=1) if len(species) else np.zeros(count, dtype=np.int_)
    composition = tuple(
        {s: int(n) for s, n in zip(symbols, row, strict=True) if n} for row in atoms.tolist()
    )
    # Column -1 takes the last entry: no atom has number 0.
    sought = np.append(species[best] if len(species) else best, 0)
    main = np.where(specimen.number == sought[specimen.column], specimen.column, -1)
    entrance = np.exp(-(xyz[:, 2] - xyz[:, 2].min(initial=np.inf)) / ENTRANCE_DEPTH_PM)
    mean = _mean_by_column(xyz, main, count)
    return Columns(
        xy_px=mean[:, :2] / pixel_size_pm,
        entrance_px=_mean_by_column(xyz[:, :2], main, count, entrance) / pixel_size_pm,
        site_px=(site_pm + mean[:, 2:] * tilt) / pixel_size_pm,
        element=np.array([symbols[b] for b in best.tolist()], dtype=np.str_),
        share=np.take_along_axis(scattering, best[:, None], axis=1)[:, 0]
        / np.maximum(weight, 1e-300)
        if len(species)
        else np.zeros(count),
        weight=weight,
        n_atoms=atoms.sum(axis=1),
        composition=composition,
        sublattice=specimen.sublattice,
        grain=specimen.grain,
    )
