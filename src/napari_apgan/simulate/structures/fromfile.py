"""Structures from files: everything that ASE reads, cut along a zone axis and tiled."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from napari_apgan.elements import SYMBOLS
from napari_apgan.errors import UserError
from napari_apgan.simulate.specimen import Floats, Ints, Specimen

from .base import BaseStructure
from .columns import TOLERANCE_PM, Bools, group_projected, make_specimen, mean_by
from .crystal import (
    Crystal,
    Cut,
    Direction,
    beam_axes,
    cut_along,
    draw_species,
    fill,
    name_groups,
    strands_within,
    turn_to,
    zero_zone,
)

PM_PER_ANGSTROM = 100.0
#: A crystal with so much nothing (pm) along the beam is a layer in a padded cell.
VACUUM_PM = 600.0
#: Two depths this close (pm) count as one where the stacking of a layer is judged.
LEVEL_PM = 1.0

Repeat = Literal["auto", "crystal", "layer", "none"]


class FileSettings(BaseStructure):
    """A structure from a file.

    Parameters
    ----------
    path : Path
        Any file that ASE reads: .cif, .xyz, .vasp, .pdb, .xsf, ...
    zone : (int, int, int)
        Direction [uvw] of the beam; of structures that do not repeat, along the file's x, y and z.
    right : (int, int, int), optional
        Direction whose projection points right before the view turns the frame; by default the
        shortest repeat of the image, and x of structures that do not repeat.
    thickness_nm : float
        Of crystals; layers and what does not repeat are as thick as in the file.
    repeat : {"auto", "crystal", "layer", "none"}
        How the structure goes on beyond its cell: in all directions; across the beam only, as the
        supercells of other simulators do; or not at all. ``auto`` follows the file, and takes cells
        with more than 0.6 nm of nothing along the beam as layers.
    tile : bool
        Without, the cell of a layer must fill the frame by itself.
    column_tolerance_pm : float
        Atoms whose projections are this close belong to one column.
    """

    kind: Literal["file"] = "file"
    path: Path
    zone: Direction = (0, 0, 1)
    right: Direction | None = None
    thickness_nm: float = Field(default=10.0, gt=0, le=200)
    repeat: Repeat = "auto"
    tile: bool = True
    column_tolerance_pm: float = Field(default=TOLERANCE_PM, ge=1, le=300)


@dataclass(frozen=True, slots=True)
class FileStructure:
    """What a file holds.

    Parameters
    ----------
    position_pm : (M, 3) array
    cell_pm : (3, 3) array
        Rows a, b, c; zeros where there are none.
    periodic : (3,) bool array
    species : (K,) int array
    occupancy : (M, K) array
    """

    position_pm: Floats
    cell_pm: Floats
    periodic: Bools
    species: Ints
    occupancy: Floats


def build_file(settings: FileSettings, rng: np.random.Generator, reach_pm: float) -> Specimen:
    """Build the structure of a file, over a circle where it repeats.

    Parameters
    ----------
    settings : FileSettings
    rng : numpy Generator
    reach_pm : float
        Radius of the circle in pm.

    Returns
    -------
    Specimen
        Sublattices are what columns may hold (``Ti/O``). Sites of partial occupancy are drawn atom
        by atom. Of a structure that does not repeat, atoms whose projections run into each other
        belong to no column.

    Raises
    ------
    UserError
        The file cannot be read or holds no atoms, nonsense or no columns; the zone axis is [000] or
        does not suit a layer; the cell is too small for the frame; ASE is not installed.
    """
    structure = read_structure(settings.path)
    repeats = int(structure.periodic.sum())
    if settings.repeat == "none" or (settings.repeat == "auto" and repeats < 2):
        return _build_object(settings, structure, rng, reach_pm)
    flat = settings.repeat != "crystal" and repeats == 2
    crystal = _to_crystal(settings, structure, flat=flat)
    cut = cut_along(
        crystal,
        settings.zone,
        right=settings.right,
        tolerance_pm=settings.column_tolerance_pm,
    )
    origin = rng.uniform(0, 1, 2) @ cut.plane_pm
    if not settings.tile:
        _check_width(settings.path.name, cut, reach_pm)
        origin = 0.5 * cut.plane_pm.sum(axis=0)
    layer = None if settings.repeat == "crystal" else _as_layer(cut)
    if settings.repeat == "layer" and layer is None:
        raise UserError(
            f"{settings.path.name} is no layer across the zone axis: choose the direction along "
            "which its cell stands upright, or let it repeat as a crystal."
        )
    if layer is not None and (settings.repeat == "layer" or layer[1] >= VACUUM_PM):
        strands = strands_within(layer[0], reach_pm, origin)
        xyz, strand = strands.xyz_pm, np.arange(len(strands.site))
    else:
        strands = strands_within(cut, reach_pm, origin)
        xyz, strand = fill(strands, 0.0, settings.thickness_nm * 1000.0)
    names = name_groups(crystal.species, crystal.occupancy, cut.group)
    number, present = draw_species(crystal.species, crystal.occupancy, strands.site[strand], rng)
    return make_specimen(
        xyz,
        number,
        strands.column[strand],
        settings,
        sublattice=names[strands.group],
        present=present,
    )


def _as_layer(cut: Cut) -> tuple[Cut, float] | None:
    """Return the cut with all atoms within one repeat after the widest gap, and that gap in pm.

    None where cells stacked along the beam are shifted against each other, so that no layer ends.
    """
    if np.abs(cut.lift_pm).max() > LEVEL_PM:
        return None
    depth = np.sort(cut.site_pm[:, 2] % cut.repeat_pm)
    gap = np.append(np.diff(depth), depth[0] + cut.repeat_pm - depth[-1])
    # Of gaps of one width the one at the border of the cell counts: the file's order is kept.
    widest = len(gap) - 1 if gap[-1] >= gap.max() - LEVEL_PM else int(gap.argmax())
    start = depth[(widest + 1) % len(depth)] - LEVEL_PM
    site = cut.site_pm.copy()
    site[:, 2] = (site[:, 2] - start) % cut.repeat_pm
    return replace(cut, site_pm=site, lift_pm=np.zeros(2)), float(gap[widest])


def _check_width(name: str, cut: Cut, reach_pm: float) -> None:
    """Refuse cells that do not hold the circle."""
    area = abs(float(np.linalg.det(cut.plane_pm)))
    width = area / float(np.linalg.norm(cut.plane_pm, axis=1).max())
    if width < 2 * reach_pm:
        raise UserError(
            f"The cell of {name} is {width / 1000:.3g} nm wide, but the frame needs "
            f"{2 * reach_pm / 1000:.3g} nm: let it be tiled, or make the frame smaller."
        )


def _to_crystal(settings: FileSettings, structure: FileStructure, *, flat: bool) -> Crystal:
    """Return the structure as a crystal; one that is periodic in a plane gets a padded cell."""
    name, cell = settings.path.name, structure.cell_pm.copy()
    if flat:
        axis = int(np.flatnonzero(~structure.periodic)[0])
        zone = np.array(settings.zone)
        if any(zone) and np.any(np.delete(zone, axis)):
            letter = " ".join("1" if i == axis else "0" for i in range(3))
            raise UserError(
                f"{name} repeats in a plane only, and is seen along its normal: give the zone "
                f"axis {letter}."
            )
        normal = np.cross(cell[axis - 2], cell[axis - 1])
        length = float(np.linalg.norm(normal))
        height = np.ptp(structure.position_pm @ normal) / max(length, 1e-9) + 2 * VACUUM_PM
        cell[axis] = normal / max(length, 1e-9) * height
    volume = abs(float(np.linalg.det(cell)))
    if not volume > 1e-3 * float(np.prod(np.linalg.norm(cell, axis=1))):
        raise UserError(
            f"The cell of {name} has no volume, so the structure cannot be repeated: correct the "
            "cell, or use it as it is, without repeats."
        )
    fraction = structure.position_pm @ np.linalg.inv(cell)
    return Crystal(cell, fraction, structure.species, structure.occupancy)


def _build_object(
    settings: FileSettings, structure: FileStructure, rng: np.random.Generator, reach_pm: float
) -> Specimen:
    """Return what does not repeat, its middle at the origin, as far as the circle reaches."""
    if not any(settings.zone):
        raise zero_zone()
    axes = beam_axes(np.array(settings.zone, dtype=np.float64))
    if settings.right is not None:
        axes = turn_to(axes, np.array(settings.right, dtype=np.float64))
    xyz = structure.position_pm @ axes.T
    xyz -= 0.5 * (xyz.min(axis=0) + xyz.max(axis=0))
    column = group_projected(xyz[:, :2], settings.column_tolerance_pm)
    if column.max() < 0:
        raise UserError(
            f"No columns can be told apart in {settings.path.name}, since its atoms run into each "
            "other along the beam: choose another zone axis, or a smaller column tolerance."
        )
    middle = xyz[:, :2].copy()
    held = column >= 0
    middle[held] = mean_by(column[held], xyz[held, :2], int(column.max()) + 1)[column[held]]
    near = np.hypot(middle[:, 0], middle[:, 1]) <= reach_pm
    site = np.flatnonzero(near)
    number, present = draw_species(structure.species, structure.occupancy, site, rng)
    return make_specimen(xyz[near], number, column[near], settings, present=present)


def read_structure(path: Path) -> FileStructure:
    """Read a structure with ASE; of several in one file, the last.

    Raises
    ------
    UserError
        ASE is not installed; there is no such file; it cannot be read, or holds no atoms, unknown
        elements or positions that are not numbers.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise UserError(
            f"The structure file {path} cannot be opened ({error.strerror or error}): give the "
            "path of a file."
        ) from error
    if not path.is_file():  # ASE would read trajectories that are folders, and unpickle them
        raise UserError(f"{path} is no file: give the path of a structure file.")
    return _read_once(path.resolve(), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _read_once(path: Path, _changed: int, _size: int) -> FileStructure:
    """Read a file once for all frames made of it, until it changes."""
    try:
        importlib.import_module("ase.io")
    except ImportError as error:
        raise UserError(
            "Structure files are read by ASE, which is not installed: pip install "
            '"napari-apgan[simulate]".'
        ) from error
    try:
        with warnings.catch_warnings():
            # ASE warns of oddities that the checks below judge.
            warnings.simplefilter("ignore")
            structure = _from_atoms(_read_atoms(path))
    except Exception as error:  # readers of a hundred formats raise anything
        # Failed assertions of a reader say nothing.
        reason = " ".join(str(error).split()).rstrip(".")
        why = f" ({reason[:120]})" if reason else ", it seems damaged or of another kind"
        raise UserError(
            f"{path.name} cannot be read as a structure{why}: give a file that ASE "
            "reads, such as .cif, .xyz or .vasp."
        ) from error
    if not len(structure.position_pm):
        raise UserError(f"{path.name} holds no atoms: give a file with a structure.")
    if not (np.isfinite(structure.position_pm).all() and np.isfinite(structure.cell_pm).all()):
        raise UserError(
            f"{path.name} has positions that are not finite numbers: correct them and try again."
        )
    if structure.species.min() < 1 or structure.species.max() > len(SYMBOLS):
        raise UserError(f"{path.name} has atoms of no known element: give each a chemical symbol.")
    return structure


def _read_atoms(path: Path) -> Any:
    """Return the last structure of a file as an ASE object."""
    if path.suffix.lower() != ".cif":
        reader: Any = importlib.import_module("ase.io")
        return reader.read(path, do_not_split_by_at_sign=True)
    cif: Any = importlib.import_module("ase.io.cif")
    blocks = [b for b in cif.parse_cif(str(path)) if b.has_structure()]
    if not blocks:
        raise ValueError("no block lists atoms")
    block = blocks[-1]
    occupancy = block.get("_atom_site_occupancy")
    full = occupancy is None or all(part == 1 for part in occupancy)
    if full and block.get_cell().rank == 3 and len(block.get_spacegroup(True).get_symop()) == 1:
        # ASE's search for equivalent sites takes a minute for a supercell of 2500 atoms; without
        # symmetry there are none.
        atoms = block.get_unsymmetrized_structure()
        atoms.pbc = True
        return atoms
    return block.get_atoms()


def _from_atoms(atoms: Any) -> FileStructure:
    """Return what an ASE object holds, with the occupancies of a CIF."""
    numbers = np.asarray(atoms.numbers, dtype=np.int_)
    shares = [{int(n): 1.0} for n in numbers]
    # ASE keeps occupancies by kind of site, with its commonest species in the atoms themselves.
    occupancy = atoms.info.get("occupancy")
    if isinstance(occupancy, dict):
        kinds = atoms.arrays.get("spacegroup_kinds", np.arange(len(numbers)))
        shares = [
            {SYMBOLS.index(s) + 1: float(part) for s, part in occupancy[str(kind)].items()}
            for kind in kinds
        ]
    species = np.unique([n for share in shares for n in share]).astype(np.int_)
    table = np.zeros((len(numbers), len(species)))
    for row, share in enumerate(shares):
        table[row, np.searchsorted(species, list(share))] = list(share.values())
    table /= np.maximum(table.sum(axis=1, keepdims=True), 1.0)
    return FileStructure(
        np.asarray(atoms.positions, dtype=np.float64) * PM_PER_ANGSTROM,
        np.asarray(atoms.cell, dtype=np.float64) * PM_PER_ANGSTROM,
        np.asarray(atoms.pbc, dtype=np.bool_),
        species,
        table,
    )
