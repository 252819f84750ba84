"""What contrast a pattern has: bright atoms, dark atoms, or atoms between rings that are clearer.

A lens turns the sign of thin HRTEM contrast with the defocus, and a honeycomb looks much alike
either way: its ring centres are a triangular lattice of spots of the other sign. What tells them
apart is the phase of three lattice waves that close a triangle, ``g1 + g2 + g3 = 0``. With
amplitudes p each, the waves add up to 6 p at one place a cell (a ring centre) and to -3 p at two
(the atoms): twice as many atoms as centres. The phase needs no peaks and no orientation: it is the
third moment of the image filtered to a ring of that length,

    <u1³> / <u1²>^(3/2) = 0.816 cos Φ,

positive where the one spot a cell is bright. Taken in a window, it says where it changes. The next
waves, of the length g √3, make the atoms rise above their surroundings: with amplitude q,

    <u1² u2> / <u1²>^(3/2) = 0.816 q / p.

Where q is large the atoms are resolved, and its sign tells a honeycomb (atoms where the three waves
are at -3 p) from a lattice with an atom in the one spot; else only what is known of the material
does. Patterns without closed triangles (square ones, single atoms) are judged by the third moment
of the band-passed frame: spots stand out of what is between them.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.measure import find_contours

from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

from .candidates import SMALLEST
from .landscape import OF_THE_WIDTH, survey
from .spacing import LARGEST, Scale, estimate_scale

Floats = NDArray[np.float64]
Pattern = Literal["honeycomb", "triangular", "spots", "none"]

#: Frames are binned until a period has about so many pixels.
PERIOD_PX = 8.0
#: Third moment of three waves of one phase.
CLOSED = 0.816
#: Width of the ring of waves, in units of their frequency.
RING = 0.1
#: Window of the local moments, in periods.
WINDOW = 2.5
#: Parts with less than this of the usual power hold no pattern.
LEAST_POWER = 0.3
#: Mean third moment above which three waves close a triangle, and a window's that is believed.
LEAST_CLOSED, BELIEVED = 0.3, 0.3
#: The same for the band-passed frame.
LEAST_SKEW = 0.2
#: From this q / p on atoms are as high as ring centres; from the second one the sign is believed.
RESOLVED, SEEN = 0.25, 0.2
#: Distances (pm) of ring centres of honeycombs that are common in thin HRTEM (graphene, hBN), with
#: the error of a usual calibration, and elements of such.
HONEYCOMBS_PM, CALIBRATED = (246.0, 250.0), 0.06
LIGHT = frozenset({"C", "B", "N"})
#: A part of the pattern that is less than this, or smaller than so many periods, is not told of.
LEAST_PART, LEAST_PERIODS = 0.03, 4.0
#: Blocks without a pattern that a boundary may run through, to either side.
WIDEST_GAP = 6.0


@dataclass(frozen=True, eq=False)
class Contrast:
    """What the pattern is, and where it changes.

    Parameters
    ----------
    pattern : {"honeycomb", "triangular", "spots", "none"}
    polarity : {"bright", "dark"}
        Of the atoms, in the larger part.
    rings : bool
        Whether ring centres are clearer than the atoms between them.
    sureness : float
        0 to 1.
    sentence : str
        For the user.
    blocks : (B, C) array
        1 where the pattern is as said, -1 where reversed, in between where it is changing; NaN
        where there is none.
    block_px : int
        Pixels of a block.
    boundaries : tuple of (N, 2) arrays
        Lines x, y in px along which the contrast changes.
    """

    pattern: Pattern
    polarity: Polarity
    rings: bool
    sureness: float
    sentence: str
    blocks: Floats
    block_px: int
    boundaries: tuple[Floats, ...]


@dataclass(frozen=True, eq=False)
class _Moments:
    """Local third moments on blocks; NaN where there is no pattern."""

    field: Floats
    block_px: int
    windows: float  # independent ones in the frame

    @property
    def mean(self) -> float:
        """Mean size of the moment, where there is a pattern."""
        return float(np.nanmean(np.abs(self.field)))


def assess_contrast(frame: Frame, *, elements: Collection[str] = ()) -> Contrast:
    """Say which contrast a frame has, and where it changes.

    Parameters
    ----------
    frame : Frame
    elements : collection of str
        What is in it, where that is known: carbon, boron and nitrogen make honeycombs.

    Raises
    ------
    UserError
        When the frame is too small.
    """
    if min(frame.shape) < SMALLEST:
        raise UserError("The image is too small to tell its contrast.")
    scale = estimate_scale(frame)
    period = scale.spacing_px or 6.0 * scale.width_px
    # Fewer pixels do: what matters is coarser than a spacing.
    bins = max(1, int(period / PERIOD_PX))
    small = _binned(frame, bins)
    if scale.spacing_px is not None:
        closed = _closed_waves(small, scale.spacing_px / bins)
        if closed is not None:
            moments, resolved, period = closed
            return _of_waves(small, moments, resolved, period, elements, bins)
    return _of_spots(small, scale, bins)


def _binned(frame: Frame, bins: int) -> Frame:
    """Return the means of squares of pixels, over those that were measured."""
    if bins == 1:
        return frame
    rows, columns = (n // bins for n in frame.shape)
    cut = (slice(rows * bins), slice(columns * bins))
    shape = (rows, bins, columns, bins)
    weight = frame.valid[cut].reshape(shape).sum(axis=(1, 3))
    total = np.where(frame.valid, frame.data, 0)[cut].reshape(shape).sum(axis=(1, 3))
    mean = (total / np.maximum(weight, 1)).astype(np.float32)
    return Frame(mean, weight > bins * bins / 4, frame.calibration)


def _closed_waves(frame: Frame, spacing_px: float) -> tuple[_Moments, float, float] | None:
    """Return moments, q / p (with its sign) and the period, where three waves close a triangle."""
    level = np.float32(frame.data[frame.valid].mean(dtype=np.float64))
    flat = np.where(frame.valid, frame.data - level, np.float32(0))
    k = _frequencies(flat.shape)
    middle = tuple(slice(max((n - LARGEST) // 2, 0), (n + LARGEST) // 2) for n in flat.shape)
    part = flat[middle]
    fade = np.outer(*(np.hanning(n).astype(np.float32) for n in part.shape))
    power = (np.abs(rfft2(part * fade)) ** 2).astype(np.float64)
    # The distance of spots is that of the ring centres, or of atoms if those are resolved.
    found = [
        _wave(power, _frequencies(part.shape), 2.0 / (ratio * spacing_px))
        for ratio in (math.sqrt(3), 3.0)
    ]
    g = max(found, key=lambda one: one[1])[0]
    spectrum = rfft2(flat)
    first, second = (
        irfft2(spectrum * np.exp(-0.5 * ((k - f) / (RING * f)) ** 2), s=flat.shape)
        for f in (g, math.sqrt(3) * g)
    )
    window = WINDOW / g
    moments = _third(first, first, window, frame)
    if moments is None or moments.mean < LEAST_CLOSED:
        return None
    atoms = _third(first, second, window, frame)
    resolved = 0.0 if atoms is None else float(np.nanmean(atoms.field)) / CLOSED
    return moments, resolved, 2.0 / (math.sqrt(3) * g)


def _frequencies(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the lengths of the waves of a real transform, in cycles a pixel."""
    rows, columns = shape
    along_y, along_x = np.fft.fftfreq(rows), np.fft.rfftfreq(columns)
    lengths: NDArray[np.float32] = np.hypot(along_y[:, None], along_x[None]).astype(np.float32)
    return lengths


