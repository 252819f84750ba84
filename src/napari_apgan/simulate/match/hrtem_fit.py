"""HRTEM aberrations from a patch of perfect graphene, by maximum likelihood.

The lattice is known, so the image of a perfect patch depends on the microscope alone. The patch's
Fourier coefficients (:mod:`.harmonics`) are compared with those of graphene's exit wave seen
through the lens; in white noise the least weighted squares have the greatest likelihood. F. Lin et
al., Micron 114 (2018) 23, likewise find the lens from one image of a weak-phase object.

What a perfect crystal cannot say: it samples the lens only at its reciprocal lattice points. Its
image repeats itself when the focus changes by Talbot's length 2/(λ g²), 21.8 nm for graphene at 80
kV, so the answer nearest to the defocus given is returned. With the innermost ring alone above the
noise, defocus and height of the contrast cannot be told apart, and the result says so. Beam tilt
acts on a single layer exactly as changed C1, A1 and B2 do, and is found as these; tilt of the
specimen shortens one direction of the lattice by its cosine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.simulate.imaging import aberrations as optics
from napari_apgan.simulate.imaging.potentials import VOLT_PM2, scattering_factor_pm
from napari_apgan.simulate.imaging.settings import Aberrations, ImagingSettings
from napari_apgan.simulate.imaging.transfer import (
    aperture_frequency,
    interaction,
    wavelength_pm,
)

from .harmonics import (
    Floats,
    Harmonics,
    Honeycomb,
    fit_honeycomb,
    measure_harmonics,
    refine_on_image,
)

Complex = NDArray[np.complex128]

#: Length of graphene's lattice vectors in pm.
LATTICE_PM = 246.1
CARBON = 6
CARBON_THERMAL_PM = 6.5
#: Points along each lattice vector on which a cell's exit wave is computed.
CELL_POINTS = 24
#: What a corrected microscope's residual aberrations are expected to be: standard deviations (nm)
#: of both components of A1, B2 and A2. They decide only what the data leave open.
PRIOR_NM = np.array([5.0, 5.0, 100.0, 100.0, 100.0, 100.0])
#: The unknowns are C1; A1, B2 and A2 as two components each (nm); the lattice's shift along x and
#: y (px); the standard deviation of an extra blur (px). These are their usual sizes.
SIZES = np.array([2.0, *PRIOR_NM, 0.1, 0.1, 0.5])
#: Starts: steps of C1, sizes of A1, and sizes of A2 along the innermost beams, in nm.
C1_STEP_NM = 1.0
A1_STARTS_NM = (0.0, 2.5, 5.0)
A2_STARTS_NM = (-80.0, 0.0, 80.0)
#: How many of the starts are followed.
FOLLOWED = 24


@dataclass(frozen=True, slots=True)
class LensFit:
    """Aberrations that explain a patch of graphene.

    Parameters
    ----------
    aberrations : Aberrations
        C3 and higher as they were given.
    c1_sigma_nm : float
        Standard error of C1.
    blur_px : float
        Standard deviation of an additional blur (camera, vibration).
    contrast : float
        Height of the measured contrast over the computed one (1 for a perfect match of an image
        in units of its mean).
    misfit : float
        Root mean square of the residuals of the coefficients in their standard errors; about 1
        when the model explains the patch.
    rings : int
        Shells of the reciprocal lattice that stand above the noise.
    others_nm : tuple of float
        Other values of C1 that explain the patch nearly as well.
    talbot_nm : float
        Period in C1 after which a perfect lattice's image repeats itself.
    pixel_size_pm : float
        As the lattice says.
    specimen_tilt_deg : float
        Tilt that would explain the lattice's distortion; scan and lens distortion look the same.
    """

    aberrations: Aberrations
    c1_sigma_nm: float
    blur_px: float
    contrast: float
    misfit: float
    rings: int
    others_nm: tuple[float, ...]
    talbot_nm: float
    pixel_size_pm: float
    specimen_tilt_deg: float

    @property
    def certain(self) -> bool:
        """Whether the patch decides for one defocus."""
        return self.rings >= 2 and not self.others_nm

    @property
    def sentence(self) -> str:
        """Return the result in words."""
        lens = self.aberrations
        found = (
            f"C1 = {lens.c1_nm:.1f} ± {self.c1_sigma_nm:.1f} nm (or {self.talbot_nm:.1f} nm more "
            f"or less, as a perfect lattice repeats itself), A1 = {lens.a1_nm:.1f} nm at "
            f"{lens.a1_deg:.0f}°, B2 = {lens.b2_nm:.0f} nm at {lens.b2_deg:.0f}°, "
            f"A2 = {lens.a2_nm:.0f} nm at {lens.a2_deg:.0f}°"
        )
        if self.rings < 2:
            return (
                f"Only the innermost ring of graphene's diffraction stands above the noise, which "
                f"leaves the defocus open; {found} is one of the answers that fit."
            )
        if self.others_nm:
            others = ", ".join(f"{c:.1f}" for c in self.others_nm[:3])
            return f"{found}; C1 = {others} nm would fit nearly as well."
        return f"{found}."


def fit_lens(frame: Frame, xy_px: Floats, settings: ImagingSettings) -> LensFit:
    """Find C1, A1, B2 and A2 from a labelled patch of perfect graphene.

    Parameters
    ----------
    frame : Frame
    xy_px : (N, 2) array
        Its labelled atoms, x and y in px, all of one perfect patch.
    settings : ImagingSettings
        Voltage, aperture, spreads, C3 and the higher aberrations are taken from it; C1 is searched
        within half a period of the one given.

    Raises
    ------
    UserError
        When the atoms are too few or form no honeycomb, or nothing of the lattice stands above the
        noise.
    """
    lattice = refine_on_image(frame, fit_honeycomb(xy_px), xy_px)
    harmonics = measure_harmonics(frame, lattice, xy_px)
    rings = _rings_seen(harmonics)
    if not rings:
        raise UserError(
            "The lattice of this patch does not stand above the noise: take a larger one."
        )
    model = _Model(harmonics, lattice, settings)
    fits = [least_squares(model.residuals, start, x_scale=SIZES) for start in model.starts()]
    fits.sort(key=lambda fit: float(fit.cost))
    best = fits[0]
    p: Floats = best.x
    jacobian = np.asarray(best.jac)
    covariance = np.linalg.pinv(jacobian.T @ jacobian)
    data = model.residuals(p)[: 2 * len(model.measured)]
    misfit = float(np.sqrt(np.square(data).mean()))
    # Costs are halves of chi squares: 2 more is as likely as two standard errors.
    slack = 2.0 * max(misfit**2, 1.0)
    rivals = [float(f.x[0]) for f in fits[1:] if f.cost - best.cost < slack]
    others = _distinct(rivals, float(p[0]), model.talbot_nm)
    return LensFit(
        aberrations=_aberrations(p, settings.aberrations),
        c1_sigma_nm=float(np.sqrt(covariance[0, 0])) * max(misfit, 1.0),
        blur_px=abs(float(p[9])),
        contrast=float(model.gain(model.computed(p)) / max(abs(harmonics.coefficient[0]), 1e-300)),
        misfit=misfit,
        rings=rings,
        others_nm=others,
        talbot_nm=model.talbot_nm,
        pixel_size_pm=LATTICE_PM / lattice.constant_px,
        specimen_tilt_deg=_tilt_deg(lattice),
    )


def _distinct(values: list[float], known: float, period: float) -> tuple[float, ...]:
    """Return values that differ by more than 1 nm from `known` and each other, but for periods."""
    kept = [known]
    for value in values:
        nearest = [abs((value - k + period / 2) % period - period / 2) for k in kept]
        if min(nearest) > 1.0:
            kept.append(value)
    return tuple(kept[1:])


def _aberrations(p: Floats, given: Aberrations) -> Aberrations:
    """Return the aberrations that a vector of unknowns stands for."""
    (a1, b2, a2) = (complex(p[i], p[i + 1]) for i in (1, 3, 5))
    return given.model_copy(
        update={
            "c1_nm": float(p[0]),
            "a1_nm": abs(a1),
            "a1_deg": math.degrees(np.angle(a1)) / 2 % 180.0,
            "b2_nm": abs(b2),
            "b2_deg": math.degrees(np.angle(b2)) % 360.0,
            "a2_nm": abs(a2),
            "a2_deg": math.degrees(np.angle(a2)) / 3 % 120.0,
        }
    )


def _rings_seen(harmonics: Harmonics) -> int:
    """Count shells of the reciprocal lattice whose mean power stands above the noise's."""
    h, k = harmonics.order[1:].T
    # |G|² in a hexagonal lattice whose vectors stand at 60°: the reciprocal ones stand at 120°.
    shell = h * h + k * k - h * k
    power = np.abs(harmonics.coefficient[1:]) ** 2 / (2 * harmonics.sigma**2)
    members = [power[shell == number] for number in np.unique(shell)]
    # Without signal the mean of n powers is 1 ± 1/√n.
    return sum(bool(p.mean() > 1 + 5 / math.sqrt(len(p))) for p in members)


