"""Exposing a camera to what the scan passes on, with the dose or the SNR that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError

from .camera import Camera
from .counting import dose_of, draw_counts, electrons_for_snr, electrons_per_unit
from .scan import Distortion, RowShifts, make_resampler
from .settings import DegradationSettings

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Relative deviation of a frame's measured SNR from the wanted one that is accepted, and the draws
#: of noise that are tried for it.
SNR_TOLERANCE = 0.01
DRAWS = 16


@dataclass(frozen=True, slots=True)
class Seen:
    """What the scan passes on: fine pixels of the frame, without noise.

    Parameters
    ----------
    signal : (Y*b, X*b) array
        The specimen alone.
    image : (Y*b, X*b) array
        With background and contamination.
    material : (Y, X) bool array
        Where SNR is defined.
    unseen : (Y, X) bool array
        Beyond what was simulated.
    """

    signal: Floats
    image: Floats
    material: Bools
    unseen: Bools


def scan(
    fine: Floats,
    added: Floats | None,
    material: Bools,
    distortion: Distortion,
    rows: RowShifts,
    binning: int,
    margin: int,
) -> Seen:
    """Look at the ideal image through the scan."""
    resampler = make_resampler(distortion, rows, binning=binning, margin=margin)
    cut = margin * binning
    if resampler is None:
        window = (slice(cut, fine.shape[0] - cut), slice(cut, fine.shape[1] - cut))
        signal, mask = fine[window], material[window]
        extra = None if added is None else added[window]
        unseen = np.zeros(signal.shape, dtype=np.bool_)
    else:
        # Splines overshoot a little beside sharp peaks.
        signal, mask = np.maximum(resampler.image(fine), 0.0), resampler.mask(material)
        extra = None if added is None else resampler.image(added)
        unseen = resampler.unseen
    image = signal if extra is None else np.maximum(signal + extra, 0.0)
    lost = _majority(unseen, binning)
    return Seen(signal, image, _majority(mask, binning) & ~lost, lost)


def _majority(mask: Bools, binning: int) -> Bools:
    """Return a mask on the recorded pixels: True where at least half of the fine ones are."""
    if binning == 1:
        return mask
    rows, columns = mask.shape
    blocks = mask.reshape(rows // binning, binning, columns // binning, binning)
    majority: Bools = blocks.mean(axis=(1, 3)) >= 0.5
    return majority


@dataclass(frozen=True, slots=True)
class Exposure:
    """Exposing a camera to what the scan passes on.

    Parameters
    ----------
    image : array
        Fine pixels at one electron each, extended for the camera.
    signal : (Y, X) array
        The specimen's own image behind the camera, at one electron a fine pixel.
    variance : float
        Mean variance of the counting noise over the material, at one electron a fine pixel.
    level : float
        Mean of `image` over the material.
    electrons : float
        Incident ones a fine pixel.
    dose : float or None
        In electrons per Å²; None where nothing is counted.
    material : (Y, X) bool array
        Where SNR is defined.
    camera : Camera
    settings : DegradationSettings
    """

    image: Floats
    signal: Floats
    variance: float
    level: float
    electrons: float
    dose: float | None
    material: Bools
    camera: Camera
    settings: DegradationSettings

    @classmethod
    def of(
        cls, seen: Seen, camera: Camera, settings: DegradationSettings, pixel_size_pm: float
    ) -> Exposure:
        """Find the electrons a pixel that dose or SNR ask for."""
        material = seen.material
        if settings.snr is not None and not material.any():
            raise UserError(
                "No pixel of the frame shows material, so no SNR can be asked for: give a dose, or "
                "a structure that reaches the frame."
            )
        image = camera.extend(seen.image)
        signal = camera.record(camera.extend(seen.signal))
        fine_pm = pixel_size_pm / settings.binning
        over = material if material.any() else np.ones_like(material)
        level = float(camera.record(image)[over].mean()) / settings.binning**2
        noisy = np.full_like(image, level) if settings.noise == "gaussian" else image
        variance = float(camera.noise_variance(noisy)[over].mean())
        dose: float | None
        if settings.snr is not None:
            electrons = electrons_for_snr(
                settings.snr,
                signal_variance=float(signal[material].var()),
                noise_variance=variance,
                readout=settings.readout,
            )
            dose = dose_of(electrons, fine_pm)
        elif settings.dose is not None:
            electrons, dose = electrons_per_unit(settings.dose, fine_pm), settings.dose
        else:
            electrons, dose = 1.0 / settings.binning**2, None
        return cls(image, signal, variance, level, electrons, dose, over, camera, settings)

    def expose(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return the (Y, X) electrons without and with noise.

        The sample variance of the noise scatters by several percent on small or peaked frames
        (Poisson numbers of unequal means have heavy tails). Where an SNR was asked for, noise is
        drawn again until the frame has it within `SNR_TOLERANCE`; the closest draw is kept.
        """
        expected = self.electrons * self.image
        twin = self.camera.record(expected)
        drawn = self._noisy(expected, twin, rng)
        wanted = self.settings.snr
        if wanted is None:
            return twin, drawn
        best, off = drawn, self._off(drawn - twin, wanted)
        for _ in range(DRAWS - 1):
            if off <= SNR_TOLERANCE:
                break
            drawn = self._noisy(expected, twin, rng)
            if self._off(drawn - twin, wanted) < off:
                best, off = drawn, self._off(drawn - twin, wanted)
        return twin, best

    def _noisy(self, expected: Floats, twin: Floats, rng: np.random.Generator) -> Floats:
        noisy = twin
        if self.dose is not None:
            level = self.electrons * self.level
            noisy = self.camera.record(draw_counts(expected, self.settings.noise, rng, level))
        if self.settings.readout:
            noisy = noisy + rng.normal(0.0, self.settings.readout, noisy.shape)
        return noisy

    def _off(self, noise: Floats, wanted: float) -> float:
        """Return how far the measured SNR is from the wanted one, as a fraction."""
        measured = self.measured_snr(noise)
        return np.inf if measured is None else abs(measured / wanted - 1.0)

    def measured_snr(self, noise: Floats) -> float | None:
        """Return var(signal) / var(noise) over the material; None without noise."""
        variance = float(noise[self.material].var())
        signal = self.electrons**2 * float(self.signal[self.material].var())
        return signal / variance if variance > 0 else None

    def expected_snr(self) -> float | None:
        """Return the SNR with the expected variance of the noise; None without noise."""
        counting = self.electrons * self.variance if self.dose is not None else 0.0
        variance = counting + self.settings.readout**2
        signal = self.electrons**2 * float(self.signal[self.material].var())
        return signal / variance if variance > 0 else None
