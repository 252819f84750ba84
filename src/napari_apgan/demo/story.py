"""The whole loop on the embedded sample: label, train, predict, score, correct, train again."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_apgan.elements import Element, make_elements
from napari_apgan.errors import UserError
from napari_apgan.io import open_source, write_pairs
from napari_apgan.measure import FrameToScore, Score, score_frames
from napari_apgan.project import Project, Round
from napari_apgan.regions import Region
from napari_apgan.settings import write_atomically
from napari_apgan.simulate import Sample, make_sample
from napari_apgan.train import RunFolder, RunSettings, launch, prepare_run
from napari_apgan.train.words import outcome_sentence

from . import user

Say = Callable[[str], None]

#: Frames of the sample: two to label, three where the worst is sent back, three frozen for the
#: score, which no decision looks at.
LABELLED, POOL, FROZEN = (0, 1), (2, 3, 4), (5, 6, 7)
#: var(signal) / var(noise) of the frames: a good HAADF image at a usual dose.
SNR = 8.0
#: A match lies within this distance: a quarter of the distance between Ti and its neighbours.
TOLERANCE_PX = 2.4
#: What the user labels of a frame: this box, in px.
LABEL_BOX = (8.5, 8.5, 150.5, 150.5)


@dataclass
class DemoResult:
    """What the demonstration measured.

    Parameters
    ----------
    folder, project : Path
        Where its files are.
    first, second : Score
        On the frozen frames, after the first and the second training.
    worst : str
        The frame that was sent back.
    acts : dict
        What its correction took.
    seconds : float
        The whole demonstration.
    figures : list of Path
    """

    folder: Path
    project: Path
    first: Score
    second: Score
    worst: str
    acts: dict[str, int]
    seconds: float
    figures: list[Path] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return the result as JSON-able values."""
        return {
            "folder": str(self.folder),
            "project": str(self.project),
            "first": self.first.model_dump(mode="json"),
            "second": self.second.model_dump(mode="json"),
            "worst_frame": self.worst,
            "acts": self.acts,
            "seconds": round(self.seconds, 1),
            "figures": [str(f) for f in self.figures],
        }


def make_project(folder: Path, seed: int) -> tuple[Project, Sample, list[str]]:
    """Write the sample's frames and truth, and open them as a project in the paper's colours."""
    sample = make_sample(seed=seed, n_frames=len(LABELLED + POOL + FROZEN), snr=SNR)
    write_pairs(sample.pairs, folder / "truth")
    project = Project.create(folder / "demo.apgan", make_elements(["Pb", "Sr", "Ti"], "paper"))
    ids = [
        project.add_source(
            open_source(folder / "truth" / f"{pair.name}.tif", calibration=pair.frame.calibration)
        )
        for pair in sample.pairs
    ]
    return project, sample, ids


def label_as_a_user(
    project: Project, sample: Sample, ids: list[str], rng: np.random.Generator
) -> int:
    """Click the atoms of one box on each frame that is labelled first; returns how many."""
    clicks = 0
    for number in LABELLED:
        pair, region = sample[number], Region.rectangle(*LABEL_BOX)
        clicked = user.click_atoms(pair.frame, user.inside_of(pair.atoms, region), rng)
        clicks += len(project.add_atoms(ids[number], 0, clicked))
        project.add_region(ids[number], 0, region)
        project.add_pair(ids[number], 0)
    return clicks


def train_round(project: Project, minutes: float, *, seed: int, init: str = "scratch") -> RunFolder:
    """Train on the project's training set, wait, and return the run.

    Raises
    ------
    UserError
        When the training failed.
    """
    run_dir = project.new_run_dir()
    settings = RunSettings(preset="fast", minutes=minutes, seed=seed, init=init)
    prepare_run(project.training_pairs(), run_dir, settings, project.elements)
    trainer = launch(run_dir)
    if trainer.wait() != "done":
        raise UserError(f"The training of the demonstration failed: {trainer.folder.message()}")
    return trainer.folder


