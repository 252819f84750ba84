"""Match my image: from an experimental frame to settings whose frames look like it.

The numbers of :mod:`.statistics` are taken from the frame and from simulated ones, and the settings
are corrected by what differs, a few times over: an estimate that is biased is biased alike on both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.simulate.degradation.settings import DegradationSettings
from napari_apgan.simulate.imaging import Mode
from napari_apgan.simulate.imaging.settings import ImagingSettings
from napari_apgan.simulate.pairs import SimulatedPair, simulate_pair
from napari_apgan.simulate.settings import SimulationSettings
from napari_apgan.simulate.structures import Structure

from .lattice import scale_between
from .lens import match_lens
from .statistics import Statistics, blur_between, measure_statistics, relative_scale, similarity

#: Side of the square that is compared, in px.
SIDE = 256
#: Fewer pixels along a side tell nothing.
SMALLEST_SIDE = 64
#: Rounds of simulating and correcting, and frames simulated in each.
ROUNDS = 4
FRAMES = 2
#: The lattice is believed where the spectra agree at least so well.
SURE = 0.35
#: Spectral peaks refine the lattice's scale by at most this part.
REFINED_WITHIN = 0.05
#: A pixel size this much off (as a fraction) is worth a word.
WORTH_A_WORD = 0.02
#: Contrast skewed by less does not tell atoms from the places between them.
SKEWED = 0.1
#: Noise grows with brightness by more than this under counting statistics.
COUNTING_GROWTH = 1.25
#: What the pixel size is taken for until the lattice tells, where the file does not know it; and
#: the sizes that are tried then.
FIRST_PIXEL_PM = 20.0
UNKNOWN_PIXEL_PM = (8.0, 12.0, 18.0, 27.0, 40.0)
#: Believable effective source sizes (pm, standard deviation), and rounds of finding one.
SOURCE_BOUNDS_PM = (10.0, 130.0)
BLUR_ROUNDS = 3
#: What these show has parts of different brightness, which no background can be told from.
UNEVEN = ("particle", "multilayer", "file")


@dataclass(frozen=True, slots=True)
class Match:
    """What was found out about a frame.

    Parameters
    ----------
    settings : SimulationSettings
        Simulate with these.
    similarity : float
        0 to 1, see :func:`~napari_apgan.simulate.match.statistics.similarity`.
    pixel_size_factor : float, optional
        The pixel size that the structure's lattice implies over the one known; None where the
        lattice was not recognised.
    sentences : tuple of str
        What was estimated, for the user.
    example : SimulatedPair
        A frame simulated with the settings.
    """

    settings: SimulationSettings
    similarity: float
    pixel_size_factor: float | None
    sentences: tuple[str, ...]
    example: SimulatedPair

    def summary(self) -> dict[str, Any]:
        """Return the findings as plain values."""
        return {
            "similarity": self.similarity,
            "pixel_size_factor": self.pixel_size_factor,
            "sentences": list(self.sentences),
        }


@dataclass(slots=True)
class _Findings:
    sentences: list[str] = field(default_factory=list)
    factor: float | None = None


def match_frame(
    frame: Frame,
    *,
    atoms: pd.DataFrame | None = None,
    structure: Structure | None = None,
    mode: Mode | None = None,
    imaging: ImagingSettings | None = None,
) -> Match:
    """Propose settings whose simulated frames look like an experimental one.

    Parameters
    ----------
    frame : Frame
    atoms : DataFrame, optional
        Labelled atoms; on graphene they allow the lens to be found.
    structure : Structure, optional
        What the frame shows; by default SrTiO3 in dark field and graphene in HRTEM.
    mode : {"hrtem", "haadf", "adf", "abf"}, optional
        By default told by the contrast: bright peaks on a dark ground are HAADF.
    imaging : ImagingSettings, optional
        What is known of the microscope; by default usual values of the mode.

    Returns
    -------
    Match

    Raises
    ------
    UserError
        When the frame is smaller than 64 px, or varies nowhere.
    """
    if min(frame.shape) < SMALLEST_SIDE:
        raise UserError(
            f"A frame of {frame.shape[1]} x {frame.shape[0]} px is too small to be matched: "
            f"its sides must be at least {SMALLEST_SIDE} px."
        )
    if float(np.ptp(frame.data[frame.valid])) <= 0:
        raise UserError("This frame is the same grey everywhere: there is nothing to match.")
    side = min(SIDE, *frame.shape)
    seen = measure_statistics(frame, side=side)
    found = _Findings()
    kind = mode or _mode_of(seen, found)
    settings = _first_guess(frame, seen, structure, imaging or ImagingSettings.usual(kind), side)
    settings = _scaled(frame, seen, settings, found)
    if kind == "hrtem":
        lens, sentences = match_lens(frame, atoms, settings)
        settings = settings.model_copy(update={"imaging": lens})
        found.sentences += sentences
        if atoms is None:
            settings = _contrast_of(seen, settings, found)
    settings, drawn = _adjusted(seen, settings)
    settings, example = _grey_levels(seen, settings, drawn)
    found.sentences += _noise_words(seen, settings)
    score = similarity(seen, measure_statistics(example.pair.frame, side=side))
    return Match(settings, score, found.factor, tuple(found.sentences), example)


def _mode_of(seen: Statistics, found: _Findings) -> Mode:
    kind: Mode = "haadf" if seen.skewness > 0.35 else "hrtem"
    why = "bright peaks on a dark ground" if kind == "haadf" else "no bright peaks on a dark ground"
    found.sentences.append(f"Taken for {kind.upper()}: {why}. Choose the mode if it is another.")
    return kind


def _first_guess(
    frame: Frame,
    seen: Statistics,
    structure: Structure | None,
    imaging: ImagingSettings,
    side: int,
) -> SimulationSettings:
    from napari_apgan.simulate.examples import EXAMPLES  # which in turn needs all structures

    usual = EXAMPLES["graphene" if imaging.mode == "hrtem" else "srtio3"].structure
    pixel_pm = frame.calibration.mean_pm or FIRST_PIXEL_PM
    scan = imaging.mode != "hrtem"
    degradation = DegradationSettings(
        snr=min(max(seen.snr, 0.01), 1e4),
        noise="counting" if seen.noise_growth > COUNTING_GROWTH else "gaussian",
        jitter_pm=seen.jitter_px * pixel_pm if scan else 0.0,
        jitter_memory=min(seen.jitter_memory, 0.95),
        loss="random" if seen.missing > 0.005 else "none",
        lost_fraction=min(seen.missing, 0.95) if seen.missing > 0.005 else 0.3,
    )
    return SimulationSettings(
        structure=structure or usual,
        imaging=imaging,
        degradation=degradation,
        shape=(side, side),
        pixel_size_pm=pixel_pm,
    )


def _simulated(settings: SimulationSettings, number: int) -> tuple[SimulatedPair, Statistics]:
    made = simulate_pair(settings, 0, number)
    return made, measure_statistics(made.pair.frame, side=min(settings.shape))


def _scaled(
    frame: Frame, seen: Statistics, settings: SimulationSettings, found: _Findings
) -> SimulationSettings:
    """Check the pixel size against the structure's lattice; find it where it is unknown."""
    known = frame.calibration.mean_pm
    plain = settings.degradation.model_copy(
        update={"snr": 20.0, "jitter_pm": 0.0, "loss": "none", "noise": "gaussian"}
    )
    still = settings.view.model_copy(update={"strain_percent": 0.0})
    factor, sure = 1.0, 0.0
    # Stored sizes are now and then of the unbinned or the twice binned image.
    sizes = [known * part for part in (1.0, 0.5, 2.0)] if known else UNKNOWN_PIXEL_PM
    for size in sizes:
        if known and size != known and sure > 2 * SURE:
            break
        trial = settings.model_copy(
            update={"degradation": plain, "view": still, "pixel_size_pm": size}
        )
        _, statistics = _simulated(trial, 0)
        # Spacings of more pixels than simulated mean smaller pixels.
        wider, correlation = relative_scale(seen, statistics)
        if correlation > sure:
            factor, sure = size / wider / settings.pixel_size_pm, correlation
            refined = scale_between(seen.peaks, statistics.peaks)
            # The profile's steps find the right multiple, the peaks themselves the last percent.
            if refined is not None and abs(refined[0] * wider - 1) < REFINED_WITHIN:
                factor = size * refined[0] / settings.pixel_size_pm
    if sure < SURE:
        found.sentences.append(
            f"The lattice of the chosen structure ({settings.structure.kind}) is not recognised in "
            f"this frame; the pixel size is not checked."
        )
        return settings
    implied = settings.pixel_size_pm * factor
    if known is None:
        found.sentences.append(
            f"The file holds no pixel size; the lattice implies {implied:.2f} pm a pixel."
        )
    else:
        found.factor = factor
        off = (known / implied - 1.0) * 100
        verdict = (
            "agrees with the lattice"
            if abs(off) < 100 * WORTH_A_WORD
            else (
                f"is {abs(off):.0f} % too {'large' if off > 0 else 'small'} for the lattice, which "
                f"implies {implied:.2f} pm"
            )
        )
        found.sentences.append(f"The pixel size of {known:.2f} pm {verdict}.")
    return settings.model_copy(update={"pixel_size_pm": implied})


