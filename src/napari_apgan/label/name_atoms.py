"""Elements suggested for the labels of a frame: by sublattice and intensity, or by maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from scipy.spatial import cKDTree

from napari_apgan.atoms import positions
from napari_apgan.doubts import doubtful
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Progress
from napari_apgan.io.reference import SourceRef
from napari_apgan.regions import Region

from .landscape import Landscape, survey
from .lattice import propose
from .sublattices import suggest_elements, suggest_second
from .vote import Registration, find_shift, register, vote

#: A label belongs to a site within this part of the distance of sites.
ON_SITE = 0.35
#: Atoms of one element that a shift is found by.
FEWEST_FOR_A_SHIFT = 6


class ElementOptions(BaseModel):
    """What elements are suggested by.

    Parameters
    ----------
    polarity : {"bright", "dark"}
        How the atoms look.
    counts : mapping
        How many kinds a sublattice has, where that is known; else the intensities decide.
    by_size : bool
        Whether widths count too, where they are known.
    maps : mapping
        Element -> image of its counts. With any, they decide and not the intensities.
    align : bool
        Whether to look for the shift of the maps by atoms that have the element already.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    polarity: Polarity = "bright"
    counts: dict[str, int] = Field(default_factory=dict)
    by_size: bool = False
    maps: dict[str, SourceRef] = Field(default_factory=dict)
    align: bool = False


class BetweenOptions(BaseModel):
    """What a second sublattice is added by.

    Parameters
    ----------
    polarity : {"bright", "dark"}
    first : str
        Element of the first sublattice; empty for all labels.
    element : str
        What the second is called.
    presence : float
        Peaks lower than this part of the usual one are left out; 0 fills every cage.
    areas : tuple of polygons
        Only the labels inside count; everywhere without any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    polarity: Polarity = "bright"
    first: str = ""
    element: str = "unknown"
    presence: float = 0.3
    areas: tuple[tuple[tuple[float, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class NamedAtoms:
    """Labels with a class each.

    Parameters
    ----------
    atoms : DataFrame
        Those that were judged: `element` is the class, which is an element only where maps decided;
        `sublattice`, `confidence` and `flag` are filled.
    classes : tuple of str
        The strongest of each sublattice first.
    notes : tuple of str
    """

    atoms: pd.DataFrame
    classes: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def n_doubtful(self) -> int:
        """How many are to be looked at."""
        return int(doubtful(self.atoms).sum())


def name_atoms(
    frame: Frame,
    atoms: pd.DataFrame,
    options: ElementOptions,
    *,
    maps: Mapping[str, Frame] | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> NamedAtoms:
    """Suggest what the atoms of a frame are.

    Parameters
    ----------
    frame : Frame
    atoms : DataFrame
        Labels; those without `sublattice` get that of the site they stand on, and what stands on
        none is left as it is.
    options : ElementOptions
    maps : mapping, optional
        The images of `options.maps`, read.
    progress, cancelled : callable, optional

    Raises
    ------
    UserError
        When there are too few atoms, or maps do not fit.
    """
    if len(atoms) < 3:
        raise UserError("Elements are told apart by comparing atoms: label some more first.")
    if maps:
        return _by_maps(frame, atoms, maps, align=options.align)
    notes: list[str] = []
    if progress is not None:
        progress(0, 0, "looking for peaks")
    landscape = survey(frame, polarity=options.polarity)
    table = atoms.reset_index(drop=True)
    if not all(table["sublattice"].tolist()):
        table, said = with_sublattices(landscape, table, progress=progress, cancelled=cancelled)
        notes += said
    table = _measured(landscape, table[table["sublattice"] != ""])
    made = suggest_elements(table, {}, by_size=options.by_size, counts=options.counts)
    strength = made.atoms.groupby("element")["amplitude"].median()
    order = made.atoms.groupby("element")["sublattice"].first()
    classes = sorted(strength.index, key=lambda c: (order[c], -strength[c]))
    return NamedAtoms(made.atoms, tuple(str(c) for c in classes), (*notes, *made.notes))


def with_sublattices(
    landscape: Landscape,
    atoms: pd.DataFrame,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Give atoms the sublattice of the site they stand on; empty for those on none.

    Names that some atoms have already are kept for the others of the same site.
    """
    sites = propose(landscape, progress=progress, cancelled=cancelled).sites
    if not len(sites):
        said = "No lattice was found: all atoms are compared with each other."
        return atoms.assign(sublattice="A"), [said]
    distance, nearest = cKDTree(sites.offered_px).query(positions(atoms))
    index = np.asarray(nearest)
    reach = ON_SITE * sites.closest_px[sites.grain[index]]
    found = np.where(np.asarray(distance) <= reach, sites.sublattice[index], "").astype(object)
    known = atoms["sublattice"].to_numpy(object)
    both = pd.DataFrame({"site": found, "name": known})
    both = both[(both["site"] != "") & (both["name"] != "")]
    names = {s: some["name"].value_counts().index[0] for s, some in both.groupby("site")}
    made = np.array([k or names.get(f, f) for k, f in zip(known, found, strict=True)], dtype=object)
    left = int((made == "").sum())
    notes = []
    if left:
        notes.append(
            f"{left} atom{'s stand' if left > 1 else ' stands'} on no site of a lattice and "
            f"{'are' if left > 1 else 'is'} left as {'they are' if left > 1 else 'it is'}."
        )
    if left == len(atoms):
        return atoms.assign(sublattice="A"), [
            "No label stands on the lattice of this image: all are compared with each other."
        ]
    return atoms.assign(sublattice=made), notes