def record_round(project: Project, run: RunFolder) -> None:
    """Write down what the round was trained on and how it agrees with the held-out labels."""
    from napari_apgan.models.card import read_card

    card = read_card(run.path)
    project.add_round(
        Round(
            number=project.next_round,
            run_id=run.path.name,
            pairs=len(project.pairs),
            atoms=sum(project.count_atoms(p.source_id, p.frame) for p in project.pairs),
            validation_score=card.score.f1 if card.score else None,
        )
    )


def run_demo(
    folder: Path, *, seed: int = 0, minutes: float = 0.6, say: Say = lambda _: None
) -> DemoResult:
    """Do the whole main job without a screen.

    Parameters
    ----------
    folder : Path
        Made, or emptied of an earlier demonstration.
    seed : int
    minutes : float
        Budget of the first training; the second gets two thirds of it.
    say : callable
        Gets a sentence about every step.

    Raises
    ------
    UserError
        When `folder` holds something else.
    """
    begun = time.monotonic()
    _prepare(folder)
    rng = np.random.default_rng(seed)
    project, sample, ids = make_project(folder, seed)
    with project:
        clicks = label_as_a_user(project, sample, ids, rng)
        say(
            f"Made {len(sample)} frames of a PbTiO3/SrTiO3 multilayer and labelled {clicks} atoms "
            f"on {len(LABELLED)} of them, as a user would: click and snap."
        )
        first_run = train_round(project, minutes, seed=seed)
        record_round(project, first_run)
        say(f"First training: {outcome_sentence(first_run)}")
        predictions = predict_all(project, sample, ids, first_run.path)
        first = score_frozen(sample, predictions)
        say(f"On {len(FROZEN)} frames that nothing has seen:\n{first.table()}")
        say(map_positions(sample, predictions))

        worst, reasons = worst_of_pool(project, sample, ids, predictions, first_run.path)
        atoms, acts = user.correct(
            sample[worst].frame, predictions[worst].atoms, sample[worst].atoms, TOLERANCE_PX, rng
        )
        project.add_atoms(ids[worst], 0, atoms.assign(round=1))
        project.add_region(ids[worst], 0, Region.whole(sample[worst].frame.shape))
        project.add_pair(ids[worst], 0)
        did = ", ".join(f"{n} {act}" for act, n in acts.items())
        why = f" ({reasons[0]})" if reasons else ""
        say(f"Worst of the other frames: {sample[worst].name}{why}. Corrected: {did}. Sent back.")

        second_run = train_round(
            project, minutes * 2 / 3, seed=seed + 1, init=str(first_run.path / "best.safetensors")
        )
        record_round(project, second_run)
        say(f"Second training, from the first one's model: {outcome_sentence(second_run)}")
        after = predict_all(project, sample, ids, second_run.path)
        second = score_frozen(sample, after)
        say(f"The same frames again:\n{second.table()}")
        say(map_positions(sample, after))
        project.update_settings(
            model=second_run.path.relative_to(project.path).as_posix() + "/best.safetensors",
            source_id=ids[worst],
            element="Ti",
        )
        result = DemoResult(folder, project.path, first, second, sample[worst].name, acts, 0.0)
        result.figures = draw(folder, sample, predictions, after, first, second, project.elements)
    result.seconds = time.monotonic() - begun
    say(improvement(first, second))
    write_atomically(folder / "result.json", json.dumps(result.summary(), indent=2))
    return result


def _prepare(folder: Path) -> None:
    """Make the folder; an earlier demonstration gives way, anything else does not."""
    if (folder / "demo.apgan").is_dir() or (folder / "truth").is_dir():
        if (folder / "demo.apgan").is_dir():
            Project.open(folder / "demo.apgan").close()  # refuses while a window has it open
        for name in ("demo.apgan", "truth", "figures"):
            shutil.rmtree(folder / name, ignore_errors=True)
    elif folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: choose another folder for the demonstration.")
    folder.mkdir(parents=True, exist_ok=True)


