"""Where predictions lie in a project, and where the helper finds the images."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from napari_apgan.errors import UserError
from napari_apgan.predict.protocol import Result, SourceRef
from napari_apgan.project import Project
from napari_apgan.project.folder import PredictionFiles
from napari_apgan.train.words import duration

Place = tuple[str, int]


@dataclass
class Wish:
    """One request under way.

    Parameters
    ----------
    run_id : str
        Whose model predicts.
    source_id : str
    n_frames : int
    by_itself : bool
        Asked by the window, not by the user: nothing is said when it is done.
    notes : set of str
        What is said with the last frame.
    """

    run_id: str
    source_id: str
    n_frames: int
    by_itself: bool
    begun: float = field(default_factory=time.monotonic)
    finished: int = 0
    notes: set[str] = field(default_factory=set)

    def how_far(self) -> str:
        """Say which frame is worked on, and how long the others will take."""
        text = f"Frame {min(self.finished + 1, self.n_frames)} of {self.n_frames}"
        if self.finished:
            each = (time.monotonic() - self.begun) / self.finished
            text += f", {duration(each * (self.n_frames - self.finished))} left"
        return text

    def outcome(self, seconds: float) -> str:
        """Say what was done."""
        frames = "The frame is" if self.n_frames == 1 else f"{self.n_frames} frames are"
        return " ".join([f"{frames} predicted in {duration(seconds)}.", *sorted(self.notes)])


def reference_to(project: Project, source_id: str) -> SourceRef:
    """Say where the helper finds an image of the project.

    Raises
    ------
    UserError
        When no file holds it, or the file is gone.
    """
    record = project.record(source_id)
    candidates = [project.path / record.path] if record.path else []
    candidates += [Path(record.absolute_path)] if record.absolute_path else []
    path = next((p for p in candidates if p.is_file()), None)
    if path is None:
        raise UserError(
            f"{record.name} is in memory only and too large for a copy in the project: save it "
            "as a file and open that, then it can be predicted."
            if not candidates
            else f"{record.name} is not where it was ({candidates[-1]}): put the file back."
        )
    return SourceRef(
        path=str(path),
        dataset="" if record.stored else record.dataset,
        missing=record.missing,
        calibration=project.calibration(source_id),
    )


def file_away(result: Result, files: PredictionFiles) -> None:
    """Put result files where the project looks for them; the table last, since it is asked for."""
    files.folder.mkdir(parents=True, exist_ok=True)
    for made, place in (
        (result.deviation, files.deviation),
        (result.maps, files.maps),
        (result.atoms, files.atoms),
    ):
        if made is None:
            place.unlink(missing_ok=True)
        elif Path(made) != place:
            Path(made).replace(place)


def is_newer(files: PredictionFiles, weights: Path) -> bool:
    """Whether a prediction was made with the weights as they are now."""
    try:
        return files.atoms.stat().st_mtime_ns >= weights.stat().st_mtime_ns
    except OSError:
        return False


def predicted_in(project: Project, run_id: str) -> list[Place]:
    """Return (source id, frame) of everything that a run's model has predicted."""
    found: list[Place] = []
    for record in project.sources:
        folder = project.prediction_files(run_id, record.id, 0).folder
        numbers = sorted(int(p.name.split(".")[0]) for p in folder.glob("[0-9]*.atoms.csv"))
        found += [(record.id, n) for n in numbers if n < record.n_frames]
    return found
