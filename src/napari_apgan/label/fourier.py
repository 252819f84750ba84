"""Fourier filters that know which part of a spectrum is noise.

An amorphous support and the noise of a camera give a spectrum that depends on the spatial
frequency's length alone, while a crystal gives sharp spots. R. Kilaas, J. Microsc. 190 (1998)
45-51, takes the rotational average of the spectrum as that background and derives two filters
from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fftfreq, irfft2, rfft2, rfftfreq
from scipy.ndimage import gaussian_filter, median_filter

from napari_apgan.frames import Frame

Image = NDArray[np.float32]
Spectrum = NDArray[np.complex64]
Gain = Literal["wiener", "absf"]

#: Rings beside each other whose median is taken: spots are narrower than this.
RINGS_OF_MEDIAN = 9
#: Missing pixels further than this many px from any measured one stay unknown.
FARTHEST_FILL_PX = 12.0


@dataclass(frozen=True, slots=True)
class Rings:
    """The rings of a half spectrum.

    Parameters
    ----------
    frequency : (Y, X/2 + 1) array
        Length of each spatial frequency as a fraction of Nyquist's (1 is half a cycle a pixel).
    number : (Y, X/2 + 1) int array
        Which ring each frequency lies in; 0 holds frequency zero alone.
    population : (R,) array
        How many frequencies each ring holds.
    """

    frequency: Image
    number: NDArray[np.int32]
    population: NDArray[np.int64]

    @classmethod
    def of(cls, shape: tuple[int, int]) -> Rings:
        """Return the rings of an image's spectrum; `shape` is (rows, columns)."""
        fy = fftfreq(shape[0]).astype(np.float32)
        fx = rfftfreq(shape[1]).astype(np.float32)
        frequency = 2 * np.hypot(fy[:, None], fx[None, :])
        number = np.ceil(frequency * (0.5 * min(shape) - 0.5)).astype(np.int32)
        return cls(frequency, number, np.bincount(number.ravel()))

    def mean(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the mean of a half spectrum in each ring."""
        total = np.bincount(self.number.ravel(), values.ravel(), minlength=len(self.population))
        average: NDArray[np.float64] = total / np.maximum(self.population, 1)
        return average

    def background(self, power: Image) -> NDArray[np.float64]:
        """Return the power in each ring that is not in spots: the rotational average, smoothed.

        The median over neighbouring rings leaves out those that spots stand in.
        """
        average = self.mean(power)
        smooth = average.copy()
        smooth[1:] = median_filter(average[1:], size=RINGS_OF_MEDIAN, mode="nearest")
        # Towards frequency zero the median would cut off the steep rise of the background.
        return np.minimum(np.maximum(smooth, 0.0), average)


def gain_of(power: Image, background: Image, kind: Gain, strength: float) -> Image:
    """Return by what each frequency is multiplied.

    Kilaas (1998): the Wiener filter is ``(P - B) / P`` and the average-background-subtraction
    filter ``(sqrt(P) - sqrt(B)) / sqrt(P)``, with the power P and its background B; 0 where
    negative.

    Parameters
    ----------
    power, background : arrays of one shape
    kind : {"wiener", "absf"}
    strength : float
        The background is multiplied by this.
    """
    floor = np.float32(1e-9) * background + np.finfo(np.float32).tiny
    ratio = strength * background / np.maximum(power, floor)
    if kind == "absf":
        # Amplitudes of noise average to sqrt(pi / 4) of the root of their mean power.
        ratio = np.sqrt(0.25 * np.pi * strength * ratio)
    return np.asarray(np.maximum(1.0 - ratio, 0.0), dtype=np.float32)


def background_filter(spectrum: Spectrum, rings: Rings, kind: Gain, strength: float) -> Spectrum:
    """Apply one of Kilaas's filters to a half spectrum; frequency zero passes."""
    power = np.abs(spectrum) ** 2
    background = rings.background(power).astype(np.float32)[rings.number]
    gain = gain_of(power, background, kind, strength)
    gain[0, 0] = 1.0
    return np.asarray(spectrum * gain, dtype=np.complex64)


def nonlinear_filter(
    spectrum: Spectrum,
    rings: Rings,
    kind: Gain,
    strength: float,
    cutoff: float,
    cycles: int,
    after_each: Callable[[int], None],
) -> Spectrum:
    """Filter again and again what a Gaussian low-pass does not let through.

    H. Du, Ultramicroscopy 151 (2015) 62-67: in each cycle the image is parted by a Gaussian
    low-pass; Kilaas's filter is applied to what varies quickly, and both are added. All of this
    multiplies the spectrum, so no cycle needs a transform: the background of the quickly varying
    part is that of the whole times the same factor, which cancels in the gain.

    Parameters
    ----------
    spectrum : (Y, X/2 + 1) complex array
    rings : Rings
    kind : {"wiener", "absf"}
    strength : float
        Of the background.
    cutoff : float
        Standard deviation of the low-pass as a fraction of Nyquist's frequency.
    cycles : int
    after_each : callable
        Called with the number of cycles done.
    """
    low = np.exp(-0.5 * (rings.frequency / cutoff) ** 2)
    out = spectrum.copy()
    for cycle in range(cycles):
        power = np.abs(out) ** 2
        background = rings.background(power).astype(np.float32)[rings.number]
        gain = low + (1 - low) * gain_of(power, background, kind, strength)
        gain[0, 0] = 1.0
        out *= gain
        after_each(cycle + 1)
    return out


def band(rings: Rings, smallest_px: float, largest_px: float, softness: float) -> Image:
    """Return a band-pass for periods between two lengths in px, with soft edges.

    Parameters
    ----------
    rings : Rings
    smallest_px, largest_px : float
        Periods at which half the amplitude passes; 0 leaves that side open.
    softness : float
        Width of an edge as a fraction of its frequency.
    """
    gain = np.ones(rings.frequency.shape, np.float32)
    for period, sign in ((smallest_px, 1.0), (largest_px, -1.0)):
        if period > 0:
            edge = 2.0 / period
            arc = np.clip(sign * (rings.frequency - edge) / (softness * edge), -30, 30)
            gain /= 1 + np.exp(4 * arc)
    return gain


def filled(frame: Frame) -> tuple[Image, NDArray[np.bool_]]:
    """Fill missing pixels from the measured ones near them; second, what could not be.

    Averages over growing neighbourhoods fill a pixel with the nearest that has anything in it, so
    nothing of what stands in a missing pixel takes part.
    """
    image = np.where(frame.valid, frame.data, np.float32(0))
    unknown = ~frame.valid
    if not unknown.any():
        return image, unknown
    level = np.float32(frame.data[frame.valid].mean())
    measured = np.where(frame.valid, frame.data - level, np.float32(0))
    weight = frame.valid.astype(np.float32)
    for sigma in (0.7, 1.4, 2.8, 0.4 * FARTHEST_FILL_PX):
        near = gaussian_filter(weight, sigma, mode="reflect", truncate=2.5)
        total = gaussian_filter(measured, sigma, mode="reflect", truncate=2.5)
        reached = unknown & (near > 0.02)
        image[reached] = level + total[reached] / near[reached]
        unknown &= ~reached
        if not unknown.any():
            break
    image[unknown] = level
    return image, unknown


def periodic_part(image: Image) -> tuple[Spectrum, Image]:
    """Split an image into one that is periodic, given by its spectrum, and a smooth rest.

    L. Moisan, J. Math. Imaging Vis. 39 (2011) 161-179: what jumps from one border to the opposite
    one would lie as a cross over the spectrum; the rest is the smoothest image that has the same
    jumps.
    """
    rows, columns = image.shape
    jumps = np.zeros(image.shape, np.float64)
    across = image[-1].astype(np.float64) - image[0]
    jumps[0] += across
    jumps[-1] -= across
    along = image[:, -1].astype(np.float64) - image[:, 0]
    jumps[:, 0] += along
    jumps[:, -1] -= along
    denominator = (
        2 * np.cos(2 * np.pi * fftfreq(rows))[:, None]
        + 2 * np.cos(2 * np.pi * rfftfreq(columns))[None, :]
        - 4
    )
    denominator[0, 0] = 1.0
    smooth = rfft2(jumps) / denominator
    smooth[0, 0] = 0.0
    rest = irfft2(smooth, s=image.shape).astype(np.float32)
    return rfft2(image - rest).astype(np.complex64), rest
