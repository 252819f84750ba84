"""Score a network on the held-out labels and choose its threshold. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apgan.atoms import positions
from napari_apgan.io.pairs import Pair
from napari_apgan.maps import output_map
from napari_apgan.measure import find_atoms, match
from napari_apgan.measure.spread import measure_spread
from napari_apgan.models.card import HeldOutCalibration, HeldOutScore, ModelCard
from napari_apgan.models.modelfile import Model
from napari_apgan.models.networks import AtomNetwork
from napari_apgan.predict.inference import predict_maps
from napari_apgan.simulate.zoo_settings import disc_radius_px, shown_channels

from .calibrate import Calibrator
from .split import Split, atoms_in
from .threshold import THRESHOLDS, choose_threshold, doubt_of

#: What an error as large as the tolerance, and a loss of 1, cost in F1. A change of the error by
#: some percent, measured on all atoms, must not fall to one by an atom or two in thousands.
ERROR_WEIGHT, LOSS_WEIGHT = 0.5, 0.02


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validation found; `value` ranks models, larger is better."""

    score: HeldOutScore
    threshold: float
    loss: float
    value: float
    calibration: HeldOutCalibration


@dataclass(frozen=True, slots=True)
class _Channel:
    """One element's atoms in a frame: those labelled, those read at the lowest threshold."""

    true: NDArray[np.float64]
    found: NDArray[np.float64]
    probability: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read from one frame's maps, element by element, and its truth."""

    channels: tuple[_Channel, ...]
    mask: NDArray[np.bool_]
    tolerance_px: float


@dataclass(frozen=True, slots=True)
class _Tally:
    """Labelled, predicted and matched atoms (columns) by element (rows), and the errors in px."""

    counts: NDArray[np.int64]
    errors: NDArray[np.float64]

    @property
    def f1(self) -> float:
        """Of all elements together."""
        return _f1(*self.counts.sum(axis=0).tolist())


def worth(score: HeldOutScore, loss: float, f1: float | None = None) -> float:
    """Rank a model: F1 first, then how near its atoms are, then the loss of its maps.

    Among models that find the same atoms the more precise wins; before any finds one, the loss
    tells which is on its way. `f1` takes the place of the score's where that is an average over
    atoms and one over frames is wanted.
    """
    error = 1.0 if score.error_px is None else score.error_px / score.tolerance_px
    found = score.f1 if f1 is None else f1
    return found - ERROR_WEIGHT * error - LOSS_WEIGHT * min(loss, 1.0)


def validate(
    network: AtomNetwork,
    card: ModelCard,
    pairs: Sequence[Pair],
    split: Split,
    device: str,
) -> Validation:
    """Predict the held-out parts and compare with their labels.

    The threshold is chosen as :func:`choose_threshold` says.

    Parameters
    ----------
    network : AtomNetwork
    card : ModelCard
        For elements, normalisation, and the radii of pairs that do not bring their own.
    pairs : sequence of Pair
        In the order of `split`.
    split : Split
    device : str
    """
    network.eval()
    model = Model(card, network)
    names = card.element_names
    reads: list[_Read] = []
    calibrator = Calibrator()
    losses: list[tuple[float, int]] = []
    margin = math.ceil(4 * max(card.radius_px.values()))  # no disc is cut where it counts
    for pair, mask in zip(pairs, split.validation, strict=True):
        mask = _without_edge(mask)
        if not mask.any():
            continue
        box = _box(mask, margin, pair.frame.shape)
        cut = np.s_[box[1] : box[3], box[0] : box[2]]
        atoms = pair.atoms.assign(x_px=pair.atoms.x_px - box[0], y_px=pair.atoms.y_px - box[1])
        inside = mask[cut]
        # The frame stays whole, since all of it decides its normalisation.
        maps = predict_maps(model, pair.frame, device=device, box=box)
        own = disc_radius_px(pair)
        radii = card.radius_px if own is None else dict.fromkeys(names, own)
        shown = shown_channels(pair) or tuple(names)
        truth = output_map(atoms, names, inside.shape, radii)
        error = (maps - truth)[[n in shown for n in names]][:, inside]
        losses.append((float((error**2).mean()), int(inside.sum())))
        found = find_atoms(
            maps,
            names,
            radius_px=radii,
            threshold=float(THRESHOLDS[0]),
            valid=pair.frame.valid[cut],
        )
        found = found[found["element"].isin(shown)]
        tolerance_px = max(1.5, max(radii.values()))
        calibrator.add(
            found, measure_spread(maps, names, found, radii), atoms, inside, tolerance_px
        )
        channels = tuple(
            _Channel(positions(true), positions(one), one["probability"].to_numpy(np.float64))
            for true, one in (
                (atoms[atoms["element"] == n], found[found["element"] == n]) for n in names
            )
        )
        reads.append(_Read(channels, inside, tolerance_px))
    loss = float(np.average([v for v, _ in losses], weights=[n for _, n in losses]))
    tolerance = float(np.mean([read.tolerance_px for read in reads]))
    tallies = [[_tally(read, float(t)) for read in reads] for t in THRESHOLDS]
    scores = [_score(row, names, tolerance, card, split) for row in tallies]
    f1 = np.array([s.f1 for s in scores])
    # True and predicted atoms are about as many.
    doubt = doubt_of(float(f1.max()), 2 * scores[0].n_atoms)
    if card.by_contrast:
        # Frames of all kinds: one with few atoms, or none, counts as much as one with a thousand.
        f1 = np.array([np.mean([tally.f1 for tally in row]) for row in tallies])
        doubt = 0.0
    slope, offset = calibrator.probability()
    chosen = choose_threshold(f1, doubt, slope, offset)
    score, threshold = scores[chosen], float(THRESHOLDS[chosen])
    value = worth(score, loss, float(f1[chosen]))
    return Validation(score, threshold, loss, value, calibrator.result(threshold))


