"""What one atom looks like: peaks with their tails or fringes, one profile for a whole frame.

The profile is a sum of radial splines (times ``cos mφ``, ``sin mφ`` where a lens is astigmatic or
has coma); the elements of a frame share it, each blurred by a Gaussian of its own: in HAADF one
probe with all its tails on columns of different width, in HRTEM one transfer function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from napari_apgan.errors import UserError

from .canvas import Canvas

Floats = NDArray[np.float64]

#: Radii for each spline at which a profile is brought to other splines.
SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Profile:
    """A basis of radial splines, and of what turns with the angle.

    Parameters
    ----------
    step_px : float
        Distance of the splines' knots.
    reach_px : int
        Nothing lies beyond it.
    harmonics : tuple of int
        The m of ``cos mφ`` and ``sin mφ`` besides the round part.
    """

    step_px: float
    reach_px: int
    harmonics: tuple[int, ...] = ()

    @property
    def n_round(self) -> int:
        """Number of round splines."""
        return max(int(self.reach_px / self.step_px) - 1, 3)

    @property
    def orders(self) -> NDArray[np.intp]:
        """Harmonic of each function of the basis (0: round)."""
        turning = [np.full(2 * (self.n_round - 2), m) for m in self.harmonics]
        return np.concatenate([np.zeros(self.n_round, dtype=np.intp), *turning])

    @property
    def centers_px(self) -> Floats:
        """Distance from the atom at which each function of the basis is largest."""
        n = np.arange(self.n_round)
        turning = [np.tile(n[2:], 2) for _ in self.harmonics]
        return np.concatenate([n, *turning]) * self.step_px

    def functions(self) -> Floats:
        """Return the basis on whole pixels, (functions, 2 reach + 1, 2 reach + 1)."""
        line = np.arange(-self.reach_px, self.reach_px + 1)
        x, y = line[None, :], line[:, None]
        r, angle = np.hypot(x, y) / self.step_px, np.arctan2(y, x)
        rings = _rings(self.n_round, r)
        parts = [rings]
        for m in self.harmonics:
            parts += [rings[2:] * np.cos(m * angle), rings[2:] * np.sin(m * angle)]
        return np.concatenate(parts)

    def with_harmonics(self, *harmonics: int) -> Profile:
        """Return the basis with other harmonics."""
        return replace(self, harmonics=tuple(harmonics))


def mean_kernel(kernels: Sequence[Kernel]) -> Kernel:
    """Return the mean of kernels, on the basis of the first."""
    profile = kernels[0].profile
    same = [k.on(profile) for k in kernels]
    names = sorted({name for k in same for name in k.blur_px2})
    blur = {}
    for name in names:
        blur[name] = float(np.mean([k.blur_px2[name] for k in same if name in k.blur_px2]))
    weights: Floats = np.mean([k.weights for k in same], axis=0)
    return Kernel(profile.with_harmonics(), weights, blur)


def _rings(count: int, r: Floats) -> Floats:
    """Return the first splines at distances r in steps, (count, …)."""
    spline = BSpline.basis_element(np.arange(-2, 3), extrapolate=False)
    return np.stack([_ring(spline, r, n) for n in range(count)])


def _ring(spline: BSpline, r: Floats, n: int) -> Floats:
    """Return spline number n, made even in r."""
    total = np.nan_to_num(spline(r - n)) + (np.nan_to_num(spline(r + n)) if n else 0.0)
    return np.asarray(total, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Kernel:
    """The images of single atoms of a frame.

    Parameters
    ----------
    profile : Profile
    weights : (functions,) array
        Of the basis; the profile is 1 in its middle.
    blur_px2 : mapping
        Variance by which the profile of each element is blurred (or, if negative, sharpened).
    """

    profile: Profile
    weights: Floats
    blur_px2: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_shape(
        cls, shape: Callable[[Floats], Floats], profile: Profile, elements: Sequence[str]
    ) -> Kernel:
        """Make the kernel of a known shape, the same for all elements.

        Parameters
        ----------
        shape : callable
            Height at distances in px, 1 in the middle.
        profile : Profile
            Round; its splines follow the shape as well as their step allows.
        elements : sequence of str
        """
        line = np.linspace(0.0, profile.reach_px, 4 * SAMPLES * profile.n_round)
        rings = _rings(profile.n_round, line / profile.step_px)
        weights: Floats = np.linalg.lstsq(rings.T, shape(line), rcond=None)[0].astype(np.float64)
        return cls(profile, weights, dict.fromkeys(elements, 0.0))

    def blurs(self, elements: Sequence[str]) -> Floats:
        """Return the variance in px² by which the profile of each element is blurred.

        Raises
        ------
        UserError
            When the kernel does not know an element.
        """
        unknown = sorted({str(e) for e in elements} - set(self.blur_px2))
        if unknown:
            raise UserError(
                f"The kernel knows {', '.join(self.blur_px2)} but not {', '.join(unknown)}: learn "
                "it from a frame that shows them all."
            )
        return np.array([self.blur_px2[e] for e in elements])

    def on(self, profile: Profile, scale: float = 1.0) -> Kernel:
        """Return the round part of the kernel on another basis, `scale` times as large.

        Parameters
        ----------
        profile : Profile
        scale : float
            Pixels of the new kernel in one of this, such as the ratio of the pixel sizes.
        """
        line = np.linspace(0.0, profile.reach_px, SAMPLES * profile.n_round)
        old, new = (
            _rings(p.n_round, line / step)
            for p, step in (
                (self.profile, self.profile.step_px * scale),
                (profile, profile.step_px),
            )
        )
        values = self.weights[: self.profile.n_round] @ old
        weights: Floats = np.linalg.lstsq(new.T, values, rcond=None)[0].astype(np.float64)
        blur = {name: b * scale**2 for name, b in self.blur_px2.items()}
        return Kernel(profile.with_harmonics(), weights, blur)

    def stamps(self, elements: Sequence[str]) -> Floats:
        """Return the images of elements on whole pixels, (elements, 2 reach + 1, 2 reach + 1).

        Raises
        ------
        UserError
            As :meth:`blurs`.
        """
        whole = np.tensordot(self.weights, self.profile.functions(), axes=1)
        return blurred_stamps(whole, self.blurs(elements))


def blurred_stamps(stamp: Floats, variances: Floats) -> Floats:
    """Blur a (2 R + 1, 2 R + 1) image by Gaussians, (variances, 2 R + 1, 2 R + 1)."""
    reach = stamp.shape[0] // 2
    canvas = Canvas((1, 1), 2 * reach)
    ky, kx = canvas.frequencies()
    hat, squared = canvas.kernel_hat(stamp), kx**2 + ky**2
    images = [
        np.roll(canvas.back(hat * np.exp(-0.5 * v * squared)), (reach, reach), axis=(0, 1))
        for v in variances
    ]
    return np.stack(images)[:, : 2 * reach + 1, : 2 * reach + 1].astype(np.float64)


def half_widths(stamps: Floats) -> Floats:
    """Return for each kernel the width of the Gaussian as wide at half its height, px."""
    middle = stamps.shape[-1] // 2
    out = []
    for stamp in stamps:
        across = stamp[middle, middle:] + stamp[middle, middle::-1]
        mean = 0.25 * (across + stamp[middle:, middle] + stamp[middle::-1, middle])
        below = max(int(np.argmax(mean < 0.5 * mean[0])), 1)
        drop = mean[below - 1] - mean[below]
        crossing = below - 1 + (mean[below - 1] - 0.5 * mean[0]) / max(drop, 1e-12)
        out.append(crossing / np.sqrt(2 * np.log(2)))
    return np.array(out)
