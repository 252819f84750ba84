"""`ptnc_haadf`: single Pt atoms on carbon, leave one field out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter

from napari_apgan.atoms import positions
from napari_apgan.elements import Element
from napari_apgan.frames import Calibration
from napari_apgan.io.pairs import Pair
from napari_apgan.regions import Region
from napari_apgan.train import RunSettings

from .baselines import DogSearch
from .counting import Counts, Found, Interval, count, paired_gain, pooled_f1
from .real_images import read_ptnc
from .training import Result, find, say, table, this_machine, train

Floats = NDArray[np.float64]

TOLERANCE_PX = 5.0
PIXEL_PM = 29.3
#: Radius of the discs in pm, 5 px: the reach of a match, since the spacing says nothing here.
RADIUS_PM = 146.5
BASELINES = ("DoG", "DoG, relative")
#: Thresholds tried.
LEVELS = tuple(np.round(np.arange(0.2, 0.9, 0.025), 3).tolist())
#: Images of one field show the same atoms, so they are left out together.
FIELDS = (
    ("021",),
    ("025", "027"),
    ("034", "037"),
    ("038",),
    ("045",),
    ("047", "048", "051"),
    ("049",),
)
#: Repeated exposures are searched for their shift up to this far (px).
LARGEST_SHIFT = 80


class Image(BaseModel):
    """One image, left out: F1 of both finders over all seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    field: str
    atoms: int
    ours: tuple[float, ...]
    threshold: tuple[float, ...]
    dog: float
    dog_settings: str
    relative_dog: float
    relative_dog_settings: str


class Agreement(BaseModel):
    """How far the labels of two exposures of one field agree after registration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: tuple[str, str]
    shift_px: tuple[int, int]
    correlation: float
    f1: float
    f1_at_12_px: float


class Gain(BaseModel):
    """Paired gain in pooled F1 over one baseline: value and 95 % interval, two ways to resample."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: str
    by_field: tuple[float, float, float]
    by_image: tuple[float, float, float]


class PtncResult(Result):
    """What :func:`bench_ptnc` measured."""

    images: tuple[Image, ...]
    pooled: tuple[float, ...]
    pooled_dog: float
    pooled_relative_dog: float
    gains: tuple[Gain, ...]
    agreement: tuple[Agreement, ...]

    def report(self) -> str:
        """Return the tables with what they need to be read."""
        name = self.settings.preset
        rows = [
            [
                image.field,
                image.name,
                str(image.atoms),
                " / ".join(f"{f:.3f}" for f in image.ours),
                f"{image.dog:.3f}",
                f"{image.relative_dog:.3f}",
            ]
            for image in self.images
        ]
        rows.append(
            [
                "all",
                "pooled",
                str(sum(i.atoms for i in self.images)),
                " / ".join(f"{f:.3f}" for f in self.pooled),
                f"{self.pooled_dog:.3f}",
                f"{self.pooled_relative_dog:.3f}",
            ]
        )
        seeds = "/".join(map(str, self.seeds))
        heads = [
            "field",
            "image",
            "labels",
            f"F1 {name} (seeds {seeds})",
            "F1 DoG",
            "F1 DoG, relative",
        ]
        agreed = [
            [
                " – ".join(a.images),
                f"{a.shift_px[0]}, {a.shift_px[1]}",
                f"{a.correlation:.2f}",
                f"{a.f1:.3f}",
                f"{a.f1_at_12_px:.3f}",
            ]
            for a in self.agreement
        ]
        agreed_heads = ["exposures", "shift x, y (px)", "correlation", "F1, 5 px", "F1, 12 px"]
        gains = [
            [g.baseline, str(Interval(*g.by_field)), str(Interval(*g.by_image))] for g in self.gains
        ]
        gains_heads = ["paired gain in pooled F1 over", "fields resampled", "images resampled"]
        return (
            f"{table(heads, rows)}\n\n"
            f"{table(gains_heads, gains)}\n\n"
            f"{table(agreed_heads, agreed)}\n\n"
            f"{np.median(self.train_seconds):.0f} s a training (median of "
            f"{len(self.train_seconds)}). {self.machine}."
        )


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    pairs: tuple[Pair, ...]


