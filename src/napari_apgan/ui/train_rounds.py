"""Rounds of the loop: recorded when a training ends, completed when its predictions are there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io import read_atoms
from napari_apgan.project import Project, Round
from napari_apgan.train.events import Done, Validated
from napari_apgan.train.runfolder import RunFolder

if TYPE_CHECKING:
    from napari_apgan.review.rounds import RoundChange


def record_round(project: Project, run: RunFolder) -> Round | None:
    """Write down what a finished training gained; None when it has no model or is recorded."""
    if run.best_model is None or project.read_only:
        return None
    known = project.rounds
    if any(r.run_id == run.path.name for r in known):
        return None
    file = run.run_file
    record = Round(
        number=max((r.number for r in known), default=0) + 1,
        run_id=run.path.name,
        pairs=len(file.pairs),
        atoms=sum(p.atoms for p in file.pairs),
        validation_score=_agreement(run),
        time=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    project.add_round(record)
    return record


def _agreement(run: RunFolder) -> float | None:
    """Return the F1 on held-out labels of the best model; None where no labels were held out."""
    done = run.last(Done)
    score = done.score if isinstance(done, Done) else None
    if score is None:
        best = [e for e in run.events() if isinstance(e, Validated) and e.best]
        score = best[-1].score if best else None
    return None if score is None or score.split in ("none", "simulated") else score.f1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two rounds' predictions of the same frames, as files.

    Parameters
    ----------
    run_id : str
        Of the later round.
    tables : tuple of (Path, Path, Calibration)
        Earlier and later atom table, and the frame's pixel size.
    """

    run_id: str
    tables: tuple[tuple[Path, Path, Calibration], ...]

    def compare(self) -> RoundChange | None:
        """Read and compare them; None where nothing can be compared. Needs no project."""
        from napari_apgan.review.rounds import compare_rounds  # scipy.optimize: not at opening

        before, after, scales = [], [], []
        for old, new, scale in self.tables:
            try:
                pair = read_atoms(old), read_atoms(new)
            except UserError:
                continue  # a damaged prediction says nothing about the round
            if all(len(table) for table in pair):
                before.append(pair[0])
                after.append(pair[1])
                scales.append(scale)
        return compare_rounds(before, after, calibration=scales) if before else None


def comparison(project: Project, run_id: str) -> Comparison | None:
    """Find the frames that a run and the round before it have both predicted."""
    rounds = project.rounds
    at = next((i for i, r in enumerate(rounds) if r.run_id == run_id), 0)
    if at == 0:
        return None
    found: list[tuple[Path, Path, Calibration]] = []
    for record in project.sources:
        old_folder = project.prediction_files(rounds[at - 1].run_id, record.id, 0).folder
        new_folder = project.prediction_files(run_id, record.id, 0).folder
        for old in sorted(old_folder.glob("[0-9]*.atoms.csv")):
            if (new_folder / old.name).is_file():
                found.append((old, new_folder / old.name, project.calibration(record.id)))
    return Comparison(run_id, tuple(found)) if found else None


def complete_round(project: Project, run_id: str, change: RoundChange) -> None:
    """Write into a round's record how far the positions moved."""
    known = next((r for r in project.rounds if r.run_id == run_id), None)
    if known is None or project.read_only:
        return
    record = known.model_copy(update={"moved_px": change.moved_px, "moved_pm": change.moved_pm})
    if record != known:
        project.add_round(record)