def _contrast_of(
    seen: Statistics, settings: SimulationSettings, found: _Findings
) -> SimulationSettings:
    """Choose the sign of the defocus whose contrast is skewed the way the frame's is.

    Bright rings between dark atoms make the bright tail of the histogram the longer one, and the
    other way round.
    """
    lens = settings.imaging.aberrations
    other = lens.model_copy(update={"c1_nm": -lens.c1_nm})
    turned = settings.imaging.model_copy(update={"aberrations": other})
    choices = [settings, settings.model_copy(update={"imaging": turned})]
    skewness = [_simulated(s, 0)[1].skewness for s in choices]
    if min(abs(seen.skewness), *map(abs, skewness)) < SKEWED or skewness[0] * skewness[1] > 0:
        return settings
    best = 0 if skewness[0] * seen.skewness > 0 else 1
    c1 = choices[best].imaging.aberrations.c1_nm
    found.sentences.append(
        f"The contrast is that of C1 = {c1:.1f} nm rather than {-c1:.1f} nm; label some atoms to "
        "be sure."
    )
    return choices[best]


def _adjusted(
    seen: Statistics, settings: SimulationSettings
) -> tuple[SimulationSettings, SimulatedPair]:
    """Correct SNR, jitter and background by what simulated frames have too much or too little."""
    if settings.imaging.mode != "hrtem":
        settings = _blurred(seen, settings)
    best: tuple[float, SimulationSettings, SimulatedPair] | None = None
    for _ in range(ROUNDS):
        made = [_simulated(settings, n) for n in range(FRAMES)]
        score = float(np.mean([similarity(seen, s) for _, s in made]))
        if best is None or score > best[0]:
            best = score, settings, made[0][0]
        settings = _corrected(seen, settings, [s for _, s in made])
    assert best is not None
    return best[1], best[2]