def bench_ptnc(
    data: Path,
    work: Path,
    *,
    settings: RunSettings,
    seeds: tuple[int, ...] = (0,),
    tta: bool = False,
) -> PtncResult:
    """Leave each field of `ptnc_haadf` out, train on the others, and find its atoms.

    Beside it a difference-of-Gaussians finder, its settings and threshold tuned on the same
    training fields; the network's threshold is chosen on them too. A second search takes thresholds
    relative to the 40 strongest peaks of each image, which suits a labeller who marks the
    brightest dozens whatever the noise. The labels are one person's, of
    atoms that move: those of repeated exposures are compared after registration, which says how
    far a label on one exposure holds on the next.

    Parameters
    ----------
    data : Path
        Folder of the real images.
    work : Path
        Where the run folders are made.
    settings : RunSettings
        The seed is replaced by each of `seeds`.
    seeds : tuple of int
    tta : bool
        Average the network's answers to the eight mirror images and quarter turns.
    """
    fields = [_read_field(data, names) for names in FIELDS]
    ours: list[list[list[Counts]]] = [[] for _ in seeds]  # by seed, field, image
    theirs: tuple[list[list[Counts]], ...] = ([], [])  # by baseline, field, image
    levels: list[list[float]] = [[] for _ in seeds]
    words: tuple[list[str], ...] = ([], [])
    seconds: list[float] = []
    everything = [p for f in fields for p in f.pairs]
    say("ptnc_haadf: searching the settings of the DoG finder")
    searches = [
        DogSearch(
            [p.frame.data for p in everything],
            lambda k, xy: count(xy, positions(everything[k].atoms), TOLERANCE_PX),
            relative=relative,
        )
        for relative in (False, True)
    ]
    for field in fields:
        numbers = [k for k, p in enumerate(everything) if all(p is not q for q in field.pairs)]
        others = [everything[k] for k in numbers]
        for search, counts, description in zip(searches, theirs, words, strict=True):
            tuned = search.best(numbers)
            description.append(tuned.description)
            counts.append(
                [
                    count(tuned.find(p.frame.data), positions(p.atoms), TOLERANCE_PX)
                    for p in field.pairs
                ]
            )
        for k, seed in enumerate(seeds):
            say(f"ptnc_haadf: field {field.name} left out, seed {seed}")
            done = train(
                others,
                work / f"ptnc_{settings.preset}_{field.name}_{seed}",
                settings.model_copy(update={"seed": seed}),
                [Element(name="Pt", color="#FFFFFF", radius_pm=RADIUS_PM)],
            )
            seconds.append(done.seconds)
            level = choose_threshold(
                [find(done.model, p.frame, threshold=LEVELS[0], tta=tta)[0] for p in others], others
            )
            levels[k].append(level)
            ours[k].append(
                [
                    count(
                        find(done.model, p.frame, threshold=level, tta=tta)[0].xy,
                        positions(p.atoms),
                        TOLERANCE_PX,
                    )
                    for p in field.pairs
                ]
            )
            say(
                f"  F1 {[round(c.f1, 3) for c in ours[k][-1]]} at {levels[k][-1]:g}, "
                f"DoG {[[round(c.f1, 3) for c in side[-1]] for side in theirs]}"
            )
    images = tuple(
        Image(
            name=pair.name,
            field=field.name,
            atoms=len(pair.atoms),
            ours=tuple(s[f][i].f1 for s in ours),
            threshold=tuple(level[f] for level in levels),
            dog=theirs[0][f][i].f1,
            dog_settings=words[0][f],
            relative_dog=theirs[1][f][i].f1,
            relative_dog_settings=words[1][f],
        )
        for f, field in enumerate(fields)
        for i, pair in enumerate(field.pairs)
    )
    return PtncResult(
        machine=this_machine(),
        settings=settings,
        seeds=seeds,
        images=images,
        pooled=tuple(pooled_f1([c for g in s for c in g]) for s in ours),
        pooled_dog=pooled_f1([c for g in theirs[0] for c in g]),
        pooled_relative_dog=pooled_f1([c for g in theirs[1] for c in g]),
        gains=tuple(_gain(name, ours, side) for name, side in zip(BASELINES, theirs, strict=True)),
        agreement=tuple(a for f in fields for a in _agreements(f)),
        train_seconds=tuple(seconds),
    )