def _without_edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out a frame's outermost row of pixels, as every score does.

    Atoms just outside the frame, of which it shows a part, are no fault of a network, and would
    push the threshold up until it drops true ones.
    """
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1]
    return inner


def _box(mask: NDArray[np.bool_], margin: int, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (x0, y0, x1, y1) around the True pixels, so that discs at the edge are whole."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        max(int(columns[0]) - margin, 0),
        max(int(rows[0]) - margin, 0),
        min(int(columns[-1]) + 1 + margin, shape[1]),
        min(int(rows[-1]) + 1 + margin, shape[0]),
    )


def _tally(read: _Read, threshold: float) -> _Tally:
    """Count in one frame; a match counts where its labelled atom lies inside the mask."""
    counts = np.zeros((len(read.channels), 3), dtype=np.int64)
    errors: list[NDArray[np.float64]] = []
    for k, channel in enumerate(read.channels):
        a, b = channel.found[channel.probability >= threshold], channel.true
        i, j = match(a, b, read.tolerance_px)
        b_counts, a_counts = atoms_in(b, read.mask), atoms_in(a, read.mask)
        a_counts[i] = b_counts[j]
        kept = b_counts[j]
        counts[k] = b_counts.sum(), a_counts.sum(), kept.sum()
        errors.append(np.hypot(*(a[i] - b[j])[kept].T))
    return _Tally(counts, np.concatenate(errors))


def _score(
    tallies: Sequence[_Tally],
    names: Sequence[str],
    tolerance_px: float,
    card: ModelCard,
    split: Split,
) -> HeldOutScore:
    """Add up what was counted in the frames."""
    counts = np.sum([tally.counts for tally in tallies], axis=0)
    true, predicted, matched = counts.sum(axis=0).tolist()
    error = np.concatenate([tally.errors for tally in tallies])
    rms = float(np.sqrt(np.mean(error**2))) if len(error) else None
    precision, recall = matched / max(predicted, 1), matched / max(true, 1)
    return HeldOutScore(
        f1=_f1(true, predicted, matched),
        precision=precision,
        recall=recall,
        error_px=rms,
        error_pm=None if rms is None or card.pixel_size_pm is None else rms * card.pixel_size_pm,
        tolerance_px=tolerance_px,
        n_atoms=true,
        element_f1={n: _f1(*c) for n, c in zip(names, counts.tolist(), strict=True) if c[0]},
        split=split.kind,
    )


def _f1(true: int, predicted: int, matched: int) -> float:
    if not true and not predicted:
        return 1.0
    return 2 * matched / max(true + predicted, 1)
