"""Labels with the faults of hands and peak finders, for training pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import concat, make_atoms, next_id, positions, with_calibration
from napari_apgan.io.pairs import Pair

Floats = NDArray[np.float64]

#: Places tried for each false label.
TRIALS = 200


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with the labels of a training pair.

    Parameters
    ----------
    jitter_pm : float
        Standard deviation of each label's position along each axis; the mean distance from the
        atom is ``sqrt(π / 2)`` times this.
    missing : float
        Part of the atoms that no label marks.
    wrong : float
        Wrong labels as a part of the atoms: with several elements, atoms of the wrong one; with a
        single element, labels where no atom is.
    """

    jitter_pm: float
    missing: float
    wrong: float


def spoil(pair: Pair, faults: Faults, rng: np.random.Generator) -> Pair:
    """Return the pair with faulty labels; its frame stays.

    Parameters
    ----------
    pair : Pair
        Calibrated, its labels true.
    faults : Faults
        The parts are rounded to whole numbers of atoms.
    rng : numpy Generator
    """
    truth = pair.atoms
    size_pm = pair.frame.calibration.mean_pm
    assert size_pm is not None  # simulated pairs are calibrated
    count = len(truth)
    order = rng.permutation(count)
    n_missing, n_wrong = round(faults.missing * count), round(faults.wrong * count)
    kept = np.sort(order[n_missing:])
    xy = positions(truth) + rng.normal(0.0, faults.jitter_pm / size_pm, (count, 2))
    rows, columns = pair.frame.shape
    xy = np.clip(xy, -0.5, [columns - 0.5001, rows - 0.5001])
    labels = truth.copy()
    labels[["x_px", "y_px"]] = xy
    names = sorted(set(truth["element"].tolist()))
    if len(names) > 1:
        changed = order[n_missing : n_missing + n_wrong]
        labels.loc[changed, "element"] = _other_names(
            labels["element"].to_numpy()[changed], names, rng
        )
        labels = labels.iloc[kept].reset_index(drop=True)
    else:
        false = _false_places(positions(truth), n_wrong, pair.frame.shape, rng)
        added = make_atoms(false, names[0] if names else "unknown", origin="simulated")
        added["id"] = next_id(truth["id"]) + np.arange(len(added))
        labels = concat([labels.iloc[kept], added])
    return replace(pair, atoms=with_calibration(labels, pair.frame.calibration))


def _other_names(
    names: NDArray[np.object_], every: list[str], rng: np.random.Generator
) -> pd.Index:
    return pd.Index([str(rng.choice([n for n in every if n != name])) for name in names.tolist()])


def _false_places(
    xy: Floats, count: int, shape: tuple[int, int], rng: np.random.Generator
) -> Floats:
    """Return places, each farther from every atom than half the usual distance of neighbours."""
    from scipy.spatial import cKDTree

    if count < 1 or len(xy) < 2:
        return np.zeros((0, 2))
    tree = cKDTree(xy)
    apart = 0.5 * float(np.median(np.asarray(tree.query(xy, k=2)[0])[:, 1]))
    high = np.array([shape[1], shape[0]]) - 0.5
    tried = rng.uniform(-0.5, high, (TRIALS * count, 2))
    free: Floats = tried[tree.query(tried)[0] > apart]
    return free[:count]