def _gain(baseline: str, ours: Sequence[list[list[Counts]]], theirs: list[list[Counts]]) -> Gain:
    """Compare counts by seed, field and image with a baseline's by field and image."""
    by_field, by_image = [], []
    for f, group in enumerate(theirs):
        images = [
            (sum((seed[f][i] for seed in ours), Counts()), sum([c] * len(ours), Counts()))
            for i, c in enumerate(group)
        ]
        by_field.append(images)
        by_image += [[pair] for pair in images]
    field, image = (
        paired_gain([[a for a, _ in g] for g in groups], [[b for _, b in g] for g in groups])
        for groups in (by_field, by_image)
    )
    return Gain(
        baseline=baseline,
        by_field=(field.value, field.low, field.high),
        by_image=(image.value, image.low, image.high),
    )


def choose_threshold(found: Sequence[Found], pairs: Sequence[Pair]) -> float:
    """Return the threshold with the best F1 over the images, its curve smoothed over three steps.

    Parameters
    ----------
    found : sequence of Found
        Read at the lowest of the levels.
    pairs : sequence of Pair
        The images with their labels, in the same order.
    """
    f1 = [
        pooled_f1(
            [
                count(f.above(level), positions(p.atoms), TOLERANCE_PX)
                for f, p in zip(found, pairs, strict=True)
            ]
        )
        for level in LEVELS
    ]
    smooth = np.convolve(np.pad(f1, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    return float(LEVELS[int(smooth.argmax())])


def _read_field(data: Path, names: tuple[str, ...]) -> _Field:
    """Read the images of one field; they share their `source`, so they are never split."""
    field = "/".join(names)
    calibration = Calibration.from_pixel_size(PIXEL_PM, origin="file")
    pairs = []
    for name in names:
        frame, atoms = read_ptnc(data, name, calibration=calibration)
        pairs.append(
            Pair(
                name=name,
                frame=frame,
                atoms=atoms,
                regions=(Region.whole(frame.shape),),
                source=f"field {field}",
            )
        )
    return _Field("-".join(names), tuple(pairs))


def _agreements(field: _Field) -> list[Agreement]:
    """Compare the labels of every two exposures of a field, inside what both show."""
    out = []
    for k, first in enumerate(field.pairs):
        for second in field.pairs[k + 1 :]:
            x, y, correlation = registration(first.frame.data, second.frame.data)
            rows, columns = first.frame.shape
            box = (
                max(0.0, x) - 0.5,
                max(0.0, y) - 0.5,
                min(columns, columns + x) - 0.5,
                min(rows, rows + y) - 0.5,
            )
            a, b = positions(first.atoms), positions(second.atoms) + np.array([x, y])
            out.append(
                Agreement(
                    images=(first.name, second.name),
                    shift_px=(x, y),
                    correlation=correlation,
                    f1=count(a, b, TOLERANCE_PX, box).f1,
                    f1_at_12_px=count(a, b, 12.0, box).f1,
                )
            )
    return out


def registration(
    first: NDArray[np.floating], second: NDArray[np.floating]
) -> tuple[int, int, float]:
    """Find the shift (x, y) in px that takes positions of `second` to those of `first`.

    The largest normalised correlation over the overlap, of the logarithms filtered to between
    3 and 25 px: the support's texture, which stays while atoms move.

    Returns
    -------
    x, y : int
    correlation : float
        -1..1.
    """
    filtered = []
    for image in (first, second):
        logarithm = np.log(np.maximum(np.asarray(image, dtype=np.float64), 1.0))
        filtered.append(gaussian_filter(logarithm, 3) - gaussian_filter(logarithm, 25))
    size = (2 * first.shape[0], 2 * first.shape[1])

    def correlate(a: Floats, b: Floats) -> Floats:
        moved: Floats = irfft2(rfft2(a, size) * np.conj(rfft2(b, size)), size)
        return moved

    a, b = filtered
    ones = np.ones_like(a)
    power = correlate(a * a, ones) * correlate(ones, b * b)
    similarity = correlate(a, b) / np.sqrt(np.maximum(power, 1e-9 * power.max()))
    reach = LARGEST_SHIFT
    window = np.roll(similarity, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    row, column = np.unravel_index(int(window.argmax()), window.shape)
    return int(column) - reach, int(row) - reach, float(window.max())