def _wave(power: Floats, k: NDArray[np.float32], about: float) -> tuple[float, float]:
    """Return the frequency of the strongest waves near one, and how far they stand out."""
    near = (k > 0.85 * about) & (k < 1.15 * about)
    if not near.any():
        return about, 0.0
    length, strength = k[near].astype(np.float64), power[near]
    top = float(length[strength.argmax()])
    # A wave that changes within the frame has several lines: the middle of what is high near it.
    high = (np.abs(length - top) < 0.08 * about) & (strength > 0.2 * strength.max())
    wave = float(np.average(length[high], weights=strength[high]))
    return wave, float(strength.max()) / max(float(np.median(strength)), 1e-30)


def _third(
    first: NDArray[np.floating], second: NDArray[np.floating], window_px: float, frame: Frame
) -> _Moments | None:
    """Return the local <u1² u2> / <u1²>^(3/2) on blocks."""
    block = max(1, int(window_px / 3))
    rows, columns = (n // block * block for n in first.shape)

    def local(values: NDArray[np.floating]) -> Floats:
        cut = values[:rows, :columns].reshape(rows // block, block, columns // block, block)
        smooth: Floats = gaussian_filter(
            cut.mean(axis=(1, 3), dtype=np.float64), window_px / block, mode="reflect"
        )
        return smooth

    power = local(first**2)
    measured = local(frame.valid.astype(np.float32)) > 0.3
    if not measured.any() or float(power.max()) <= 0:
        return None
    there = measured & (power > LEAST_POWER * np.median(power[measured]))
    field = np.full(power.shape, np.nan)
    field[there] = (local(first**2 * second) / np.maximum(power, 1e-30) ** 1.5)[there]
    area = 4 * np.pi * window_px**2
    return _Moments(field, block, max(1.0, there.mean() * first.size / area))


def _of_waves(
    frame: Frame,
    moments: _Moments,
    resolved: float,
    period: float,
    elements: Collection[str],
    bins: int,
) -> Contrast:
    """Judge a pattern of three closed waves."""
    main = 1.0 if float(np.nanmean(moments.field)) >= 0 else -1.0
    known, trust = _is_honeycomb(frame, main * resolved, bins * period, elements)
    one = "bright" if main > 0 else "dark"
    other = "dark" if main > 0 else "bright"
    blocks = np.clip(main * moments.field / CLOSED, -1.0, 1.0)
    # Windows of noise scatter by about a quarter.
    chance = 0.26 / math.sqrt(moments.windows)
    sure = _sure(blocks * CLOSED, chance) * trust
    if known:
        rings = abs(resolved) < RESOLVED
        words = f"{other.capitalize()} atoms, {one} ring centres"
        words += ", which are clearer than the atoms" if rings else ""
        words += "" if trust >= 0.9 else ", if this is a honeycomb such as graphene"
        polarity: Polarity = "dark" if main > 0 else "bright"
    else:
        rings, polarity = False, "bright" if main > 0 else "dark"
        words = f"{one.capitalize()} atoms on a triangular lattice"
        if trust < 0.9:
            words += f" (or, in a honeycomb such as graphene, {one} ring centres)"
    pattern: Pattern = "honeycomb" if known else "triangular"
    block = bins * moments.block_px
    return _told(pattern, polarity, rings, sure, words, blocks, block, bins * period)


def _is_honeycomb(
    frame: Frame, resolved: float, period: float, elements: Collection[str]
) -> tuple[bool, float]:
    """Tell a honeycomb from a triangular lattice of atoms, and how far that is to be trusted.

    `resolved` is q / p, with the sign of a pattern whose one spot a cell is bright: the two dark
    places are deeper in a honeycomb, so q is below 0.
    """
    if LIGHT & set(elements):
        return True, 0.97
    pm = frame.calibration.x_pm
    if pm is not None and any(abs(period * pm / a - 1) < CALIBRATED for a in HONEYCOMBS_PM):
        return True, 0.9
    if abs(resolved) >= SEEN:
        return resolved < 0, 0.9
    return pm is None, 0.6


def _of_spots(frame: Frame, scale: Scale, bins: int) -> Contrast:
    """Judge by how spots stand out of what is between them."""
    landscape = survey(frame, sigma_px=OF_THE_WIDTH * scale.width_px / bins)
    response = landscape.response
    period = scale.spacing_px or 6.0 * scale.width_px
    moments = _third(response, response, WINDOW * period / bins, frame)
    if moments is None or moments.mean < LEAST_SKEW:
        words = "No pattern of atoms shows: neither bright nor dark spots stand out."
        empty = np.full((1, 1), np.nan)
        return Contrast("none", "bright", False, 0.0, words, empty, bins * max(frame.shape), ())
    main = 1.0 if float(np.nanmean(moments.field)) >= 0 else -1.0
    blocks = np.clip(main * moments.field, -1.0, 1.0)
    chance = 0.26 / math.sqrt(moments.windows)
    sure = _sure(blocks, chance)
    polarity: Polarity = "bright" if main > 0 else "dark"
    where = "" if scale.spacing_px is not None else ", without a lattice"
    words = f"{polarity.capitalize()} atoms{where}"
    block = bins * moments.block_px
    return _told("spots", polarity, False, sure, words, blocks, block, period)


def _sure(signed: Floats, chance: float) -> float:
    """Return how sure the sign is: by how far it is from chance, and how much agrees."""
    z = float(np.nanmean(signed)) / chance
    agree = float(np.nanmean(signed[~np.isnan(signed)] > 0))
    return 0.5 * (1 + math.erf(z / math.sqrt(2))) * (0.5 + 0.5 * agree)


def _told(
    pattern: Pattern,
    polarity: Polarity,
    rings: bool,
    sureness: float,
    words: str,
    blocks: Floats,
    block_px: int,
    period: float,
) -> Contrast:
    """Add where the contrast changes, and how sure all of it is."""
    there = ~np.isnan(blocks)
    turned = there & (blocks < -BELIEVED)
    part = float(turned.sum() / max(there.sum(), 1))
    small = turned.sum() * block_px**2 < (LEAST_PERIODS * period) ** 2
    lines: tuple[Floats, ...] = ()
    if part >= LEAST_PART and not small:
        words += f"; the contrast reverses {_whereabouts(turned)}"
        lines = _boundaries(blocks, there, block_px)
    said = f"{words} (sure to {100 * sureness:.0f} %)."
    return Contrast(pattern, polarity, rings, sureness, said, blocks, block_px, lines)


def _boundaries(blocks: Floats, there: NDArray[np.bool_], block_px: int) -> tuple[Floats, ...]:
    """Return the lines x, y in px where the sign changes.

    The pattern is weak there: what is nearest on either side speaks for the gap between.
    """
    distance, nearest = distance_transform_edt(~there, return_indices=True)
    filled = blocks[tuple(nearest)]
    found = find_contours(filled, 0.0, mask=distance <= WIDEST_GAP)
    return tuple((line[:, ::-1] + 0.5) * block_px - 0.5 for line in found if len(line) > 2)


def _whereabouts(turned: NDArray[np.bool_]) -> str:
    """Say in words where a part of the frame lies."""
    rows, columns = np.nonzero(turned)
    shape = np.array(turned.shape)
    middle = (np.array([rows.mean(), columns.mean()]) + 0.5) / shape
    spread = np.array([np.ptp(rows) + 1, np.ptp(columns) + 1]) / shape
    # What reaches through the whole frame along an axis has no place on it.
    names = [
        ""
        if spread[axis] > 0.85 or abs(middle[axis] - 0.5) < 1 / 6
        else before
        if middle[axis] < 0.5
        else after
        for axis, (before, after) in enumerate((("upper", "lower"), ("left", "right")))
    ]
    vertical, side = names
    if vertical and side:
        return f"at the {vertical} {side}"
    if side:
        return f"at the {side}"
    if vertical:
        return f"at the {'top' if vertical == 'upper' else 'bottom'}"
    return "in the middle" if spread.max() < 0.7 else "in parts of the frame"
