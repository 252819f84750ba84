"""Metal particles: fcc and hcp crystals with facets, on vacuum or on an amorphous film."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy
from pydantic import Field

from napari_apgan.elements import SYMBOLS
from napari_apgan.errors import UserError
from napari_apgan.simulate.specimen import Floats, Ints, Specimen, add_atoms

from .amorphous import amorphous_film
from .base import BaseStructure, thermal_pm
from .columns import Bools, make_specimen, mean_by
from .crystal import Crystal, Cut, Direction, cut_along, draw_species, fill, strands_within
from .metals import (
    FACET_SPREAD,
    FCC_PM,
    Metal,
    equivalent_planes,
    facet_planes,
    metal_crystal,
    nearest_pm,
)

#: A rounded particle sheds atoms with fewer neighbours than this.
FEWEST_NEIGHBOURS = 5
#: Between the lowest atoms of a particle and the film (pm).
FILM_GAP_PM = 200.0
#: Vacuum between particles (pm).
PARTICLE_GAP_PM = 300.0


class ParticleSettings(BaseStructure):
    """Metal particles.

    Parameters
    ----------
    metal : str
        An fcc metal (Pt, Au, Pd, Ag, Cu, Ir, Ni, Rh, Al) or an hcp one (Co, Ru, Re, Os, Ti, Mg,
        Zn).
    alloy : str, optional
        A second metal on the same lattice, at random.
    alloy_percent : float
        Its share of the atoms.
    diameter_nm : float
        Diameter of the sphere of the same volume.
    diameter_spread_percent : float
        Diameters are drawn between so much less and so much more.
    particles : int
        How many there are; the first is near the middle.
    shape : {"faceted", "round"}
        Truncated octahedra (fcc) or hexagonal bodies (hcp), or balls with steps.
    zone : (int, int, int)
        Direction [uvw] of the beam; hexagonal [11-20] is 1 1 0, [10-10] is 2 1 0.
    twins_percent : float
        Share of the particles (fcc) with a twin plane {111} through the middle, seen edge-on.
    relaxation_percent : float
        How much the outermost layer of a {111} facet moves inwards, as a share of the distance of
        layers; atoms with fewer neighbours move more. Negative: outwards.
    film_nm : float
        Thickness of an amorphous film behind the particles; 0 for vacuum.
    film_element : {"C", "Si", "Ge"}
    """

    kind: Literal["particle"] = "particle"
    metal: Metal = "Pt"
    alloy: Metal | None = None
    alloy_percent: float = Field(default=0.0, ge=0, le=100)
    diameter_nm: float = Field(default=4.0, ge=1, le=50)
    diameter_spread_percent: float = Field(default=15.0, ge=0, le=50)
    particles: int = Field(default=1, ge=1, le=100)
    shape: Literal["faceted", "round"] = "faceted"
    zone: Direction = (1, 1, 0)
    twins_percent: float = Field(default=0.0, ge=0, le=100)
    relaxation_percent: float = Field(default=0.0, ge=-10, le=10)
    film_nm: float = Field(default=0.0, ge=0, le=50)
    film_element: Literal["C", "Si", "Ge"] = "C"


@dataclass(frozen=True, slots=True)
class _Body:
    """One particle: atoms about its middle, their columns, and the grain of each column."""

    xyz_pm: Floats
    site: Ints
    column: Ints
    grain: Ints


def build_particle(
    settings: ParticleSettings, rng: np.random.Generator, reach_pm: float
) -> Specimen:
    """Build particles, near the middle of a circle.

    Parameters
    ----------
    settings : ParticleSettings
    rng : numpy Generator
    reach_pm : float
        Radius of the circle in pm, which the film covers.

    Returns
    -------
    Specimen
        Every particle, and the other half of a twin, is a grain; the film's atoms belong to no
        column.

    Raises
    ------
    UserError
        The zone axis is [000] or shows no twin edge-on, or the particles do not fit.
    """
    crystal = metal_crystal(settings.metal, settings.alloy, settings.alloy_percent / 100)
    cut = cut_along(crystal, settings.zone)
    spread = settings.diameter_spread_percent / 100
    sizes = settings.diameter_nm * 1000 * rng.uniform(1 - spread, 1 + spread, settings.particles)
    middles = _scatter(sizes, reach_pm, rng)
    bodies = []
    for number, (size, middle) in enumerate(zip(sizes.tolist(), middles, strict=True)):
        body = _make_body(settings, crystal, cut, size, rng)
        turn = rng.uniform(0, 2 * math.pi) if number else 0.0
        bodies.append(_put(body, middle, turn))
    body = _join(bodies)
    numbers, present = draw_species(crystal.species, crystal.occupancy, body.site, rng)
    metals = "/".join(SYMBOLS[z - 1] for z in sorted(crystal.species.tolist(), reverse=True))
    names = np.full(len(body.grain), metals)
    specimen = make_specimen(
        body.xyz_pm,
        numbers,
        body.column,
        settings,
        sublattice=names,
        grain=body.grain,
        present=present,
    )
    return _lay_on_film(specimen, settings, reach_pm, rng)


def _make_body(
    settings: ParticleSettings,
    crystal: Crystal,
    cut: Cut,
    size_pm: float,
    rng: np.random.Generator,
) -> _Body:
    """Cut one particle out of the crystal."""
    if settings.shape == "round":
        normals, distances, reach = np.zeros((0, 3)), np.zeros(0), size_pm / 2
    else:
        normals, distances, reach = _scaled_facets(settings.metal, crystal, size_pm, rng)
    start = rng.uniform(0, 1, 2) @ cut.plane_pm
    strands = strands_within(cut, reach, start)
    depth = rng.uniform(0, cut.repeat_pm)
    xyz, strand = fill(strands, depth - reach, depth + reach)
    xyz[:, 2] -= depth
    inside = (xyz**2).sum(axis=1) <= reach**2
    inside &= (xyz @ (normals @ cut.axes.T).T <= distances).all(axis=1)
    body = _Body(
        xyz[inside],
        strands.site[strand][inside],
        strands.column[strand][inside],
        np.zeros(len(strands.group), dtype=np.int_),
    )
    if settings.twins_percent > 0:
        edge_on = _twin_normal(settings, crystal, cut)
        if rng.random() * 100 < settings.twins_percent:
            body = _twin(body, edge_on)
    bond = 1.2 * nearest_pm(crystal)
    if settings.shape == "round":
        body = _shed(body, bond)
    return _relax(body, bond, settings.relaxation_percent / 100)


def _scaled_facets(
    metal: str, crystal: Crystal, size_pm: float, rng: np.random.Generator
) -> tuple[Floats, Floats, float]:
    """Return the facets of a particle of a given volume, and the distance of its farthest corner.

    Parameters
    ----------
    size_pm : float
        Diameter of the sphere of that volume.
    """
    normals, distances = facet_planes(metal, crystal, rng)
    corners = scipy.spatial.HalfspaceIntersection(
        np.column_stack([normals, -distances]), np.zeros(3)
    )
    volume = float(scipy.spatial.ConvexHull(corners.intersections).volume)
    scale = size_pm * (math.pi / 6 / volume) ** (1 / 3)
    farthest = float(np.linalg.norm(corners.intersections, axis=1).max())
    return normals, distances * scale, farthest * scale


def _twin_normal(settings: ParticleSettings, crystal: Crystal, cut: Cut) -> Floats:
    """Return the (2,) normal, in the image, of a twin plane seen edge-on."""
    if settings.metal in FCC_PM:
        for index in equivalent_planes((1, 1, 1), cubic=True):
            normal: Floats = cut.axes @ np.linalg.inv(crystal.lattice_pm) @ np.array(index)
            normal = normal / np.linalg.norm(normal)
            if abs(normal[2]) < 1e-9:
                return normal[:2]
    u, v, w = settings.zone
    raise UserError(
        f"No twin plane of {settings.metal} is seen edge-on along [{u} {v} {w}]: choose an fcc "
        "metal along [1 1 0] or [1 1 2], or no twins."
    )


def _twin(body: _Body, normal: Floats) -> _Body:
    """Replace the half of a particle beyond a layer of atoms by the mirror image of the other."""
    if not len(body.xyz_pm):
        return body
    count = len(body.grain)
    # The plane goes through columns: those nearest to the middle.
    middle = mean_by(body.column, body.xyz_pm[:, :2], count)
    height = np.where(np.bincount(body.column, minlength=count) > 0, middle @ normal, np.inf)
    plane = height[np.abs(height).argmin()]
    over = body.xyz_pm[:, :2] @ normal - plane
    kept, copied = over <= 1.0, over < -1.0
    image = body.xyz_pm[copied]
    image[:, :2] -= 2 * over[copied, None] * normal
    return _Body(
        np.concatenate([body.xyz_pm[kept], image]),
        np.concatenate([body.site[kept], body.site[copied]]),
        np.concatenate([body.column[kept], body.column[copied] + count]),
        np.concatenate([body.grain, body.grain + 1]),
    )


def _shed(body: _Body, bond_pm: float) -> _Body:
    """Return a particle without atoms that have too few neighbours within `bond_pm`."""
    for _ in range(3):
        pairs = scipy.spatial.cKDTree(body.xyz_pm).query_pairs(bond_pm, output_type="ndarray")
        stays: Bools = np.bincount(pairs.ravel(), minlength=len(body.site)) >= FEWEST_NEIGHBOURS
        # Of a few atoms none has enough neighbours; they stay as they are.
        if stays.all() or not stays.any():
            break
        body = replace(
            body,
            xyz_pm=body.xyz_pm[stays],
            site=body.site[stays],
            column=body.column[stays],
        )
    return body


def _relax(body: _Body, bond_pm: float, share: float) -> _Body:
    """Move atoms towards their neighbours where some lack.

    The vectors to twelve neighbours cancel. On {111} three lack, and those left add up to three
    distances of layers; so a third of `share` times the sum moves that facet by `share`.
    """
    if share == 0 or not len(body.site):
        return body
    first, second = scipy.spatial.cKDTree(body.xyz_pm).query_pairs(bond_pm, output_type="ndarray").T
    step = body.xyz_pm[second] - body.xyz_pm[first]
    pull = np.stack(
        [
            np.bincount(first, v, len(body.site)) - np.bincount(second, v, len(body.site))
            for v in step.T
        ],
        axis=1,
    )
    return replace(body, xyz_pm=body.xyz_pm + share / 3 * pull)


def _scatter(sizes_pm: Floats, reach_pm: float, rng: np.random.Generator) -> Floats:
    """Return (P, 2) middles of particles that do not overlap, the first one near the origin."""
    radii = 0.5 * sizes_pm * (1.0 + 2 * FACET_SPREAD) + 0.5 * PARTICLE_GAP_PM
    middles = np.zeros((0, 2))
    for number, radius in enumerate(radii.tolist()):
        around = reach_pm + radius if number else max(0.35 * reach_pm - radius, 0.0)
        distance, angle = around * np.sqrt(rng.random(400)), rng.uniform(0, 2 * math.pi, 400)
        tries = np.column_stack([distance * np.cos(angle), distance * np.sin(angle)])
        apart = np.hypot(*(tries[:, None] - middles[None]).transpose(2, 0, 1))
        free = np.flatnonzero((apart >= radius + radii[:number]).all(axis=1))
        if not len(free):
            raise UserError(
                f"The frame has no room for {len(radii)} particles of this size: ask for fewer or "
                "smaller ones."
            )
        middles = np.concatenate([middles, tries[free[:1]]])
    return middles


def _put(body: _Body, middle: Floats, turn_rad: float) -> _Body:
    """Turn a particle about the beam and bring it to its place, its lowest atoms at depth 0."""
    c, s = math.cos(turn_rad), math.sin(turn_rad)
    xyz = body.xyz_pm.copy()
    xyz[:, :2] = xyz[:, :2] @ np.array([[c, s], [-s, c]]) + middle
    xyz[:, 2] -= xyz[:, 2].max(initial=-np.inf) if len(xyz) else 0.0
    return replace(body, xyz_pm=xyz)


def _join(bodies: Sequence[_Body]) -> _Body:
    """Return all particles as one, columns and grains numbered through."""
    columns = np.cumsum([0, *(len(b.grain) for b in bodies)])
    grains = np.cumsum([0, *(int(b.grain.max(initial=0)) + 1 for b in bodies)])
    return _Body(
        np.concatenate([b.xyz_pm for b in bodies]),
        np.concatenate([b.site for b in bodies]),
        np.concatenate([b.column + n for b, n in zip(bodies, columns.tolist(), strict=False)]),
        np.concatenate([b.grain + n for b, n in zip(bodies, grains.tolist(), strict=False)]),
    )


def _lay_on_film(
    specimen: Specimen, settings: ParticleSettings, reach_pm: float, rng: np.random.Generator
) -> Specimen:
    """Add the amorphous film behind the particles."""
    if settings.film_nm == 0:
        return specimen
    film = amorphous_film(rng, reach_pm, settings.film_nm * 1000.0, element=settings.film_element)
    film[:, 2] += specimen.thickness_pm + FILM_GAP_PM
    number = np.full(len(film), SYMBOLS.index(settings.film_element) + 1)
    return add_atoms(specimen, film, number, thermal_pm(settings.film_element, settings))