def _measured(landscape: Landscape, atoms: pd.DataFrame) -> pd.DataFrame:
    """Give every atom a height: the fitted ones where all have one, else that of the image."""
    table = atoms.reset_index(drop=True)
    if bool((table["intensity"] > 0).all()):
        return table
    heights = landscape.height_at(positions(table))
    return table.assign(amplitude=np.maximum(heights, 1e-6), intensity=np.nan)


def _by_maps(
    frame: Frame, atoms: pd.DataFrame, maps: Mapping[str, Frame], *, align: bool
) -> NamedAtoms:
    """Let maps vote, aligned by the atoms of an element that has labels."""
    notes: list[str] = []
    placed: Registration | None = None
    if align:
        counts = atoms["element"].value_counts()
        known = {e: int(counts.get(e, 0)) for e in maps}
        best = max(known, key=lambda e: known[e])
        if known[best] < FEWEST_FOR_A_SHIFT:
            notes.append(
                f"The maps are not shifted: that needs {FEWEST_FOR_A_SHIFT} labels of an element "
                "that a map shows."
            )
        else:
            own = positions(atoms[atoms["element"] == best])
            placed = find_shift(maps[best], own, register(frame, maps[best]))
            x, y = placed.shift_px
            notes.append(f"The maps are shifted by {x:+.1f}, {y:+.1f} px, found by {best}.")
    made = vote(frame, atoms, maps, registration=placed)
    judged = np.isfinite(made.probability).all(axis=1)
    table: pd.DataFrame = made.atoms.iloc[np.flatnonzero(judged)].reset_index(drop=True)
    found = set(table["element"].tolist())
    classes = [e for e in made.elements if e in found] + sorted(found - set(made.elements))
    return NamedAtoms(table, tuple(classes), (made.note, *notes))


def atoms_between(frame: Frame, atoms: pd.DataFrame, options: BetweenOptions) -> pd.DataFrame:
    """Find the atoms in the cages of those that are labelled.

    Parameters
    ----------
    frame : Frame
    atoms : DataFrame
    options : BetweenOptions

    Raises
    ------
    UserError
        When there are too few atoms, or nothing stands between them.
    """
    first = atoms[atoms["element"] == options.first] if options.first else atoms
    if options.areas:
        inside = np.zeros(len(first), dtype=np.bool_)
        for corners in options.areas:
            inside |= Region(id=0, polygon=corners).contains(positions(first))
        first = first[inside]
    known = {name for name in first["sublattice"].tolist() if name}
    name = next(letter for letter in "BCDEFGH" if letter not in known)
    landscape = survey(frame, polarity=options.polarity)
    found = suggest_second(
        landscape, first, element=options.element, sublattice=name, presence=options.presence
    )
    if found.empty:
        raise UserError(
            "Nothing stands between these atoms: label all atoms of the first sublattice, and see "
            "whether the ones between are bright or dark."
        )
    return found
