"""Detection without a single label: the bundled model on real images and on simulated frames."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.spatial import cKDTree

from napari_apgan.atoms import positions
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.simulate.zoo import held_out_frames
from napari_apgan.simulate.zoo_settings import (
    CHANNELS,
    KEY,
    ZooSettings,
    disc_radius_px,
    shown_channels,
)

from .counting import Counts, count, inside
from .graphene import LABELLED
from .ptnc import FIELDS
from .real_images import GRAPHENE, PTO_SRO, read_image, read_ptnc
from .training import Machine, table, this_machine

if TYPE_CHECKING:
    from napari_apgan.models.modelfile import Model

Floats = NDArray[np.float64]

TOLERANCE_PX = 2.0
#: Labels of single atoms by hand on a coarse image.
LONE_TOLERANCE_PX = 5.0
#: Diagonals of a cell of A-sites are this many times its side.
DIAGONAL = (1.25, 1.6)
#: Seed of the frames that are scored; the one that validates a training is 0.
SEED = 20


class Line(BaseModel):
    """One case: what is there, what was found, and how far both agree."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    ask: str
    atoms: int
    found: int
    recall: float
    precision: float
    f1: float
    seconds: float
    sentence: str


class DetectResult(BaseModel):
    """What :func:`bench_detect` measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    model: str
    step: int
    threshold: float
    lines: tuple[Line, ...]

    def report(self) -> str:
        """Return the table with what it needs to be read."""
        heads = ["case", "asked", "atoms", "found", "recall", "precision", "F1", "seconds"]
        rows = [
            [
                line.case,
                line.ask,
                str(line.atoms),
                str(line.found),
                f"{line.recall:.3f}",
                f"{line.precision:.3f}",
                f"{line.f1:.3f}",
                f"{line.seconds:.1f}",
            ]
            for line in self.lines
        ]
        return (
            f"{table(heads, rows)}\n\n"
            f"Model {self.model}, step {self.step}, threshold {self.threshold:g}. {self.machine}."
        )


def bench_detect(
    data: Path | None,
    *,
    model: str = "bundled",
    frames: int = 96,
    cases: Sequence[str] = ("pto_sro", "graphene_flower", "ptnc_haadf"),
) -> DetectResult:
    """Detect atoms where nobody labelled any, and compare with labels that others made.

    Parameters
    ----------
    data : Path, optional
        Folder of the real images; simulated frames alone when left out.
    model : str
        A model that knows atoms by their contrast.
    frames : int
        Simulated frames, of views that no training shows; 0 for none.
    cases : sequence of str
        Which of the real images.

    Raises
    ------
    UserError
        When a file or the model cannot be used.
    """
    from napari_apgan.models.modelfile import load_model

    loaded = load_model(model)
    lines: list[Line] = []
    if data is not None:
        if not data.is_dir():
            raise UserError(f"There is no folder {data} with the real images.")
        known = {"pto_sro": _perovskite, "graphene_flower": _graphene, "ptnc_haadf": _lone}
        lines += [known[case](loaded, data) for case in cases]
    lines += _simulated(loaded, frames)
    return DetectResult(
        machine=this_machine(),
        model=model,
        step=loaded.card.step,
        threshold=loaded.card.threshold,
        lines=tuple(lines),
    )


def _look(model: Model, frame: Frame, polarity: Polarity) -> tuple[Floats, str, float]:
    """Return positions x, y in px, the sentence, and the seconds it took."""
    from napari_apgan.predict.detect import detect_with

    began = time.perf_counter()
    found = detect_with(model, frame, polarity=polarity)
    return positions(found.atoms), found.sentence, time.perf_counter() - began


def _perovskite(model: Model, data: Path) -> Line:
    """Score `pto_sro`: only its A-sites are labelled, so atoms in a cage are not false."""
    frame, labels = read_image(data, PTO_SRO)
    truth = positions(labels)
    found, sentence, seconds = _look(model, frame, "bright")
    recall = count(found, truth, TOLERANCE_PX).recall
    # Labels end 10 px before the border; the lattice does not.
    (x0, y0), (x1, y1) = truth.min(axis=0), truth.max(axis=0)
    judged = found[inside(found, (x0, y0, x1, y1))]
    sites = np.concatenate([truth, continued(truth)])
    places = np.concatenate([sites, cage_centres(sites)])
    far = np.asarray(cKDTree(places).query(judged)[0]) > TOLERANCE_PX
    precision = 1.0 - float(far.mean()) if len(judged) else 0.0
    return Line(
        case="pto_sro: A-sites; what is neither there nor in a cage centre is false",
        ask="recall 0.97, precision 0.95",
        atoms=len(truth),
        found=len(found),
        recall=recall,
        precision=precision,
        f1=2 * recall * precision / max(recall + precision, 1e-9),
        seconds=seconds,
        sentence=sentence,
    )


def continued(sites: Floats) -> Floats:
    """Return the sites one step beyond the edge of a lattice: each neighbour seen from the other.

    Parameters
    ----------
    sites : (N, 2) array
        x, y in px.
    """
    tree, side, first, second = _neighbours(sites, DIAGONAL[0])
    beyond: Floats = np.concatenate([2 * first - second, 2 * second - first])
    far = np.asarray(tree.query(beyond)[0]) > 0.5 * side
    outside: Floats = beyond[far]
    return outside


def _neighbours(sites: Floats, reach: float) -> tuple[cKDTree, float, Floats, Floats]:
    """Return a tree of the sites, the side of a cell, and all pairs within `reach` sides."""
    tree = cKDTree(sites)
    side = float(np.median(np.asarray(tree.query(sites, k=2)[0])[:, 1]))
    pairs = tree.query_pairs(reach * side, output_type="ndarray")
    return tree, side, sites[pairs[:, 0]], sites[pairs[:, 1]]


def cage_centres(sites: Floats) -> Floats:
    """Return the middles of the cells of a nearly square lattice, from its diagonals.

    Parameters
    ----------
    sites : (N, 2) array
        x, y in px.
    """
    tree, side, first, second = _neighbours(sites, DIAGONAL[1])
    middle = (first + second) / 2
    long = np.hypot(*(first - second).T) > DIAGONAL[0] * side
    # The middle of a diagonal is empty; that of two sites beyond a third is not.
    empty = np.asarray(tree.query(middle)[0]) > 0.5 * side
    centres: Floats = middle[long & empty]
    return centres


def _graphene(model: Model, data: Path) -> Line:
    frame, labels = read_image(data, GRAPHENE)
    truth = positions(labels)
    found, sentence, seconds = _look(model, frame, "dark")
    return _line(
        "graphene_flower: dark atoms, labelled area",
        "F1 0.85",
        count(found, truth, TOLERANCE_PX, LABELLED),
        seconds,
        sentence,
    )


def _lone(model: Model, data: Path) -> Line:
    total, seconds, sentence = Counts(), 0.0, ""
    for name in (name for names in FIELDS for name in names):
        frame, labels = read_ptnc(data, name)
        truth = positions(labels)
        found, sentence, took = _look(model, frame, "bright")
        total += count(found, truth, LONE_TOLERANCE_PX)
        seconds += took
    return _line("ptnc_haadf: single Pt atoms, eleven images", "F1 0.6", total, seconds, sentence)


def _simulated(model: Model, frames: int) -> list[Line]:
    """Score held-out simulated frames in three groups."""
    groups: dict[str, Counts] = {}
    seconds: dict[str, float] = {}
    for pair in held_out_frames(ZooSettings(), frames, SEED):
        group = _group(str((pair.simulation or {})[KEY]["kind"]))
        shown = shown_channels(pair) or CHANNELS
        polarity: Polarity = "dark" if shown[0] == "dark" else "bright"
        found, _, took = _look(model, pair.frame, polarity)
        tolerance = max(1.5, disc_radius_px(pair) or 0.0)
        counts = count(found, positions(pair.atoms), tolerance)
        groups[group] = groups.get(group, Counts()) + counts
        seconds[group] = seconds.get(group, 0.0) + took
    return [
        _line(f"simulated, held out: {name}", "", groups[name], seconds[name], "")
        for name in sorted(groups)
    ]


def _group(kind: str) -> str:
    if kind in ("scattered", "empty"):
        return "lone atoms and none"
    return "crystals and random lattices"


def _line(case: str, ask: str, counts: Counts, seconds: float, sentence: str) -> Line:
    return Line(
        case=case,
        ask=ask,
        atoms=counts.there,
        found=counts.found,
        recall=counts.recall,
        precision=counts.precision,
        f1=counts.f1,
        seconds=seconds,
        sentence=sentence,
    )
