"""All atoms of a frame at once: positions, amplitudes and the kernel, by Gauss-Newton.

The image is ``b + Σ a_i K_e(i)(r - r_i)`` with a smooth background b. Products with the derivatives
J of the model are drawn and read on a :class:`~.canvas.Canvas`, so that no derivative is ever
stored: the step solves ``(Jᵀ W J + P) δ = Jᵀ W (image - model) + P (p₀ - p)`` by conjugate
gradients (Hestenes & Stiefel 1952), W being the valid pixels over their noise's variance, P what is
known beforehand, with the 3x3 blocks of the atoms and the block of the kernel as preconditioner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .canvas import Canvas, Hat, Image, Places
from .fisher import own_blocks
from .kernels import Profile, blurred_stamps

Floats = NDArray[np.float64]

#: Conjugate gradients stop at this fraction of the first residual, or after this many rounds.
CG_TOLERANCE = 0.02
CG_ROUNDS = 30
#: How large a kernel's tail or fringe may be beyond two widths, and where it has fallen to 1 / e,
#: as part of the reach.
TAIL_SIZE, TAIL_DECAY = 0.1, 0.15
#: How much wider an element may be than another, in squares of the width.
BLUR_SIZE = 0.2
#: How far a kernel may be from the expected one, as part of how large it may be without.
NEAR_EXPECTED = 0.1
#: By what part the heights of all atoms of an element may change together in one round.
COMMON_HEIGHT = 1.0
#: No pixel's residual is raised by more than one over one less this.
MOST_LEVERAGE = 0.8
#: Variances by which elements may differ from the first, in squares of the width.
SHARPEST, WIDEST = -0.2, 1.5
#: Columns of the background that are solved for along with the kernel: polynomials up to here.
POLYNOMIAL = 2


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the atoms beforehand: means and precisions (one over the variance)."""

    xy: Floats
    xy_precision: Floats
    amplitude: Floats
    amplitude_precision: Floats


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is fitted.

    `xy` (N, 2) in px, `amplitude` (N,), `element` (N,) the number of each atom's element, `weights`
    of the kernel's basis, `blur` (elements,) in px², `trend` the polynomial and `background` the
    rest of the background, (Y, X).
    """

    xy: Floats
    amplitude: Floats
    element: NDArray[np.intp]
    weights: Floats
    blur: Floats
    trend: Floats
    background: Image


class Scene:
    """A frame, its weights and the basis of its kernel, ready for fits.

    Parameters
    ----------
    image : (Y, X) array
        Where `valid` is False it does not count.
    valid : (Y, X) bool array
    profile : Profile
    width_px : float
        Usual width of a peak.
    smooth_px : float
        Scale of the background.
    """

    def __init__(
        self,
        image: Image,
        valid: NDArray[np.bool_],
        profile: Profile,
        width_px: float,
        smooth_px: float,
    ) -> None:
        self.image = np.where(valid, image, 0).astype(np.float32)
        self.valid = valid
        self.weight = valid.astype(np.float32)
        self.canvas = Canvas(image.shape, profile.reach_px)
        self.width_px = width_px
        self.smooth_px = smooth_px
        self.prefilter = self.canvas.prefilter()
        ky, kx = self.canvas.frequencies()
        self.k2 = (kx**2 + ky**2).astype(np.float32)
        self.trends = _polynomials(image.shape)
        self._filled = gaussian_filter(self.weight, smooth_px, mode="constant")
        self.expected: State | None = None
        self.profile = profile
        self.functions = profile.functions()
        self.basis_hats = [self.canvas.kernel_hat(f) * self.prefilter for f in self.functions]

    def expect(self, state: State) -> None:
        """Draw the kernel to that of a state, where the frame leaves it open."""
        self.expected = state

    def kernel_hats(self, state: State) -> list[Hat]:
        """Return the filtered transform of the kernel of each element."""
        whole = self.canvas.kernel_hat(np.tensordot(state.weights, self.functions, axes=1))
        return [whole * self.prefilter * self.blurred(b) for b in state.blur]

    def stamps(self, state: State) -> Floats:
        """Return the kernel of each element on whole pixels, (elements, 2 R + 1, 2 R + 1)."""
        return blurred_stamps(np.tensordot(state.weights, self.functions, axes=1), state.blur)

    def blurred(self, variance: float) -> NDArray[np.float32]:
        """Return the transform of a Gaussian of that variance in px²."""
        blurred: NDArray[np.float32] = np.exp(-0.5 * variance * self.k2)
        return blurred

    def draw(self, places: list[Places], hats: list[Hat], amounts: list[Floats]) -> Image:
        """Draw (3, n) amounts of values and derivatives of each element's atoms; the frame part."""
        size = self.canvas.size
        total = np.zeros_like(hats[0])
        for p, hat, v in zip(places, hats, amounts, strict=True):
            total += self.canvas.hat(p.draw(v, size)) * hat
        return self.canvas.inside(self.canvas.back(total))

    def read(self, places: list[Places], hats: list[Hat], image: Image) -> list[Floats]:
        """Correlate a frame with the kernels and read it at the atoms, (3, n) each."""
        seen = self.canvas.hat(self.canvas.around(image))
        return [
            p.read(self.canvas.back(seen * np.conj(hat)))
            for p, hat in zip(places, hats, strict=True)
        ]

    def smooth(self, image: Image) -> Image:
        """Return the smooth part of what the valid pixels of an image hold."""
        total = gaussian_filter(image * self.weight, self.smooth_px, mode="constant")
        smooth: Image = total / np.maximum(self._filled, 1e-3 * self._filled.max() + 1e-12)
        return smooth


