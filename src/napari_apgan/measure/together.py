"""The course of a joint fit: which atoms take part, what is learned when, and how sure it all is.

A kernel that is learned along with the positions comes out too sharp: with errors of variance σ²
per axis in the positions, the sharp kernel ``K̂(k) exp(k² σ² / 2)`` on scattered atoms looks like
the right one on the right places, and displacements shrink by as much. So in each round the learned
kernel is blurred by the σ² that the errors say; fitted with a kernel that is too sharp, positions
would follow the noise, and sharpen it further. One that is drawn to a usual kernel stays as wide as
that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.spatial import cKDTree

from .alike import (
    MISSED_AMPLITUDE,
    Atoms,
    absent_of,
    known_of,
    loosened,
    usual_amplitudes,
    with_filled_gaps,
)
from .beyond import continue_lattice, lattice_gaps, lattice_windows
from .fisher import Correlations, local_covariances, own_blocks
from .joint import MOST_LEVERAGE, Scene, State, Step, middle
from .kernels import Kernel, Profile

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]
Image = NDArray[np.float32]

#: Rounds with the atoms held (more where several elements share a kernel, or nothing else is
#: asked), with everything open, and with the kernel held.
HELD_ROUNDS = 1
HELD_LONGER = 3
LEARNING_ROUNDS = 6
#: Rounds with everything open from which on something unlisted is an atom or nothing.
GAP_ROUNDS = 2
#: Rounds with everything open from which on the kernel of several elements is learned with
#: amplitudes that like ones hold but loosely. Held as like as they are, they leave what they differ
#: by to the kernel, and weak atoms are drawn back to their sites; freed from the start, unlisted
#: atoms spoil the kernel, and freed where all are alike, they draw back too (by 1 % in graphene).
ALIKE_ROUNDS = 3
FINAL_ROUNDS = 2
#: So much of what trend and atoms take in a step is not offered to the background: the best of a
#: few on multilayers and graphene.
LEFT_BY_TREND, LEFT_BY_ATOMS = 0.5, 0.25
#: Levenberg's damping while the steps are long.
DAMPING = 1e-3
#: Largest step in one round, in widths.
LONGEST_STEP = 0.3
#: Significance that something unlisted needs to count as an atom, and the part of its kernel that
#: the frame must show.
MISSED_SIGMAS = 5.0
MISSED_SEEN = 0.3
#: Elements of less than this part of the height of the strongest are looked for in gaps of the
#: lattice from the start.
WEAK = 0.5
#: Pixels' variance is never taken below this part of the mean one.
LEAST_VARIANCE = 0.2
#: Atoms of an element whose errors stand for all while the kernel is learned.
SAMPLE = 50
#: Nearest distances within which neighbours count for the errors.
REACH_OF_NEIGHBOURS = 3.3


@dataclass(frozen=True, slots=True)
class Together:
    """A joint fit; its first atoms are those that were listed, in their order.

    `covariance` is (N, 3, 3) of amplitude, x, y, without what correlates the noise; `told` (N,)
    which part of what all pixels would tell about the place of each atom the valid ones do.
    """

    scene: Scene
    state: State
    atoms: Atoms
    usual: Floats
    variance: Image
    residual: Image
    covariance: Floats
    told: Floats


def fit_together(
    image: Image,
    valid: Bools,
    xy: Floats,
    element: Ints,
    amplitude: Floats,
    *,
    width: float,
    spacing: float,
    known: tuple[Kernel, list[str]] | None = None,
    prior: tuple[Kernel, list[str]] | None = None,
    held: bool = False,
) -> Together:
    """Fit all atoms of a frame together.

    Parameters
    ----------
    image, valid : (Y, X) arrays
        The image with a background near 0 and typical peaks of height near 1 (or -1).
    xy, element : (N, 2), (N,) arrays
        Where the atoms are about, and which element each is.
    amplitude : (elements,) array
        About how high the peaks of each element are.
    width, spacing : float
        Usual width of a peak and distance of nearest atoms, px.
    known : (Kernel, list of str), optional
        Kernel to be taken as it is, and the names of the elements; learned when left out.
    prior : (Kernel, list of str), optional
        What a kernel that is learned is drawn to where the frame leaves it open.
    held : bool
        Whether the positions are right already, and only the rest is to be found.
    """
    given = known or prior
    scene, state, atoms = _begin(image, valid, xy, element, amplitude, width, spacing, given)
    learn = known is None
    # Learned from the frame alone, it comes out too sharp.
    too_sharp = learn and prior is None
    if learn and prior is not None:
        scene.expect(state)
    weight = scene.weight / max(float(scene.image[valid].var()), 1e-12)
    several = len(amplitude) > 1
    held_rounds = HELD_ROUNDS + (HELD_LONGER if held or several else 0)
    rounds = held_rounds + (0 if held else LEARNING_ROUNDS)
    for number in range(rounds):
        fixed = number < held_rounds
        known_now = known_of(state, atoms, spacing, fixed)
        if learn and several and number >= held_rounds + ALIKE_ROUNDS:
            known_now = loosened(known_now)
        step = Step(scene, state, weight, known_now, learn)
        change = step.solve(DAMPING)
        residual = _left(step, change)
        state = step.moved(change, LONGEST_STEP * width)
        if number:
            state = replace(state, background=state.background + scene.smooth(residual))
            weight = scene.weight / _variance(step, residual, atoms)
        if too_sharp:
            state = _narrowest_first(state) if fixed else _blurred(state, atoms, step, spacing)
        if number >= min(held_rounds + GAP_ROUNDS, rounds) - 1:
            state, atoms = with_filled_gaps(state, atoms)
        if number >= held_rounds - 1 and not held:
            atoms = replace(atoms, absent=absent_of(state, atoms))
        if number == held_rounds and not held:
            state, atoms = _with_missed(scene, step, state, atoms, residual, weight, spacing)
    for _ in range(0 if held else FINAL_ROUNDS):
        step = Step(scene, state, weight, known_of(state, atoms, spacing, False), False)
        change = step.solve(0.0)
        residual = _left(step, change)
        state = step.moved(change, LONGEST_STEP * width)
        state = replace(state, background=state.background + scene.smooth(residual))
        weight = scene.weight / _variance(step, residual, atoms)
    step = Step(scene, state, weight, known_of(state, atoms, spacing, False), False)
    residual = (scene.image - step.model) * scene.weight
    variance = _variance(step, residual, atoms)
    step.weight = scene.weight / variance
    covariance = _errors(step, spacing)
    usual = usual_amplitudes(state, atoms)[0]
    return Together(scene, state, atoms, usual, variance, residual, covariance, _told(step))


def _left(step: Step, change: Floats) -> Image:
    """Return the part of a residual that the smooth background is to follow.

    Trend, kernel and background would all take the same of the residual before a step, and swing
    from round to round; from what the step leaves, the background would move too slowly.
    """
    scene = step.scene
    trend = np.tensordot(change[-len(scene.trends) :], scene.trends, axes=1)
    taken = LEFT_BY_TREND * trend + LEFT_BY_ATOMS * (step.forward(change) - trend)
    left: Image = ((scene.image - step.model - taken) * scene.weight).astype(np.float32)
    return left


def _begin(
    image: Image,
    valid: Bools,
    xy: Floats,
    element: Ints,
    amplitude: Floats,
    width: float,
    spacing: float,
    given: tuple[Kernel, list[str]] | None,
) -> tuple[Scene, State, Atoms]:
    """Set up the scene with the atoms around it, beginning with a given kernel or a Gaussian."""
    if given is None:
        reach = int(np.clip(round(4.5 * spacing), max(12, 5 * width), 40))
        profile = Profile(max(0.6 * width, 0.8), reach)
        gauss = np.exp(-(profile.centers_px**2) / (2 * width**2))
        weights, blur = gauss / middle(gauss), np.zeros(len(amplitude))
    else:
        kernel, names = given
        profile, weights = kernel.profile, kernel.weights
        blur = kernel.blurs(names)
    scene = Scene(image, valid, profile, width, max(2.0 * spacing, 4.0 * width))
    shape = scene.image.shape
    windows = lattice_windows(xy, element, shape, spacing)
    gaps, missing = lattice_gaps(windows, shape, spacing)
    # Tails of strong atoms take the place of overlooked weak ones, and all weak ones then look
    # weaker than they are. Heights in gaps of strong ones would take away what tells the kernel.
    weak = np.abs(amplitude[missing]) < WEAK * np.abs(amplitude).max()
    gaps, missing = gaps[weak], missing[weak]
    outside, kind = continue_lattice(windows, shape, profile.reach_px, spacing)
    number = np.repeat([0, 1, 2], [len(xy), len(gaps), len(outside)])
    element = np.concatenate([element, missing, kind])
    xy = np.concatenate([xy, gaps, outside])
    state = State(
        xy,
        amplitude[element],
        element,
        weights,
        blur,
        np.zeros(len(scene.trends)),
        np.zeros(scene.image.shape, dtype=np.float32),
    )
    atoms = Atoms(number == 0, np.zeros(len(xy), bool), number == 1, xy.copy())
    return scene, state, atoms


def _narrowest_first(state: State) -> State:
    """Let the profile be that of the narrowest element, which no blur can make from wider ones."""
    return replace(state, blur=state.blur - state.blur.min())


def _variance(step: Step, residual: Image, atoms: Atoms) -> Image:
    """Return the variance of the noise of each pixel, ``a + b model``, from the residuals.

    Residuals are widened by what the fit took from them, most of all on the peaks.
    """
    valid, model = step.scene.valid, step.model
    leverage = step.leverage(atoms.free & ~atoms.absent)
    # Missing pixels leave the same three parameters to fewer ones.
    leverage = np.minimum(leverage / max(float(valid.mean()), 0.1), MOST_LEVERAGE)
    squared = (residual**2 / (1.0 - leverage))[valid].astype(np.float64)
    level = model[valid].astype(np.float64)
    mean = float(squared.mean()) + 1e-30
    around = level - level.mean()
    slope = float((around * (squared - mean)).sum() / max(float((around**2).sum()), 1e-30))
    variance = mean + slope * (model - level.mean())
    bounded: Image = np.maximum(variance, LEAST_VARIANCE * mean).astype(np.float32)
    return bounded


def _errors(step: Step, spacing: float, of: Ints | None = None) -> Floats:
    """Return (M, 3, 3) covariances of amplitude, x and y of atoms."""
    state, known = step.state, step.known
    of = np.arange(len(state.xy)) if of is None else of
    prior = np.stack([known.amplitude_precision, known.xy_precision, known.xy_precision], axis=1)
    prior = prior[:, :, None] * np.eye(3)
    blocks = step.blocks()
    return local_covariances(
        state.xy,
        state.amplitude,
        state.element,
        blocks,
        prior,
        Correlations.of(step.scene.stamps(state)),
        reach=REACH_OF_NEIGHBOURS * spacing,
        of=of,
    )


def _told(step: Step) -> Floats:
    """Return (N,) which part of what all pixels tell about a place the valid ones do."""
    scene, state = step.scene, step.state
    plain = [hat / scene.prefilter for hat in step.hats]
    ones = np.ones_like(state.amplitude)
    here = own_blocks(scene.canvas, scene.weight, plain, step.places, step.rows, ones)
    whole = np.array([(parts[1:] ** 2).sum() for parts in step.derivatives()])
    told: Floats = np.einsum("nii->n", here[:, 1:, 1:]) / whole[state.element]
    return told


def _sample(state: State, atoms: Atoms) -> Ints:
    """Return some atoms of each element, for errors that stand for all."""
    parts = []
    for e in range(len(state.blur)):
        own = np.flatnonzero((state.element == e) & atoms.free & ~atoms.absent)
        parts.append(own[:: max(len(own) // SAMPLE, 1)])
    return np.concatenate(parts)


def _blurred(state: State, atoms: Atoms, step: Step, spacing: float) -> State:
    """Take the errors of the positions out of the learned kernel."""
    sample = _sample(state, atoms)
    error = _errors(step, spacing, sample)[:, [1, 2], [1, 2]].mean(axis=1)
    blur = state.blur.copy()
    for e in range(len(blur)):
        own = state.element[sample] == e
        if own.any():
            blur[e] += float(np.median(error[own]))
    return replace(state, blur=blur)


def _with_missed(
    scene: Scene,
    step: Step,
    state: State,
    atoms: Atoms,
    residual: Image,
    weight: Image,
    spacing: float,
) -> tuple[State, Atoms]:
    """Add atoms that nobody listed but the residual shows, inside the frame or just outside."""
    canvas = scene.canvas
    usual = np.array(
        [np.median(state.amplitude[state.element == e]) for e in range(len(state.blur))]
    )
    e = int(np.argmin(np.abs(usual)))
    hat = np.conj(step.hats[e] / scene.prefilter)
    stamp = canvas.back(np.conj(hat))
    seen = canvas.back(canvas.hat(canvas.around(residual * weight)) * hat)
    power = canvas.back(canvas.hat(canvas.around(weight)) * np.conj(canvas.hat(stamp**2)))
    least = MISSED_SEEN * float(np.median(weight[scene.valid])) * float((stamp**2).sum())
    power = np.maximum(power, least)
    height = np.sign(usual[e]) * seen / power
    peak = height == maximum_filter(height, size=max(int(0.8 * spacing) | 1, 3))
    peak &= (height > MISSED_AMPLITUDE * abs(usual[e])) & (height * np.sqrt(power) > MISSED_SIGMAS)
    xy = np.argwhere(peak)[:, ::-1].astype(np.float64) - canvas.reach
    edge = np.array(canvas.shape[::-1]) + canvas.reach
    xy = xy[((xy > -canvas.reach) & (xy < edge)).all(axis=1)]
    if len(xy):
        xy = xy[cKDTree(state.xy).query(xy)[0] > 0.5 * spacing]
    n = len(xy)
    state = replace(
        state,
        xy=np.concatenate([state.xy, xy]),
        amplitude=np.concatenate([state.amplitude, np.full(n, usual[e])]),
        element=np.concatenate([state.element, np.full(n, e)]),
    )
    return state, atoms.with_more(xy)
