"""Ripples: a sheet that waves out of its plane, and draws itself together in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_apgan.simulate.specimen import Floats

#: Poisson's ratio of a layer of graphite (Blakslee et al., J. Appl. Phys. 41 (1970) 3373).
POISSON = 0.165
#: Waves that make up the ripples, and how far their lengths spread about the asked one.
WAVES, SPREAD = 6, 0.3


@dataclass(frozen=True, slots=True)
class Ripples:
    """A sum of waves ``z = Σ a cos(q·r + φ)`` and the sheet's answer in its plane.

    A sheet stretches far less willingly than it bends, so each piece keeps its length along the
    slope and its projection contracts. In-plane displacements u follow from the smallest membrane
    energy of Föppl and von Kármán: strain ``(∂i uj + ∂j ui + ∂i z ∂j z) / 2`` (Landau and Lifshitz,
    Theory of Elasticity, §14), solved wave by wave; its mean vanishes, as the sheet is free at its
    rim.

    Parameters
    ----------
    wave : (M, 2) array
        Wave vectors q in rad/pm.
    amplitude_pm : (M,) array
    phase : (M,) array
    """

    wave: Floats
    amplitude_pm: Floats
    phase: Floats

    def height(self, xy_pm: Floats) -> Floats:
        """Return the (N,) heights at (N, 2) positions."""
        height: Floats = np.cos(xy_pm @ self.wave.T + self.phase) @ self.amplitude_pm
        return height

    def shift(self, xy_pm: Floats) -> Floats:
        """Return the (N, 2) displacements in the plane; none at the origin."""
        moved: Floats = self._shift(xy_pm) - self._shift(np.zeros((1, 2)))
        return moved

    def _shift(self, xy_pm: Floats) -> Floats:
        total = np.zeros_like(xy_pm)
        for m, (q, a, p) in enumerate(zip(self.wave, self.amplitude_pm, self.phase, strict=True)):
            for n in range(m + 1):
                # Half the product of the slopes of two waves is a wave of their difference minus
                # one of their sum; pairs of different waves come twice.
                twice = 0.25 if m == n else 0.5
                strength = twice * a * self.amplitude_pm[n]
                slopes = strength * 0.5 * (np.outer(q, self.wave[n]) + np.outer(self.wave[n], q))
                total += _answer(xy_pm, slopes, q - self.wave[n], p - self.phase[n])
                total += _answer(xy_pm, -slopes, q + self.wave[n], p + self.phase[n])
        return total


def _answer(xy_pm: Floats, slopes: Floats, wave: Floats, phase: float) -> Floats:
    """Return the displacements that relieve the strain ``slopes · cos(wave·r + phase)``."""
    size = float(np.hypot(*wave))
    if size == 0:
        contraction: Floats = -(xy_pm @ slopes) * math.cos(phase)
        return contraction
    along = wave / size
    across = np.array([-along[1], along[0]])
    # Equilibrium along and across the wave; λ / (λ + 2μ) is Poisson's ratio in two dimensions.
    pulled = POISSON * np.trace(slopes) + (1 - POISSON) * along @ slopes @ along
    sheared = 2 * along @ slopes @ across
    direction = -(pulled * along + sheared * across) / size
    answer: Floats = np.sin(xy_pm @ wave + phase)[:, None] * direction
    return answer


def draw_ripples(height_pm: float, length_nm: float, rng: np.random.Generator) -> Ripples:
    """Draw random ripples.

    Parameters
    ----------
    height_pm : float
        Root-mean-square height.
    length_nm : float
        Mean wavelength.
    rng : numpy Generator
    """
    angle = rng.uniform(0.0, 2 * math.pi, WAVES)
    length_pm = 1e3 * length_nm * rng.uniform(1 - SPREAD, 1 + SPREAD, WAVES)
    wave = (2 * math.pi / length_pm)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    amplitude = np.full(WAVES, height_pm * math.sqrt(2 / WAVES))
    return Ripples(wave, amplitude, rng.uniform(0.0, 2 * math.pi, WAVES))