def _blurred(seen: Statistics, settings: SimulationSettings) -> SimulationSettings:
    """Choose the source size whose peaks are as sharp as those seen."""
    for _ in range(BLUR_ROUNDS):
        more = [blur_between(seen, _simulated(settings, n)[1]) for n in range(FRAMES)]
        known = [m for m in more if m is not None]
        if not known:
            return settings
        imaging = settings.imaging
        wider = float(np.mean(known)) * settings.pixel_size_pm**2
        source = math.sqrt(max(imaging.source_size_pm**2 + wider, 0.0))
        source = min(max(source, SOURCE_BOUNDS_PM[0]), SOURCE_BOUNDS_PM[1])
        imaging = imaging.model_copy(update={"source_size_pm": source})
        settings = settings.model_copy(update={"imaging": imaging})
    return settings


def _corrected(
    seen: Statistics, settings: SimulationSettings, made: list[Statistics]
) -> SimulationSettings:
    old, pixel_pm = settings.degradation, settings.pixel_size_pm

    def mean(name: str) -> float:
        return float(np.mean([getattr(s, name) for s in made]))

    assert old.snr is not None
    changes: dict[str, Any] = {
        "snr": min(max(old.snr * _bounded(seen.snr / max(mean("snr"), 1e-9), 4.0), 0.005), 1e5)
    }
    if settings.structure.kind not in UNEVEN:
        slow = seen.background**2 - mean("background") ** 2
        changes["background"] = math.sqrt(min(max(old.background**2 + slow, 0.0), 4.0))
    if settings.imaging.mode != "hrtem":
        jitter = (seen.jitter_px**2 - mean("jitter_px") ** 2) * pixel_pm**2
        # The estimate scatters from frame to frame: most of what is missing is taken.
        changes["jitter_pm"] = math.sqrt(max(old.jitter_pm**2 + 0.8 * jitter, 0.0))
        changes["jitter_memory"] = min(
            max(old.jitter_memory + 0.5 * (seen.jitter_memory - mean("jitter_memory")), 0.0), 0.95
        )
    return settings.model_copy(update={"degradation": old.model_copy(update=changes)})


def _bounded(factor: float, most: float) -> float:
    return min(max(factor, 1 / most), most)


def _grey_levels(
    seen: Statistics, settings: SimulationSettings, made: SimulatedPair
) -> tuple[SimulationSettings, SimulatedPair]:
    """Give the frames the grey levels of the experimental one; nothing else changes."""
    made_of = measure_statistics(made.pair.frame, side=min(settings.shape))
    gain = settings.degradation.gain * seen.std / max(made_of.std, 1e-30)
    offset = seen.mean - (made_of.mean - settings.degradation.offset) * seen.std / made_of.std
    degradation = settings.degradation.model_copy(update={"gain": gain, "offset": offset})
    settings = settings.model_copy(update={"degradation": degradation})
    return settings, simulate_pair(settings, 0, 0)


def _noise_words(seen: Statistics, settings: SimulationSettings) -> list[str]:
    """Say what was estimated of noise, scan, blur and background."""
    chosen = settings.degradation
    assert chosen.snr is not None
    kind = (
        "grows with the brightness, as counting electrons does"
        if chosen.noise == "counting"
        else "is the same in bright and dark places"
    )
    words = [
        f"SNR {chosen.snr:.2g} (variance of the signal over that of the noise; "
        f"{math.sqrt(chosen.snr):.2g} as a ratio of standard deviations); the noise {kind}."
    ]
    if settings.imaging.mode != "hrtem":
        jitter = (
            f"Rows are shifted by {chosen.jitter_pm:.1f} pm rms, and remember "
            f"{100 * chosen.jitter_memory:.0f} % of the shift of the row before."
            if chosen.jitter_pm > 0.5
            else "The rows show no jitter."
        )
        words += [jitter, f"Effective source {settings.imaging.source_size_pm:.0f} pm (std)."]
    if chosen.background > 0.1:
        words.append(
            f"A slowly varying background of {chosen.background:.2g} times the signal's std."
        )
    if seen.missing > 0.005:
        words.append(f"{100 * seen.missing:.0f} % of the pixels were never measured.")
    return words
