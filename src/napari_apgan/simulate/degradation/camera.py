"""The camera: modulation transfer, binning, readout, saturation and grey levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Fine pixels that the image is continued by before the MTF acts, so that its edges see noise too.
PAD = 16


def transfer(shape: tuple[int, int], nyquist: float) -> Floats:
    """Return the modulation transfer on the frequencies of ``rfft2``.

    ``1 / (1 + (1 / m - 1) (k / kN)²)`` with m its value at the Nyquist frequency kN: the
    exponential tails that light has when it spreads in a scintillator and its fibres.

    Parameters
    ----------
    shape : (int, int)
        (rows, columns) of the image.
    nyquist : float
        m, in 0..1.
    """
    ky = np.fft.fftfreq(shape[0])[:, None] / 0.5
    kx = np.fft.rfftfreq(shape[1])[None, :] / 0.5
    curve: Floats = 1.0 / (1.0 + (1.0 / nyquist - 1.0) * (ky**2 + kx**2))
    return curve


@dataclass(frozen=True, slots=True)
class Camera:
    """The linear part of a camera: MTF of its own pixels, then sums over bins.

    Parameters
    ----------
    mtf : float
        Modulation transfer at the Nyquist frequency of the fine pixels.
    binning : int
    """

    mtf: float = 1.0
    binning: int = 1

    @property
    def pad(self) -> int:
        """Fine pixels that images must reach beyond the frame on each side."""
        return PAD if self.mtf < 1.0 else 0

    def extend(self, image: Floats) -> Floats:
        """Continue a (Y*b, X*b) image by its mirror image, as far as the MTF reaches."""
        return np.pad(image, self.pad, mode="symmetric") if self.pad else image

    def record(self, electrons: Floats) -> Floats:
        """Return the (Y, X) image of extended (Y*b + 2 pad, X*b + 2 pad) electrons."""
        return self._binned(self._filtered(electrons))

    def noise_variance(self, variance: Floats) -> Floats:
        """Return the (Y, X) variance that independent noise has behind the camera.

        With h the point spread of a bin, the variance is that before it, convolved with h².

        Parameters
        ----------
        variance : array
            Of the electrons, extended as in :meth:`record`.
        """
        if self.mtf == 1.0:
            return self._binned(variance)
        from scipy.fft import irfft2, rfft2

        shape = variance.shape
        point = irfft2(transfer(shape, self.mtf), s=shape)
        steps = range(self.binning)
        spread = sum(np.roll(point, (-dy, -dx), axis=(0, 1)) for dy in steps for dx in steps)
        blurred = irfft2(rfft2(np.square(spread)) * rfft2(variance), s=shape)
        pad = self.pad
        cut: Floats = blurred[pad:-pad, pad:-pad][:: self.binning, :: self.binning]
        return cut

    def _filtered(self, electrons: Floats) -> Floats:
        if self.mtf == 1.0:
            return electrons
        from scipy.fft import irfft2, rfft2

        spread = irfft2(rfft2(electrons) * transfer(electrons.shape, self.mtf), s=electrons.shape)
        pad = self.pad
        cut: Floats = spread[pad:-pad, pad:-pad]
        return cut

    def _binned(self, image: Floats) -> Floats:
        b = self.binning
        if b == 1:
            return image
        rows, columns = image.shape
        total: Floats = image.reshape(rows // b, b, columns // b, b).sum(axis=(1, 3))
        return total


def to_grey_levels(
    electrons: Floats,
    *,
    gain: float,
    offset: float,
    saturation: float | None,
    whole_levels: bool,
) -> Floats:
    """Turn electrons into grey levels: saturate, amplify, add the offset, round.

    Parameters
    ----------
    electrons : (Y, X) array
    gain, offset : float
    saturation : float, optional
        Largest number of electrons a pixel holds.
    whole_levels : bool
    """
    held = electrons if saturation is None else np.minimum(electrons, saturation)
    levels: Floats = held * gain + offset
    return np.rint(levels) if whole_levels else levels
