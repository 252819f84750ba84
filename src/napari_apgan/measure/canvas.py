"""The grid on which kernels meet atoms: a frame with a margin, and its Fourier transforms.

A kernel is known on whole pixels and brought to an atom between them by a spline of fifth degree
(Unser 1999, IEEE Signal Process. Mag. 16/6, 22). Reading an image at atoms with the same weights is
the exact transpose, so that derivatives belong to the model that is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Hat = NDArray[np.complex64]
Image = NDArray[np.float32]

DEGREE = 5


@dataclass(frozen=True, slots=True)
class Canvas:
    """A frame of `shape` (rows, columns) with `reach` px around it, periodic without wrapping."""

    shape: tuple[int, int]
    reach: int

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns with the margin, rounded up to lengths that transform fast."""
        rows, columns = (
            int(next_fast_len(n + 2 * self.reach + DEGREE + 1, real=True)) for n in self.shape
        )
        return rows, columns

    def hat(self, image: Image) -> Hat:
        """Transform an image of the whole canvas."""
        return np.asarray(rfft2(image.astype(np.float32, copy=False)), dtype=np.complex64)

    def back(self, hat: Hat) -> Image:
        """Transform back to the whole canvas."""
        image: Image = irfft2(hat, s=self.size)
        return image

    def inside(self, image: Image) -> Image:
        """Cut the frame out of the canvas."""
        r = self.reach
        return image[r : r + self.shape[0], r : r + self.shape[1]]

    def around(self, image: NDArray[Any]) -> Image:
        """Put a frame into an empty canvas."""
        out = np.zeros(self.size, dtype=np.float32)
        r = self.reach
        out[r : r + self.shape[0], r : r + self.shape[1]] = image
        return out

    def frequencies(self) -> tuple[Floats, Floats]:
        """Angular frequencies (rad / px) along y and x, for the half that `hat` returns."""
        rows, columns = self.size
        ky = 2 * np.pi * np.fft.fftfreq(rows)[:, None]
        kx = 2 * np.pi * np.fft.rfftfreq(columns)[None, :]
        return np.asarray(ky, dtype=np.float64), np.asarray(kx, dtype=np.float64)

    def prefilter(self) -> NDArray[np.float32]:
        """One over the transform of the sampled spline: weights then interpolate, not smooth."""
        ky, kx = ((66 + 52 * np.cos(k) + 2 * np.cos(2 * k)) / 120 for k in self.frequencies())
        return np.asarray(1.0 / (ky * kx), dtype=np.float32)

    def kernel_hat(self, stamp: NDArray[Any]) -> Hat:
        """Transform a (2 K + 1, 2 K + 1) kernel, K ≤ reach, with its middle at pixel 0."""
        half = stamp.shape[0] // 2
        image = np.zeros(self.size, dtype=np.float32)
        image[: 2 * half + 1, : 2 * half + 1] = stamp
        return self.hat(np.roll(image, (-half, -half), axis=(0, 1)))

    def places(self, xy: Floats) -> Places:
        """Return what reads and draws at (N, 2) positions of the frame."""
        rows, columns = self.size
        weights, index = [], []
        for axis, length in ((1, rows), (0, columns)):
            at = np.clip(xy[:, axis] + self.reach, 2.0, length - 4.0)
            whole = np.floor(at)
            weights.append(spline_weights(at - whole))
            index.append(whole.astype(np.intp)[:, None] + np.arange(-2, 4))
        (wy, sy), (wx, sx) = weights
        pixel = (index[0][:, :, None] * columns + index[1][:, None, :]).reshape(-1)
        ends = np.arange(len(xy) + 1) * (DEGREE + 1) ** 2
        made = [
            csr_array(
                ((p[:, :, None] * q[:, None, :]).astype(np.float32).reshape(-1), pixel, ends),
                shape=(len(xy), rows * columns),
            )
            for p, q in ((wy, wx), (wy, sx), (sy, wx))
        ]
        return Places(*made)


@dataclass(frozen=True, slots=True)
class Places:
    """Sparse (atoms, pixels) matrices: values at the atoms, and derivatives along x and y."""

    value: csr_array[Any]
    along_x: csr_array[Any]
    along_y: csr_array[Any]

    def read(self, image: Image) -> Floats:
        """Return (3, N): value and both derivatives of an image at the atoms."""
        flat = image.ravel()
        return np.stack([m @ flat for m in (self.value, self.along_x, self.along_y)])

    def draw(self, amounts: Floats, shape: tuple[int, int]) -> Image:
        """Return the transpose of :meth:`read`, of (3, N) amounts."""
        parts = (self.value, self.along_x, self.along_y)
        flat = sum(m.T @ v for m, v in zip(parts, amounts, strict=True))
        return np.asarray(flat, dtype=np.float32).reshape(shape)


def spline_weights(f: Floats) -> tuple[Floats, Floats]:
    """Weights of six splines at fractions 0 ≤ f < 1, and their derivatives, each (N, 6)."""
    weights = np.ones((len(f), 1))
    lower = weights
    for degree in range(1, DEGREE + 1):
        lower = weights
        padded = np.pad(lower, ((0, 0), (1, 1)))
        j = np.arange(degree + 1)
        left, right = f[:, None] + degree - j, 1.0 + j - f[:, None]
        weights = (left * padded[:, :-1] + right * padded[:, 1:]) / degree
    padded = np.pad(lower, ((0, 0), (1, 1)))
    return weights, padded[:, :-1] - padded[:, 1:]
