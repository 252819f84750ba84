"""Slowly varying background and patches of contamination."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Half-waves along each axis of the slow fields; patches are made of finer ones.
BACKGROUND_WAVES = 3
PATCH_WAVES = 7
#: Width of a patch's edge, relative to the frame's shorter side.
EDGE = 0.02
#: Grain of amorphous carbon in projection (standard deviation of its correlation, pm).
GRAIN_PM = 60.0
#: Level and grain of a patch, in standard deviations of the specimen's signal.
DARK_FIELD_LEVEL, DARK_FIELD_GRAIN = 1.0, 0.25
BRIGHT_FIELD_LEVEL, BRIGHT_FIELD_GRAIN = -0.5, 0.7


def smooth_field(shape: tuple[int, int], waves: int, rng: np.random.Generator) -> Floats:
    """Return a slowly varying random field of mean 0 and standard deviation 1.

    A sum of cosines with up to `waves` - 1 half-waves along each axis; amplitudes fall as one
    over the number of half-waves.

    Parameters
    ----------
    shape : (int, int)
        (rows, columns).
    waves : int
    rng : numpy Generator
    """
    orders = np.arange(waves)
    strength = rng.normal(0.0, 1.0, (waves, waves)) / np.maximum(
        np.hypot(*np.ix_(orders, orders)), 1
    )
    strength[0, 0] = 0.0
    y, x = (np.linspace(0.0, np.pi, n)[None, :] * orders[:, None] for n in shape)
    phase_y, phase_x = (rng.uniform(0.0, 2 * np.pi, (waves, 1)) for _ in range(2))
    field: Floats = np.cos(y + phase_y).T @ strength @ np.cos(x + phase_x)
    field -= field.mean()
    return field / max(float(field.std()), 1e-12)


def slow_background(
    shape: tuple[int, int], std: float, *, bright_field: bool, rng: np.random.Generator
) -> Floats:
    """Return a slowly varying background.

    Parameters
    ----------
    shape : (int, int)
    std : float
        Its standard deviation over the frame.
    bright_field : bool
        True: it varies about zero (uneven illumination, thickness); False: it only adds (a film
        scatters electrons onto the detector), and is zero where it is least.
    rng : numpy Generator
    """
    field = std * smooth_field(shape, BACKGROUND_WAVES, rng)
    return field if bright_field else field - field.min()


def contamination_patches(
    shape: tuple[int, int],
    fraction: float,
    std: float,
    *,
    pixel_size_pm: float,
    bright_field: bool,
    rng: np.random.Generator,
) -> tuple[Floats, float]:
    """Return patches of amorphous contamination, and the fraction of the frame under them.

    Patches lie where a random field is above the quantile that gives the wanted area; their edges
    are blurred. On a dark-field detector they are brighter than the specimen alone, in bright field
    they scatter electrons away; both are grainy.

    Parameters
    ----------
    shape : (int, int)
    fraction : float
        Of the frame, under patches.
    std : float
        Standard deviation of the specimen's signal.
    pixel_size_pm : float
        Of this image.
    bright_field : bool
    rng : numpy Generator
    """
    from scipy.ndimage import gaussian_filter

    field = smooth_field(shape, PATCH_WAVES, rng)
    covered = field > np.quantile(field, 1.0 - fraction)
    patch = gaussian_filter(covered.astype(np.float64), EDGE * min(shape), mode="nearest")
    grain = gaussian_filter(rng.normal(0.0, 1.0, shape), GRAIN_PM / pixel_size_pm, mode="wrap")
    grain /= max(float(grain.std()), 1e-12)
    level, contrast = (
        (BRIGHT_FIELD_LEVEL, BRIGHT_FIELD_GRAIN)
        if bright_field
        else (DARK_FIELD_LEVEL, DARK_FIELD_GRAIN)
    )
    added: Floats = std * patch * (level + contrast * grain)
    return added, float(covered.mean())
