"""What the atoms' own arrangement says: pairs too close, atoms missing from the lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Fewer atoms than this show no lattice.
FEWEST_ATOMS = 25
#: A translation belongs to the lattice when this share of the atoms has a mate there.
OCCUPANCY = 0.55
#: A mate may lie this far off, in nearest-neighbour distances.
TOLERANCE = 0.25


def nearest_distance(xy: Floats) -> Floats:
    """Return each atom's distance to its nearest neighbour; infinite for a single atom."""
    if len(xy) < 2:
        return np.full(len(xy), np.inf)
    distance: Floats = np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1]
    return distance


def close_pairs(
    xy: Floats, kinds: NDArray[np.object_], limits: dict[tuple[str, str], float], default: float
) -> Ints:
    """Return the (N, 2) pairs of atoms closer together than their elements were ever labelled.

    Parameters
    ----------
    xy : (N, 2) array
        x, y in px.
    kinds : (N,) array of str
        Elements.
    limits : mapping
        Smallest distance in px of two elements, under their sorted names.
    default : float
        For elements never met as neighbours.
    """
    none = np.empty((0, 2), dtype=np.int64)
    if len(xy) < 2:
        return none
    farthest = max([default, *limits.values()])
    pairs = cKDTree(xy).query_pairs(farthest, output_type="ndarray").astype(np.int64)
    if not len(pairs):
        return none
    apart = np.hypot(*(xy[pairs[:, 0]] - xy[pairs[:, 1]]).T)
    names = [tuple(sorted((str(a), str(b)))) for a, b in kinds[pairs]]
    limit = np.array([limits.get((n[0], n[1]), default) for n in names])
    close: Ints = pairs[apart < limit]
    return close


def translations(xy: Floats) -> Floats:
    """Find the short translations that bring most atoms of one kind onto another of that kind.

    The pair distances within 2.6 nearest-neighbour distances are drawn as a smoothed 2-D
    histogram; its peaks are candidates, and those that most atoms follow are kept. Atoms without
    order have none.

    Parameters
    ----------
    xy : (N, 2) array
        x, y in px of atoms of one element.

    Returns
    -------
    (T, 2) array
        dx, dy in px; with each translation its opposite.
    """
    nothing = np.empty((0, 2))
    if len(xy) < FEWEST_ATOMS:
        return nothing
    spacing = float(np.median(nearest_distance(xy)))
    reach = 2.6 * spacing
    tree = cKDTree(xy)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    if len(pairs) < FEWEST_ATOMS or spacing <= 0:
        return nothing
    vectors = xy[pairs[:, 1]] - xy[pairs[:, 0]]
    vectors = np.concatenate([vectors, -vectors])
    bins = 2 * int(np.ceil(reach / (0.08 * spacing))) + 1
    counts, edges, _ = np.histogram2d(
        vectors[:, 0], vectors[:, 1], bins=bins, range=[[-reach, reach]] * 2
    )
    smooth = gaussian_filter(counts, 1.0)
    peak = (smooth == maximum_filter(smooth, size=5)) & (smooth > 0.25 * smooth.max())
    centres = 0.5 * (edges[1:] + edges[:-1])
    candidates = np.column_stack([centres[i] for i in np.nonzero(peak)])
    kept = [refined for v in candidates if (refined := _follow(xy, tree, v, spacing)) is not None]
    return np.array(kept).reshape(-1, 2)


def _follow(xy: Floats, tree: cKDTree, vector: Floats, spacing: float) -> Floats | None:
    """Return the mean translation near `vector`, or None when too few atoms follow it."""
    target = xy + vector
    low, high = xy.min(axis=0), xy.max(axis=0)
    inside = ((target >= low) & (target <= high)).all(axis=1)
    if inside.sum() < FEWEST_ATOMS // 2:
        return None
    found = tree.query(target[inside])
    distance, index = np.asarray(found[0]), np.asarray(found[1])
    mates = distance < TOLERANCE * spacing
    if mates.mean() < OCCUPANCY:
        return None
    moved: Floats = (xy[index[mates]] - xy[inside][mates]).mean(axis=0)
    return moved


def holes(xy: Floats, others: Floats, shape: tuple[int, int], valid: NDArray[np.bool_]) -> Floats:
    """Find lattice sites without an atom.

    Every atom votes for the sites that the lattice's translations reach from it. A site with no
    atom on it, and with votes of at least three atoms from about all sides, is a hole; votes from
    one side alone are the edge of the crystal.

    Parameters
    ----------
    xy : (N, 2) array
        Atoms of one element, x, y in px.
    others : (M, 2) array
        All atoms, of any element: one of another element on the site is no hole.
    shape : (int, int)
        (rows, columns) of the frame.
    valid : (Y, X) bool array

    Returns
    -------
    (H, 2) array
        x, y in px.
    """
    nothing = np.empty((0, 2))
    steps = translations(xy)
    if len(steps) < 4:
        return nothing
    spacing = float(np.median(nearest_distance(xy)))
    sites = (xy[:, None] + steps[None]).reshape(-1, 2)
    directions = np.broadcast_to(
        steps / np.linalg.norm(steps, axis=1, keepdims=True), (len(xy), *steps.shape)
    ).reshape(-1, 2)
    margin = 0.5 * spacing
    limit = np.array(shape[::-1]) - 1 - margin
    wanted = ((sites > margin) & (sites < limit)).all(axis=1)
    wanted &= cKDTree(others).query(sites)[0] > 0.45 * spacing
    sites, directions = sites[wanted], directions[wanted]
    if not len(sites):
        return nothing
    needed = max(3, round(0.4 * len(steps)))
    found: list[Floats] = []
    tree = cKDTree(sites)
    near = tree.query_pairs(2 * TOLERANCE * spacing, output_type="ndarray")
    groups: list[list[int]] = [[k] for k in range(len(sites))]
    for a, b in near.tolist():
        groups[a].append(b)
        groups[b].append(a)
    taken = np.zeros(len(sites), dtype=bool)
    for k in np.argsort([-len(g) for g in groups], kind="stable").tolist():
        group = [i for i in groups[k] if not taken[i]]
        if taken[k] or len(group) < needed:
            continue
        taken[group] = True
        if np.linalg.norm(directions[group].mean(axis=0)) > 0.5:
            continue
        centre = sites[group].mean(axis=0)
        x, y = np.rint(centre).astype(int)
        reach = max(1, round(0.25 * spacing))
        around = valid[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        if around.any():
            found.append(centre)
    return np.array(found).reshape(-1, 2)