def _tilt_deg(lattice: Honeycomb) -> float:
    """Return the specimen tilt whose foreshortening turns a perfect honeycomb into this one."""
    perfect = np.array([[1.0, 0.0], [0.5, math.sqrt(3) / 2]])
    stretch = np.linalg.svd(np.linalg.solve(perfect, lattice.vectors), compute_uv=False)
    return math.degrees(math.acos(min(float(stretch[1] / stretch[0]), 1.0)))


class _Model:
    """Fourier coefficients of the image of graphene through a lens.

    Few beams pass the aperture, so the image is summed over their pairs: beams g and g' make a
    fringe of frequency g - g', damped by the transmission cross-coefficient of their focal spread
    ``exp(-(π λ Δ (g² - g'²))² / 2)`` and angular spread ``exp(-σ² |∇χ(g) - ∇χ(g')|² / (2 λ²))``
    (K. Ishizuka, Ultramicroscopy 5 (1980) 55).

    Parameters
    ----------
    harmonics : Harmonics
    lattice : Honeycomb
    settings : ImagingSettings
    """

    def __init__(self, harmonics: Harmonics, lattice: Honeycomb, settings: ImagingSettings) -> None:
        self._settings = settings
        self._wavelength = wavelength_pm(settings.voltage_kv)
        #: Measured coefficients without the mean.
        self.measured: Complex = harmonics.coefficient[1:]
        self._sigma = harmonics.sigma
        #: Change of C1 in nm after which the image repeats itself.
        self.talbot_nm = 1.5 * LATTICE_PM**2 / self._wavelength * 1e-3
        order = harmonics.order[1:]
        self._g_px = order @ lattice.reciprocal
        reciprocal = lattice.reciprocal * lattice.constant_px / LATTICE_PM
        beams, self._wave = _exit_wave(reciprocal, settings)
        self._kx, self._ky = (beams @ reciprocal).T
        first, second = np.indices((len(beams), len(beams))).reshape(2, -1)
        fringe = beams[first] - beams[second]
        place = {hk: n for n, hk in enumerate(map(tuple, order.tolist()))}
        target = np.array([place.get(hk, -1) for hk in map(tuple, fringe.tolist())])
        kept = target >= 0
        self._first, self._second, self._target = first[kept], second[kept], target[kept]
        self._damping = self._cross_coefficient()

    def _cross_coefficient(self) -> Floats:
        settings = self._settings
        k2 = self._kx**2 + self._ky**2
        spread = math.pi * self._wavelength * settings.focal_spread_nm * 1e3
        exponent = (spread * (k2[self._first] - k2[self._second])) ** 2 / 2
        # The lens as given stands for the fitted one: the spread's effect changes little.
        slope = optics.gradient(settings.aberrations, self._kx, self._ky, self._wavelength)
        angle = settings.angular_spread_mrad * 1e-3 / self._wavelength
        exponent += (angle * np.abs(slope[self._first] - slope[self._second])) ** 2 / 2
        damping: Floats = np.exp(-exponent)
        return damping

    def starts(self) -> list[Floats]:
        """Return the most promising vectors of unknowns, judged by the coefficients' sizes alone.

        The odd aberrations and the lattice's shift hardly change these.
        """
        given = self._settings.aberrations.c1_nm
        turns = np.exp(2j * np.pi * np.arange(6) / 6)
        a1 = [size * t for size in A1_STARTS_NM for t in (turns if size else turns[:1])]
        grid = [
            np.array([c1, a.real, a.imag, 0, 0, 0, 0, 0, 0, 0.3])
            for c1 in given + np.arange(-self.talbot_nm / 2, self.talbot_nm / 2, C1_STEP_NM)
            for a in a1
        ]
        grid.sort(key=self._misfit_of_sizes)
        kept: list[Floats] = []
        for p in grid:
            if all(abs(p[0] - q[0]) > 1.5 * C1_STEP_NM for q in kept):
                kept.append(p)
        innermost = np.angle(complex(*self._g_px[0]))
        along = np.exp(3j * innermost)
        odd = np.zeros((len(A2_STARTS_NM), 10))
        odd[:, 5] = [size * along.real for size in A2_STARTS_NM]
        odd[:, 6] = [size * along.imag for size in A2_STARTS_NM]
        return [p + o for p in kept[: FOLLOWED // len(odd)] for o in odd]

    def _misfit_of_sizes(self, p: Floats) -> float:
        computed, measured = np.abs(self.computed(p)), np.abs(self.measured)
        gain = float(computed @ measured) / max(float(computed @ computed), 1e-300)
        return float(np.square(gain * computed - measured).sum())

    def computed(self, p: Floats) -> Complex:
        """Return the coefficients of the image for a vector of unknowns, in units of vacuum."""
        lens = _aberrations(p, self._settings.aberrations)
        chi = optics.phase(lens, self._kx, self._ky, self._wavelength)
        through = self._wave * np.exp(-1j * chi)
        pairs = through[self._first] * through[self._second].conj() * self._damping
        count = len(self.measured)
        seen = np.bincount(self._target, pairs.real, count) + 1j * np.bincount(
            self._target, pairs.imag, count
        )
        shift = np.exp(-2j * math.pi * (self._g_px @ p[7:9]))
        blur = np.exp(-2 * math.pi**2 * p[9] ** 2 * np.square(self._g_px).sum(axis=1))
        coefficients: Complex = seen * shift * blur
        return coefficients

    def gain(self, computed: Complex) -> float:
        """Return the factor, not negative, that fits the measured coefficients best."""
        power = float((np.abs(computed) ** 2).sum())
        return max(float((computed.conj() * self.measured).real.sum()) / max(power, 1e-300), 0.0)

    def residuals(self, p: Floats) -> Floats:
        """Return misfits in standard errors: real and imaginary parts, then the prior's."""
        computed = self.computed(p)
        away = (self.gain(computed) * computed - self.measured) / self._sigma
        every: Floats = np.concatenate([away.real, away.imag, p[1:7] / PRIOR_NM])
        return every


def _exit_wave(
    reciprocal_pm: Floats, settings: ImagingSettings
) -> tuple[NDArray[np.int_], Complex]:
    """Return the beams (h, k) that pass the aperture and their amplitudes, for exp(iσV).

    V is the projected potential of the two atoms of a cell with their thermal motion.
    """
    n = np.rint(np.fft.fftfreq(CELL_POINTS) * CELL_POINTS).astype(int)
    h, k = np.meshgrid(n, n, indexing="ij")
    k2 = np.square(np.stack([h, k], axis=-1) @ reciprocal_pm).sum(axis=-1)
    area = LATTICE_PM**2 * math.sin(math.pi / 3)
    factor = scattering_factor_pm(CARBON, k2) * VOLT_PM2 / area
    factor = factor * np.exp(-2 * math.pi**2 * CARBON_THERMAL_PM**2 * k2)
    # The atoms lie at ±(a1 + a2) / 3 from the centre of a ring.
    motif = 2 * np.cos(2 * math.pi * (h + k) / 3)
    potential = np.fft.ifft2(factor * motif, norm="forward").real
    wave = np.exp(1j * interaction(settings.voltage_kv) * potential)
    spectrum = np.fft.fft2(wave, norm="forward")
    through = np.sqrt(k2) <= aperture_frequency(settings)
    return np.stack([h[through], k[through]], axis=1), spectrum[through].astype(np.complex128)