def predict_all(project: Project, sample: Sample, ids: list[str], run_dir: Path) -> dict[int, Any]:
    """Predict every frame that is not labelled, and keep the predictions in the project."""
    from napari_apgan.models.modelfile import load_model
    from napari_apgan.predict.files import write_prediction
    from napari_apgan.predict.inference import predict_frame

    model = load_model(run_dir / "best.safetensors")
    predictions: dict[int, Any] = {}
    for number in POOL + FROZEN:
        prediction = predict_frame(model, sample[number].frame)
        files = project.prediction_files(run_dir.name, ids[number], 0)
        write_prediction(files.folder, files.name, prediction)
        predictions[number] = prediction
    return predictions


def score_frozen(sample: Sample, predictions: dict[int, Any], *, from_map: bool = False) -> Score:
    """Score the frozen frames together, against the truth and the undisplaced lattice.

    The offered positions, or with `from_map` those read from the probability map alone.
    """
    frames = [
        FrameToScore(
            _at_map(predictions[n].atoms) if from_map else predictions[n].atoms,
            sample[n].atoms,
            undisplaced=sample.undisplaced[n],
            calibration=sample[n].frame.calibration,
            shape=sample[n].frame.shape,
        )
        for n in FROZEN
    ]
    return score_frames(frames, tolerance_px=TOLERANCE_PX)


def _at_map(atoms: pd.DataFrame) -> pd.DataFrame:
    return atoms.assign(x_px=atoms["x_map_px"], y_px=atoms["y_map_px"])


def map_positions(sample: Sample, predictions: dict[int, Any]) -> str:
    """Say how good the positions read from the map are, beside the offered ones.

    The map's are often nearer to the truth in strong noise, because the network expects a lattice:
    a gain below 1 is the price.
    """
    parts = []
    for row in score_frozen(sample, predictions, from_map=True).elements:
        if row.rmse_pm is not None and row.gain is not None:
            parts.append(f"{row.name} {row.rmse_pm.value:.1f} pm (gain {row.gain.value:.2f})")
    return "Read from the probability map alone, RMSE: " + ", ".join(parts) + "."


def worst_of_pool(
    project: Project, sample: Sample, ids: list[str], predictions: dict[int, Any], run_dir: Path
) -> tuple[int, tuple[str, ...]]:
    """Let the review, which knows no truth, name the worst frame and its reasons."""
    from napari_apgan.review.ranking import ReviewInput, rank
    from napari_apgan.review.reference import make_reference

    inputs = [ReviewInput(ids[n], sample[n].frame, predictions[n]) for n in POOL]
    reference = make_reference(project.training_pairs())
    worst = rank(inputs, reference, region_px=None)[0]
    return ids.index(worst.source_id), worst.reasons


def improvement(first: Score, second: Score) -> str:
    """Say in a sentence what sending one frame back gained, whichever way it went."""
    parts = []
    for label, unit, digits in (("f1", "", 4), ("rmse_pm", " pm", 2)):
        before, after = getattr(first.overall, label), getattr(second.overall, label)
        if before is not None and after is not None:
            name = "F1" if label == "f1" else "RMSE"
            parts.append(f"{name} {before.value:.{digits}f} → {after.value:.{digits}f}{unit}")
    return "Sending the worst frame back: " + ", ".join(parts) + "."


def draw(
    folder: Path,
    sample: Sample,
    before: dict[int, Any],
    after: dict[int, Any],
    first: Score,
    second: Score,
    elements: list[Element],
) -> list[Path]:
    """Draw the figures: a frame with its map and atoms, and the errors of both rounds."""
    from .figures import draw_errors, draw_frame

    number = FROZEN[0]
    return [
        draw_frame(folder / "figures" / "frame.png", sample[number], after[number], elements),
        draw_errors(
            folder / "figures" / "errors.png",
            [(sample[n], before[n].atoms, after[n].atoms) for n in FROZEN],
            (first, second),
            TOLERANCE_PX,
        ),
    ]