def _polynomials(shape: tuple[int, int]) -> Image:
    """Return orthogonal-ish polynomials up to second degree, (6, Y, X)."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    powers = [(i, j) for i in range(POLYNOMIAL + 1) for j in range(POLYNOMIAL + 1 - i)]
    return np.stack([np.outer(y**i, x**j) for i, j in powers])


class Step:
    """One linearisation of the model about a state: products with its derivatives."""

    def __init__(self, scene: Scene, state: State, weight: Image, known: Known, learn: bool):
        self.scene, self.state, self.weight, self.known = scene, state, weight, known
        self.learn = learn
        n_elements = len(state.blur)
        self.rows = [np.flatnonzero(state.element == e) for e in range(n_elements)]
        self.places = [scene.canvas.places(state.xy[r]) for r in self.rows]
        self.hats = scene.kernel_hats(state)
        ones = [self._amounts(r, *self._unit(r)) for r in self.rows]
        size = scene.canvas.size
        self.sources = [
            scene.canvas.hat(p.draw(v, size)) for p, v in zip(self.places, ones, strict=True)
        ]
        drawn = np.zeros_like(self.hats[0])
        for source, hat in zip(self.sources, self.hats, strict=True):
            drawn += source * hat
        self.atoms = scene.canvas.inside(scene.canvas.back(drawn))
        self.model = self.atoms + np.tensordot(state.trend, scene.trends, axes=1) + state.background
        # The kernel's own height is that of the first element.
        self.first_height = 1 if learn else 0
        self.columns = self._columns()
        self.n = len(state.amplitude)
        self.prior, self.pull = self._priors()
        self.gradient = self.transpose(scene.image - self.model) + self.pull

    def _unit(self, rows: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        zero = np.zeros(len(rows))
        return self.state.amplitude[rows], zero, zero

    def _amounts(self, rows: NDArray[np.intp], a: Floats, x: Floats, y: Floats) -> Floats:
        """Return (3, n) amounts to draw for changes of amplitude and place."""
        height = self.state.amplitude[rows]
        return np.stack([a, height * x, height * y])

    def _columns(self) -> Image:
        """Return derivatives by what all atoms share, (G, pixels): heights, basis, blurs, trend."""
        columns = np.empty((self._n_shared(), *self.scene.image.shape), dtype=np.float32)
        n_trend = len(self.scene.trends)
        for column, hat in zip(columns[: len(columns) - n_trend], self._shared_hats(), strict=True):
            column[:] = self.scene.canvas.inside(self.scene.canvas.back(hat))
        columns[len(columns) - n_trend :] = self.scene.trends
        return columns.reshape(len(columns), -1)

    def _n_shared(self) -> int:
        """Return how many parameters all atoms share."""
        n_elements = len(self.state.blur)
        kernel = len(self.scene.basis_hats) + n_elements - 1 if self.learn else 0
        return n_elements - self.first_height + kernel + len(self.scene.trends)

    def _shared_hats(self) -> Iterator[Hat]:
        """Yield the transforms of the derivatives by heights, basis and blurs."""
        scene, state = self.scene, self.state
        sources = list(zip(self.sources, self.hats, strict=True))
        for source, hat in sources[self.first_height :]:
            yield source * hat
        if not self.learn:
            return
        common = sum(s * scene.blurred(b) for s, b in zip(self.sources, state.blur, strict=True))
        for hat in scene.basis_hats:
            yield common * hat
        for source, hat in sources[1:]:
            yield source * hat * (-0.5 * scene.k2)

    def _priors(self) -> tuple[Floats, Floats]:
        """Return the precisions of all parameters, and their pull towards what is known."""
        known, state = self.known, self.state
        atoms = np.stack([known.amplitude_precision, known.xy_precision, known.xy_precision])
        off = np.stack([known.amplitude - state.amplitude, *(known.xy - state.xy).T])
        shared, away = self._shared_priors()
        precision = np.concatenate([atoms.ravel(), shared])
        return precision, np.concatenate([(atoms * off).ravel(), shared * away])

    def _shared_priors(self) -> tuple[Floats, Floats]:
        state, scene = self.state, self.scene
        n_trend = len(scene.trends)
        small = np.full(n_trend, 1e-8)
        heights = np.full(len(state.blur) - self.first_height, 1.0 / COMMON_HEIGHT**2)
        if not self.learn:
            known = np.concatenate([heights, small])
            return known, -np.concatenate([0 * heights, state.trend])
        width = scene.width_px
        r = scene.profile.centers_px
        tail = np.exp(-np.maximum(r - 2 * width, 0) / (TAIL_DECAY * scene.profile.reach_px))
        spread = np.where(r <= 2 * width, 1.0, TAIL_SIZE * tail)
        spread = np.where(scene.profile.orders > 0, 0.3 * spread, spread)
        wider = np.full(len(state.blur) - 1, BLUR_SIZE * width**2)
        weights_off, blur_off = state.weights, state.blur[1:]
        if scene.expected is not None:
            spread, wider = NEAR_EXPECTED * spread, NEAR_EXPECTED * wider
            weights_off = weights_off - scene.expected.weights
            blur_off = blur_off - scene.expected.blur[1:]
        precision = np.concatenate([heights, 1.0 / spread**2, 1.0 / wider**2, small])
        return precision, -np.concatenate([0 * heights, weights_off, blur_off, state.trend])

    def split(self, vector: Floats) -> tuple[Floats, Floats]:
        """Return the (3, N) part of the atoms and the part that is shared."""
        return vector[: 3 * self.n].reshape(3, self.n), vector[3 * self.n :]

    def forward(self, vector: Floats) -> Image:
        """Return J v, (Y, X)."""
        atoms, shared = self.split(vector)
        amounts = [self._amounts(r, *atoms[:, r]) for r in self.rows]
        image = self.scene.draw(self.places, self.hats, amounts)
        return image + (shared.astype(np.float32) @ self.columns).reshape(image.shape)

    def transpose(self, image: Image) -> Floats:
        """Return Jᵀ W v."""
        # In double precision, the shared columns would be converted anew at each product.
        weighted = (image * self.weight).astype(np.float32, copy=False)
        atoms = np.empty((3, self.n))
        for r, got in zip(
            self.rows, self.scene.read(self.places, self.hats, weighted), strict=True
        ):
            atoms[:, r] = got
        atoms[1:] *= self.state.amplitude
        shared = self.columns @ weighted.ravel()
        return np.concatenate([atoms.ravel(), shared.astype(np.float64)])

    def blocks(self) -> Floats:
        """Return the 3x3 blocks of Jᵀ W J of each atom, (N, 3, 3), with the actual pixels."""
        scene = self.scene
        plain = [hat / scene.prefilter for hat in self.hats]
        return own_blocks(
            scene.canvas, self.weight, plain, self.places, self.rows, self.state.amplitude
        )

    def _rough_blocks(self) -> Floats:
        """Return :meth:`blocks` for a weight that hardly changes over a peak: good enough to steer.

        What the kernels tell with all pixels, times the weight around each atom.
        """
        scene, state = self.scene, self.state
        seen = gaussian_filter(scene.canvas.around(self.weight), scene.width_px, mode="constant")
        pixel = np.rint(state.xy).astype(np.intp) + scene.canvas.reach
        limit = np.array(scene.canvas.size) - 1
        around = seen[np.clip(pixel[:, 1], 0, limit[0]), np.clip(pixel[:, 0], 0, limit[1])]
        around = np.maximum(around, 1e-3 * seen.max())
        whole = np.empty((len(state.blur), 3, 3))
        for e, parts in enumerate(self.derivatives()):
            flat = parts.reshape(3, -1).astype(np.float64)
            whole[e] = flat @ flat.T
        scale = np.stack([np.ones(self.n), state.amplitude, state.amplitude], axis=1)
        blocks: Floats = whole[state.element] * scale[:, :, None] * scale[:, None, :]
        blocks *= around[:, None, None]
        return blocks

    def derivatives(self) -> list[Image]:
        """Return each element's kernel and its derivatives by the place, (3, rows, columns)."""
        canvas = self.scene.canvas
        ky, kx = canvas.frequencies()
        plain = [hat / self.scene.prefilter for hat in self.hats]
        return [np.stack([canvas.back(p * f) for f in (1.0, -1j * kx, -1j * ky)]) for p in plain]

    def leverage(self, fitted: NDArray[np.bool_]) -> Image:
        """Return which part of the noise of each pixel the fit of these atoms takes up, (Y, X).

        Each atom takes three times the variance of one pixel, spread as the squares of its
        kernel and of the derivatives.
        """
        canvas = self.scene.canvas
        total = np.zeros((), dtype=np.complex64)
        for rows, place, parts in zip(self.rows, self.places, self.derivatives(), strict=True):
            squared = parts**2
            spread = (squared / squared.sum(axis=(1, 2), keepdims=True)).sum(axis=0)
            amounts = np.zeros((3, len(rows)))
            amounts[0] = fitted[rows]
            drawn = canvas.hat(place.draw(amounts, canvas.size))
            total = total + drawn * canvas.hat(spread) * self.scene.prefilter
        return np.clip(canvas.inside(canvas.back(total)), 0.0, MOST_LEVERAGE)

    def solve(self, damping: float) -> Floats:
        """Return the step that the linearised model asks for."""
        blocks = self._rough_blocks()
        prior_atoms, prior_shared = self.split(self.prior)
        diagonal = np.einsum("nii->ni", blocks)
        floor = 1e-3 * np.median(diagonal, axis=0)
        extra = damping * np.maximum(diagonal, floor)
        blocks[:, range(3), range(3)] += extra + prior_atoms.T + floor * 1e-3
        inverse = np.linalg.inv(blocks)
        weighted = self.columns * self.weight.ravel()
        shared = (weighted @ self.columns.T).astype(np.float64)
        shared[range(len(shared)), range(len(shared))] += prior_shared
        size = np.sqrt(np.diag(shared))
        small = np.linalg.inv(shared / np.outer(size, size) + 1e-6 * np.eye(len(size))) / np.outer(
            size, size
        )
        precision = self.prior + np.concatenate([extra.T.ravel(), 1e-6 * size**2])

        def precondition(v: Floats) -> Floats:
            atoms, rest = self.split(v)
            return np.concatenate([np.einsum("nij,jn->in", inverse, atoms).ravel(), small @ rest])

        step = np.zeros_like(self.gradient)
        residual = self.gradient.copy()
        z = precondition(residual)
        direction, product = z, float(residual @ z)
        first = product
        for _ in range(CG_ROUNDS):
            if product <= CG_TOLERANCE**2 * first or first <= 0:
                return step
            image = self.transpose(self.forward(direction)) + precision * direction
            length = product / float(direction @ image)
            step = step + length * direction
            residual = residual - length * image
            z = precondition(residual)
            new = float(residual @ z)
            direction, product = z + (new / product) * direction, new
        return step

    def moved(self, step: Floats, longest: float) -> State:
        """Return the state after a step, with the kernel 1 in its middle."""
        atoms, shared = self.split(step)
        state = self.state
        change = atoms[1:].T
        length = np.hypot(*change.T)
        change = change * np.minimum(1.0, longest / np.maximum(length, 1e-12))[:, None]
        higher, shared = np.split(shared, [len(state.blur) - self.first_height])
        higher = np.pad(np.maximum(higher, -0.5), (self.first_height, 0))
        amplitude = (state.amplitude + atoms[0]) * (1.0 + higher[state.element])
        n_trend = len(self.scene.trends)
        weights, blur = state.weights, state.blur
        if self.learn:
            n = len(weights)
            weights = weights + shared[:n]
            blur = blur.copy()
            blur[1:] += shared[n : n + len(blur) - 1]
            width = self.scene.width_px
            blur = np.clip(blur, SHARPEST * width**2, WIDEST * width**2)
            height = middle(weights)
            weights, amplitude = weights / height, amplitude * height
        return replace(
            state,
            xy=state.xy + change,
            amplitude=amplitude,
            weights=weights,
            blur=blur,
            trend=state.trend + shared[len(shared) - n_trend :],
        )


def middle(weights: Floats) -> float:
    """Return the profile's value at 0."""
    return float(weights[0] * 2 / 3 + weights[1] / 3)
