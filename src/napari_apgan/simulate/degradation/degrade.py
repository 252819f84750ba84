"""From the ideal image to a recorded frame.

The order follows the electrons:

1. the specimen's image, with background and contamination under it;
2. the scan: each pixel of the recorded frame looks where drift, shear, jitter and flyback have
   carried the probe (for a camera, shear and drift stand for the projector's distortion);
3. expected electrons (dose x pixel area x expected value), then counting: Poisson;
4. the camera: its MTF blurs signal and counting noise alike, bins sum, readout adds white noise;
5. saturation, gain, offset, rounding;
6. dead and lost pixels: value 0 and not valid.

STEM detectors count behind the scan and have no MTF (leave it at 1); an HRTEM camera has no scan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError

from .background import contamination_patches, slow_background
from .camera import Camera, to_grey_levels
from .exposure import Exposure, scan
from .missing import draw_dead, draw_loss
from .record import DegradationRecord
from .scan import Distortion, draw_distortion, draw_rows, memory_of
from .settings import DegradationSettings

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Mean of the ideal image above which it is taken for a bright-field one, when nobody says: most
#: electrons arrive in HRTEM (1) and ABF (0.3 to 0.8), few on dark-field detectors (below 0.2).
BRIGHT_FIELD_MEAN = 0.25


@dataclass(frozen=True, slots=True)
class Degraded:
    """A recorded frame.

    Parameters
    ----------
    image : (Y, X) float32 array
        Grey levels; 0 where `valid` is False.
    valid : (Y, X) bool array
    record : DegradationRecord
    distortion : Distortion
    noise_free : (Y, X) float32 array
        The same frame, scan and camera without counting and readout noise, before saturation and
        losses, in grey levels.
    """

    image: NDArray[np.float32]
    valid: Bools
    record: DegradationRecord
    distortion: Distortion
    noise_free: NDArray[np.float32]


def degrade(
    expected: NDArray[np.floating],
    settings: DegradationSettings,
    rng: np.random.Generator,
    *,
    pixel_size_pm: float,
    material: Bools | None = None,
    margin_px: int = 0,
    bright_field: bool | None = None,
) -> Degraded:
    """Turn an ideal image into a recorded frame.

    Parameters
    ----------
    expected : ((Y + 2 m) b, (X + 2 m) b) array
        Ideal image on the fine pixels of binning b, with a margin of m recorded pixels: intensity
        relative to vacuum (HRTEM) or fraction of the electrons that reach the detector (STEM).
        Values below 0, which linear imaging can give, count as 0.
    settings : DegradationSettings
    rng : numpy Generator
        Everything random comes from it.
    pixel_size_pm : float
        Of the recorded frame.
    material : bool array of the shape of `expected`, optional
        Where the specimen is: SNR is defined there. The whole frame when left out.
    margin_px : int
        m; :func:`margin_px` says how much drift and shear need. Without it, pixels that look beyond
        the image are not valid.
    bright_field : bool, optional
        Whether the specimen takes electrons away (HRTEM, ABF) or sends them to the detector
        (HAADF); decides the sign of background and contamination. Judged by the mean when left out.

    Returns
    -------
    Degraded

    Raises
    ------
    UserError
        When the image holds values that are not numbers, its size does not fit binning and margin,
        or the SNR asked for has no meaning on it.
    """
    fine = np.maximum(_checked(expected, settings.binning, margin_px), 0.0)
    shape = (
        fine.shape[0] // settings.binning - 2 * margin_px,
        fine.shape[1] // settings.binning - 2 * margin_px,
    )
    where = np.ones(fine.shape, dtype=np.bool_) if material is None else material
    bright = float(fine.mean()) > BRIGHT_FIELD_MEAN if bright_field is None else bright_field
    spread = float(fine[where].std()) if where.any() else 0.0
    added, contaminated = _additions(fine.shape, settings, spread, pixel_size_pm, bright, rng)

    distortion = draw_distortion(settings, shape, pixel_size_pm, rng)
    rows = draw_rows(settings, shape[0], pixel_size_pm, rng)
    seen = scan(fine, added, where, distortion, rows, settings.binning, margin_px)

    camera = Camera(settings.mtf, settings.binning)
    exposure = Exposure.of(seen, camera, settings, pixel_size_pm)
    twin, electrons = exposure.expose(rng)
    levels = to_grey_levels(
        electrons,
        gain=settings.gain,
        offset=settings.offset,
        saturation=settings.saturation,
        whole_levels=settings.whole_levels,
    )

    lost = draw_loss(shape, settings.loss, settings.lost_fraction, rng)
    dead, dead_pixels, dead_rows = draw_dead(shape, settings.dead_pixels, settings.dead_lines, rng)
    valid = ~(lost | dead | seen.unseen)
    measured = exposure.measured_snr(electrons - twin)
    saturated = 0.0 if settings.saturation is None else (electrons >= settings.saturation).mean()
    record = DegradationRecord(
        snr=measured,
        snr_expected=exposure.expected_snr(),
        std_ratio=None if measured is None else math.sqrt(measured),
        dose_e_per_a2=exposure.dose,
        electrons_per_px=float(twin.mean()),
        pixel_size_pm=pixel_size_pm,
        jitter_rms_pm=float(np.sqrt(np.mean(rows.jitter_px**2))) * pixel_size_pm,
        jitter_memory=memory_of(rows.jitter_px),
        flyback_px=settings.flyback_px,
        drift_pm=_scaled(distortion.path_px, pixel_size_pm),
        drift_bend_pm=_scaled(distortion.bend_px, pixel_size_pm),
        shear=distortion.shear,
        background_ratio=settings.background,
        contaminated_fraction=contaminated,
        saturated_fraction=float(saturated),
        dead_pixels=dead_pixels,
        dead_rows=dead_rows,
        loss=settings.loss,
        lost_fraction=float(lost.mean()),
        unseen_fraction=float(seen.unseen.mean()),
        missing_fraction=1.0 - float(valid.mean()),
    )
    return Degraded(
        np.where(valid, levels, 0.0).astype(np.float32),
        valid,
        record,
        distortion,
        (twin * settings.gain + settings.offset).astype(np.float32),
    )


def _scaled(vector: tuple[float, float], factor: float) -> tuple[float, float]:
    return vector[0] * factor, vector[1] * factor


def _checked(expected: NDArray[np.floating], binning: int, margin: int) -> Floats:
    image: Floats = np.asarray(expected, dtype=np.float64)
    if image.ndim != 2 or not image.size:
        raise UserError(f"An ideal image has two dimensions; this one has the shape {image.shape}.")
    if any(n % binning or n // binning - 2 * margin < 2 for n in image.shape):
        raise UserError(
            f"An ideal image of {image.shape[0]}x{image.shape[1]} px cannot be binned by {binning} "
            f"with a margin of {margin} px: simulate {binning} fine pixels for each recorded one."
        )
    if not np.isfinite(image).all():
        raise UserError(
            "The simulated image holds values that are not numbers: check the imaging settings."
        )
    return image


def _additions(
    shape: tuple[int, int],
    settings: DegradationSettings,
    spread: float,
    pixel_size_pm: float,
    bright_field: bool,
    rng: np.random.Generator,
) -> tuple[Floats | None, float]:
    """Return background and contamination on the fine pixels (None without), and its fraction."""
    added, contaminated = None, 0.0
    if settings.background:
        added = slow_background(
            shape, settings.background * spread, bright_field=bright_field, rng=rng
        )
    if settings.contamination:
        patches, contaminated = contamination_patches(
            shape,
            settings.contamination,
            spread,
            pixel_size_pm=pixel_size_pm / settings.binning,
            bright_field=bright_field,
            rng=rng,
        )
        added = patches if added is None else added + patches
    return added, contaminated
