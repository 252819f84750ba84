"""How many kinds of atoms a set of measures shows: Gaussian mixtures, chosen by their evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_apgan.errors import UserError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Two kinds lie at least this many of their common standard deviations apart (Ashman, Bird and
#: Zepf, Astron. J. 108 (1994) 2348, who call two modes clear from 2 on).
CLEAR = 2.0
#: Fewest atoms of a kind.
FEWEST = 3
#: Kinds are never narrower than this part of the whole spread, nor than this (in logarithms).
NARROWEST, NARROWEST_LOG = 0.08, 0.01
STEPS = 200
#: Part of the atoms that is of no kind.
STRAY = 0.002


@dataclass(frozen=True, slots=True)
class Mixture:
    """Kinds of atoms, the weakest first.

    Parameters
    ----------
    means : (K, D) array
    spreads : (K, D) array
        Standard deviations.
    shares : (K,) array
        Parts of the atoms; the sum is 1.
    probability : (N, K) array
        Of each kind, for each atom.
    sureness : (N,) array
        Probability of the most probable kind, against the others and against none of them: a few
        atoms may lie anywhere within the range.
    bic : float
        Bayesian information criterion (Schwarz 1978), lower is better.
    """

    means: Floats
    spreads: Floats
    shares: Floats
    probability: Floats
    sureness: Floats
    bic: float

    @property
    def kind(self) -> Ints:
        """(N,) most probable kind of each atom."""
        best: Ints = self.probability.argmax(axis=1).astype(np.int64)
        return best


def find_kinds(values: ArrayLike, *, most: int = 3, exactly: int | None = None) -> Mixture:
    """Part atoms into one to three kinds by what was measured on them.

    Mixtures of 1 to `most` Gaussians (without correlations) are fitted by expectation and
    maximisation (Dempster, Laird and Rubin 1977). The one with the lowest Bayesian information
    criterion counts, among those whose kinds stand clear of each other: a skewed distribution is
    described best by two Gaussians too, and is of one kind.

    Parameters
    ----------
    values : (N,) or (N, D) array
        Logarithms of intensities, for example, and of widths; the first column orders the kinds.
    most : int
        Largest number of kinds.
    exactly : int, optional
        Number of kinds when it is known.

    Raises
    ------
    UserError
        When there are no atoms, a value is not a number, or there are fewer atoms than kinds.
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    if not len(x) or not np.isfinite(x).all():
        raise UserError("Kinds are told apart by numbers, and there are none for some atoms.")
    if exactly is not None:
        if not 1 <= exactly <= len(x):
            raise UserError(f"{len(x)} atoms cannot be of {exactly} kinds.")
        return _fit(x, exactly)
    best = _fit(x, 1)
    for n in range(2, min(most, len(x) // FEWEST) + 1):
        made = _fit(x, n)
        if made.bic < best.bic and _is_clear(made):
            best = made
    return best


def _is_clear(mixture: Mixture) -> bool:
    """Tell whether all kinds are clear of their neighbours and have enough atoms."""
    if (np.bincount(mixture.kind, minlength=len(mixture.shares)) < FEWEST).any():
        return False
    for k in range(len(mixture.shares)):
        for other in range(k):
            spread = np.sqrt(0.5 * (mixture.spreads[k] ** 2 + mixture.spreads[other] ** 2))
            apart = np.linalg.norm((mixture.means[k] - mixture.means[other]) / spread)
            if apart < CLEAR:
                return False
    return True


def _fit(x: Floats, n: int) -> Mixture:
    """Fit `n` Gaussians, from several beginnings, and keep the most probable."""
    whole = x.std(axis=0)
    narrowest = np.maximum(NARROWEST * whole, NARROWEST_LOG)
    made = [_maximise(x, start, narrowest) for start in _starts(x, n)]
    mean, spread, share, probability, density = max(made, key=lambda m: float(np.log(m[4]).sum()))
    likelihood = float(np.log(density).sum())
    stray = STRAY / float(np.prod(np.maximum(np.ptp(x, axis=0), 6 * narrowest)))
    order = np.argsort(mean[:, 0], kind="stable")
    free = n * 2 * x.shape[1] + n - 1
    return Mixture(
        mean[order],
        spread[order],
        share[order],
        probability[:, order],
        probability.max(axis=1) * density / (density + stray),
        -2 * likelihood + free * math.log(len(x)),
    )


def _starts(x: Floats, n: int) -> list[Floats]:
    """Return (N, K) first memberships: equal parts, the widest gaps, a few at either end."""
    if n == 1:
        return [np.ones((len(x), 1))]
    starts = []
    for values in x.T:
        ordered = np.sort(values)
        cuts = [np.quantile(values, np.arange(1, n) / n)]
        gaps = np.diff(ordered)[FEWEST - 1 : len(values) - FEWEST]
        if len(gaps) >= n - 1:
            widest = np.sort(np.argsort(-gaps, kind="stable")[: n - 1]) + FEWEST - 1
            cuts.append(0.5 * (ordered[widest] + ordered[widest + 1]))
        cuts.append(values.min() + np.ptp(values) * np.arange(1, n) / n)
        starts += [np.eye(n)[np.searchsorted(cut, values)] for cut in cuts]
    return starts


def _maximise(
    x: Floats, member: Floats, narrowest: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Improve memberships until the likelihood stands still; the last is the (N,) density."""
    before = -math.inf
    for _ in range(STEPS):
        count = np.maximum(member.sum(axis=0), 1e-9)
        share = count / len(x)
        mean = (member.T @ x) / count[:, None]
        variance = (member.T @ x**2) / count[:, None] - mean**2
        spread = np.sqrt(np.maximum(variance, narrowest**2))
        z = (x[:, None] - mean[None]) / spread[None]
        each = (
            np.log(share)[None]
            - 0.5 * (z**2).sum(axis=2)
            - np.log(spread).sum(axis=1)[None]
            - 0.5 * x.shape[1] * math.log(2 * math.pi)
        )
        top = each.max(axis=1, keepdims=True)
        total = top[:, 0] + np.log(np.exp(each - top).sum(axis=1))
        member = np.exp(each - total[:, None])
        now = float(total.sum())
        if now - before < 1e-7 * len(x):
            break
        before = now
    return mean, spread, share, member, np.maximum(np.exp(total), 1e-300)
