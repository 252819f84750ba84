"""Defocus and twofold astigmatism from the Thon rings of an amorphous region.

In the power spectrum of a thin amorphous film the contrast transfer shows as rings, brightest where
``sin²χ`` is 1 (Thon, Z. Naturforsch. 21a (1966) 476). They are fitted as CTFFIND does (Mindell and
Grigorieff, J. Struct. Biol. 142 (2003) 334): the smooth background is taken off, and the figure of
merit is the correlation of what is left with ``sin²χ``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter
from scipy.optimize import minimize

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

Floats = NDArray[np.float64]

#: Half the spectra of random images reach this correlation by chance or less; rings reach far more.
LOWEST_CORRELATION = 0.2


@dataclass(frozen=True, slots=True)
class ThonFit:
    """What the rings say.

    Parameters
    ----------
    c1_nm : float
        Defocus; its sign is the one that fits better, certain only where C3 bends the rings.
    a1_nm, a1_deg : float
        Twofold astigmatism and its azimuth.
    correlation : float
        Of the spectrum with ``sin²χ``, 0 to 1.
    other_sign_correlation : float
        The same for the best fit with the opposite sign of C1.
    """

    c1_nm: float
    a1_nm: float
    a1_deg: float
    correlation: float
    other_sign_correlation: float

    @property
    def sign_known(self) -> bool:
        """Whether the data prefer one sign of the defocus."""
        return self.correlation - self.other_sign_correlation > 0.05

    @property
    def sentence(self) -> str:
        """Return the result in words."""
        sign = "" if self.sign_known else " (its sign cannot be told from these rings)"
        return (
            f"Thon rings: C1 = {self.c1_nm:.1f} nm{sign}, A1 = {self.a1_nm:.1f} nm at "
            f"{self.a1_deg:.0f}°, correlation {self.correlation:.2f}."
        )


def fit_thon(
    frame: Frame,
    *,
    wavelength_pm: float,
    c3_um: float = 0.0,
    box: tuple[int, int, int, int] | None = None,
    largest_c1_nm: float = 300.0,
) -> ThonFit:
    """Fit Thon rings.

    Parameters
    ----------
    frame : Frame
        With a known pixel size.
    wavelength_pm : float
        Of the electrons.
    c3_um : float
        Spherical aberration, which must be known.
    box : (x0, y0, x1, y1), optional
        The amorphous region in px; by default the whole frame.
    largest_c1_nm : float
        Search range of the defocus.

    Raises
    ------
    UserError
        When the pixel size is unknown, the region is smaller than 96 px, or shows no rings.
    """
    pixel_pm = frame.calibration.mean_pm
    if pixel_pm is None:
        raise UserError("Thon rings tell a defocus only where the pixel size is known: set it.")
    x0, y0, x1, y1 = box or (0, 0, frame.shape[1], frame.shape[0])
    area = frame.data[y0:y1, x0:x1].astype(np.float64)
    valid = frame.valid[y0:y1, x0:x1]
    if min(area.shape) < 96:
        raise UserError("Thon rings need an amorphous region of at least 96 x 96 px.")
    if not valid.all():
        area = np.where(valid, area, area[valid].mean() if valid.any() else 0.0)
    power, k, azimuth = _spectrum(area, pixel_pm)
    rings = _Rings(power, k, azimuth, wavelength_pm, c3_um)
    best = {sign: rings.search(sign, largest_c1_nm) for sign in (-1.0, 1.0)}
    sign = max(best, key=lambda s: best[s][1])
    (c1, a1x, a1y), correlation = best[sign]
    if correlation < LOWEST_CORRELATION:
        raise UserError(
            "No Thon rings are visible here: choose a thin amorphous region, or enter the defocus."
        )
    return ThonFit(
        c1_nm=c1,
        a1_nm=math.hypot(a1x, a1y),
        a1_deg=math.degrees(math.atan2(a1y, a1x) / 2) % 180.0,
        correlation=correlation,
        other_sign_correlation=best[-sign][1],
    )


def _spectrum(area: Floats, pixel_pm: float) -> tuple[Floats, Floats, Floats]:
    """Return mean log power of overlapping tiles, and frequency (1/nm) and azimuth (rad)."""
    side = 2 ** int(math.log2(min(area.shape)))
    side = min(side, 256)
    window = np.outer(np.hanning(side), np.hanning(side))
    tiles = []
    for top in _starts(area.shape[0], side):
        for left in _starts(area.shape[1], side):
            tile = area[top : top + side, left : left + side]
            tiles.append(np.abs(np.fft.fft2((tile - tile.mean()) * window)) ** 2)
    # The median over the tiles forgets dust; that over neighbours forgets Bragg spots.
    power = np.log(np.median(tiles, axis=0) + 1e-300)
    power = np.minimum(power, median_filter(power, 5, mode="wrap") + 0.5)
    frequency = np.fft.fftfreq(side, pixel_pm * 1e-3)
    ky, kx = np.meshgrid(frequency, frequency, indexing="ij")
    return power, np.hypot(kx, ky), np.arctan2(ky, kx)


def _starts(length: int, side: int) -> list[int]:
    step = max(side // 2, 1)
    starts = list(range(0, length - side + 1, step))
    if starts[-1] != length - side:
        starts.append(length - side)
    return starts


class _Rings:
    """The part of a spectrum that can show rings, without its background."""

    def __init__(
        self, power: Floats, k: Floats, azimuth: Floats, wavelength_pm: float, c3_um: float
    ) -> None:
        nyquist = float(k[0].max())
        smooth = np.fft.ifftshift(gaussian_filter(np.fft.fftshift(power), 0.8))
        radius = np.rint(k / nyquist * power.shape[0] / 2).astype(int)
        # Opposite frequencies of a real image say the same.
        self._use = (k > 0.08 * nyquist) & (k < 0.75 * nyquist) & (azimuth >= 0)
        profile = np.bincount(radius.ravel(), smooth.ravel()) / np.bincount(radius.ravel())
        at = np.arange(len(profile))
        fitted = (at >= radius[self._use].min()) & (at <= radius[self._use].max())
        # A cubic follows the fall of the spectrum but not its rings.
        trend = np.polynomial.Polynomial.fit(at[fitted], profile[fitted], 3)(at)
        left = (smooth - trend[radius])[self._use]
        self._seen = (left - left.mean()) / max(float(left.std()), 1e-12)
        self._k2 = k[self._use] ** 2
        self._azimuth = azimuth[self._use]
        self._wavelength_nm = wavelength_pm * 1e-3
        # Contrast fades outwards: rings far out count less, how much less the fit finds out.
        self._envelopes = [np.exp(-self._k2 / (part * nyquist) ** 2) for part in (0.12, 0.25, 0.5)]
        self._spherical = 0.5 * math.pi * self._wavelength_nm**3 * (c3_um * 1e3) * self._k2**2

    def correlation(self, p: Floats, envelope: Floats) -> float:
        """Correlate the spectrum with sin²χ for C1 and the two components of A1, in nm."""
        defocus = p[0] + p[1] * np.cos(2 * self._azimuth) + p[2] * np.sin(2 * self._azimuth)
        chi = math.pi * self._wavelength_nm * defocus * self._k2 + self._spherical
        model = (np.sin(chi) ** 2 - 0.5) * envelope
        model = model - model.mean()
        size = float(np.sqrt(np.square(model).mean()))
        return float((model * self._seen).mean() / max(size, 1e-12))

    def search(self, sign: float, largest_nm: float) -> tuple[tuple[float, float, float], float]:
        """Return the best (C1, A1x, A1y) of one sign of C1, and its correlation."""
        found = [self._search(sign, largest_nm, envelope) for envelope in self._envelopes]
        return max(found, key=lambda result: result[1])

    def _search(
        self, sign: float, largest_nm: float, envelope: Floats
    ) -> tuple[tuple[float, float, float], float]:
        # Steps that move the outermost ring by a quarter of a period at most.
        step = 0.25 / (self._wavelength_nm * float(self._k2.max()))
        grid = sign * np.arange(step, largest_nm, step)
        scores = np.array([self.correlation(np.array([c, 0.0, 0.0]), envelope) for c in grid])
        best: tuple[tuple[float, float, float], float] = ((float(grid[0]), 0.0, 0.0), -1.0)
        for start in grid[np.argsort(scores)[-2:]]:
            for ax, ay in ((0.0, 0.0), (3 * step, 0.0), (-2 * step, 2 * step)):
                simplex = np.array([[start, ax, ay]] * 4)
                simplex[1:] += np.diag([2 * step, 4 * step, 4 * step])
                options: Any = {"initial_simplex": simplex, "xatol": step / 50, "fatol": 1e-5}

                def misfit(p: Floats) -> float:
                    return -self.correlation(p, envelope)

                fit = minimize(
                    misfit,
                    np.array([float(start), ax, ay]),
                    method="Nelder-Mead",
                    options=options,
                )
                if -fit.fun > best[1] and sign * fit.x[0] > 0:
                    c1, a1x, a1y = (float(v) for v in fit.x)
                    best = ((c1, a1x, a1y), float(-fit.fun))
        return best
