"""``apgan bench paper``: search what the paper leaves to its supplement, on a reduced twin.

The `paper` preset costs hours a training on a CPU. Its twin has fewer and narrower blocks, a
smaller discriminator and smaller crops, and sees a fixed number of them; what is searched is the
same: rates, batch, weights of the losses, the discriminator's loss, block layout and disc radius.
The axes are taken one after the other. An alternative takes the place of the present value when it
is better for every seed, else the present value stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_apgan.elements import Element
from napari_apgan.maps import default_radius_px
from napari_apgan.measure import FrameToScore, score_frames
from napari_apgan.train import RunSettings

from .precision.cases import CaseData, adapted, elements_of, find_case, load_case
from .training import Machine, say, table, this_machine, train

CASE = "graphene-2.35"
#: Side of the simulated frames and of the crops, px.
FRAME_PX, CROP_PX = 128, 48
#: Frames to learn from, to choose the best weights on, and to score.
TRAIN, VALIDATION, TEST = 10, 2, 4
#: What an error of a whole tolerance costs beside F1, as when a trainer chooses its best weights.
ERROR_WEIGHT = 0.05
#: Validations of each training.
VALIDATIONS = 4

TWIN: dict[str, Any] = {
    "network": {"options": {"blocks": 4, "channels": 16}, "receptive_field_px": 35},
    "discriminator": {"options": {"widths": [8, 16, 32]}, "receptive_field_px": 29, "stride": 8},
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of one axis.

    Parameters
    ----------
    words : str
    recipe, network : mapping
        What it changes of the preset.
    radius : float, optional
        Disc radius in units of the distance between neighbours.
    of_the_paper : bool
        False where the text excludes it: shown, never chosen.
    """

    words: str
    recipe: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    radius: float | None = None
    of_the_paper: bool = True


def _weights(**weights: float) -> dict[str, Any]:
    return {"weights": weights}


#: Each axis: its name, then where the search begins, then the alternatives.
AXES: tuple[tuple[str, tuple[Choice, ...]], ...] = (
    (
        "learning rate",
        tuple(Choice(f"{r:g}", {"rate": r}) for r in (2e-4, 5e-4, 1e-3)),
    ),
    (
        "rate of the discriminator",
        tuple(Choice(f"{r:g}", {"discriminator_rate": r}) for r in (1e-4, 2e-5, 5e-4)),
    ),
    ("crops a step", tuple(Choice(str(n), {"batch": n}) for n in (2, 4))),
    (
        "adversarial weight",
        (
            *(Choice(f"{w:g}", _weights(adversarial=w)) for w in (0.01, 0.001, 0.1)),
            Choice("0 (no adversary)", _weights(adversarial=0.0), of_the_paper=False),
        ),
    ),
    ("MSE weight", tuple(Choice(f"{w:g}", _weights(mse=w)) for w in (0.0, 1.0, 10.0))),
    ("PSNR weight", tuple(Choice(f"{w:g}", _weights(psnr=w)) for w in (1.0, 0.3, 3.0))),
    (
        "discriminator's loss",
        tuple(
            Choice(words, {"discriminator_loss": form})
            for words, form in (("MSE", "mse"), ("cross-entropy", "cross_entropy"))
        ),
    ),
    ("Adam's first beta", tuple(Choice(f"{b:g}", {"betas": [b, 0.999]}) for b in (0.9, 0.5))),
    (
        "block layout",
        (
            Choice("as SRGAN"),
            Choice("ReLU behind additions", network={"options": {"activate": True}}),
            Choice("no long skip", network={"options": {"long_skip": False}}),
        ),
    ),
    (
        "disc radius, of the spacing",
        tuple(Choice(f"{r:g}", radius=r) for r in (0.25, 0.2, 0.3)),
    ),
)


class Row(BaseModel):
    """How one value did: F1, mean radial error and skill of the test's map positions, by seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    axis: str
    value: str
    f1: tuple[float, ...]
    error_pm: tuple[float | None, ...]
    skill: tuple[float | None, ...]
    worth: tuple[float, ...]
    start: bool = False
    chosen: bool = False


class PaperSearch(BaseModel):
    """The search and what came out of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    crops: int
    seeds: tuple[int, ...]
    trainings: int
    seconds: float
    no_information_pm: float | None
    rows: list[Row]
    chosen: dict[str, str]

    def report(self) -> str:
        """Return the table, and under it what was searched on."""
        heads = ["", "value", "F1", "error (pm)", "skill"]
        cells = []
        for row in self.rows:
            words = row.value + (", start" if row.start else "")
            words = f"**{words}**" if row.chosen else words
            cells.append(
                [
                    row.axis if row.start else "",
                    words,
                    _each(row.f1, 3),
                    _each(row.error_pm, 2),
                    _each(row.skill, 2),
                ]
            )
        blind = "" if self.no_information_pm is None else f"{self.no_information_pm:.2f}"
        return (
            f"{table(heads, cells)}\n\n"
            f"Bold: kept. Seeds {', '.join(map(str, self.seeds))}; {self.crops} crops of "
            f"{CROP_PX} px a training; the undisplaced lattice errs by {blind} pm. "
            f"{self.trainings} trainings, {self.seconds:.0f} s in all.\n{self.machine}."
        )


def _each(values: Sequence[float | None], digits: int) -> str:
    return " / ".join("–" if v is None else f"{v:.{digits}f}" for v in values)


class Search:
    """The frames, and trainings of the twin on them.

    Parameters
    ----------
    folder : Path
        Runs and simulated frames are kept here; finished runs are used again.
    crops : int
        Shown in each training, whatever the batch.
    seeds : sequence of int
    threads : int, optional
    """

    def __init__(
        self, folder: Path, crops: int, seeds: Sequence[int], threads: int | None = None
    ) -> None:
        self.folder, self.crops, self.seeds, self.threads = folder, crops, seeds, threads
        case = adapted(find_case(CASE), engine="fast", shape=(FRAME_PX, FRAME_PX))
        self.data: CaseData = load_case(
            case,
            cache=folder / "frames",
            n_train=TRAIN,
            n_validation=VALIDATION,
            n_test=TEST,
            n_probes=0,
        )
        radii = [default_radius_px(p.pair.atoms) for p in self.data.train]
        self._spacing_pm = 4 * float(np.mean(radii)) * case.settings.pixel_size_pm
        self.trainings, self.seconds = 0, 0.0
        self.no_information_pm: float | None = None

    def elements(self, radius: float) -> list[Element]:
        """Return the case's elements with discs of a radius in units of the spacing."""
        return [
            e.model_copy(update={"radius_pm": radius * self._spacing_pm})
            for e in elements_of(self.data.case)
        ]

    def settings(self, choices: Sequence[Choice], seed: int) -> RunSettings:
        """Return the settings of the twin with a value for every axis."""
        recipe: dict[str, Any] = {"weights": {}}
        network: dict[str, Any] = {"options": dict(TWIN["network"]["options"])}
        for choice in choices:
            weights = recipe["weights"] | choice.recipe.get("weights", {})
            recipe |= choice.recipe | {"weights": weights}
            network["options"] |= choice.network.get("options", {})
        steps = self.crops // int(recipe["batch"])
        recipe |= {"crop_px": CROP_PX, "validate_every": max(1, steps // VALIDATIONS)}
        return RunSettings(
            preset="paper",
            steps=steps,
            device="cpu",
            seed=seed,
            threads=self.threads,
            recipe=recipe,
            network=TWIN["network"] | network,
            discriminator=TWIN["discriminator"],
        )

    def row(self, axis: str, value: Choice, choices: Sequence[Choice], *, start: bool) -> Row:
        """Train with a value of every axis, once a seed, and score the test."""
        radius = next(c.radius for c in reversed(choices) if c.radius is not None)
        results = [self._one(choices, radius, seed) for seed in self.seeds]
        f1, error, skill, worth = zip(*results, strict=True)
        return Row(
            axis=axis,
            value=value.words,
            f1=f1,
            error_pm=error,
            skill=skill,
            worth=worth,
            start=start,
        )

    def _one(
        self, choices: Sequence[Choice], radius: float, seed: int
    ) -> tuple[float, float | None, float | None, float]:
        from napari_apgan.predict.inference import predict_frame

        settings = self.settings(choices, seed)
        words = "+".join(c.words for c in choices)
        trained = train(
            [p.pair for p in self.data.train],
            self.folder / "runs" / f"{_file_name(words)}-{seed}",
            settings,
            self.elements(radius),
            validation=[p.pair for p in self.data.validation],
        )
        self.trainings += 1
        self.seconds += trained.seconds
        frames = [
            FrameToScore(
                predict_frame(trained.model, p.pair.frame, refine=False, device="cpu").atoms,
                p.pair.atoms,
                None,
                p.undisplaced,
                p.pair.frame.calibration,
            )
            for p in self.data.test
        ]
        case = self.data.case
        score = score_frames(frames, tolerance_px=case.tolerance_px)
        blind = None if score.no_information is None else score.no_information.error_mean_pm
        self.no_information_pm = None if blind is None else blind.value
        found = score.location_only
        f1 = 0.0 if found.f1 is None else found.f1.value
        error = None if found.error_mean_pm is None else found.error_mean_pm.value
        skill = None if found.skill is None else found.skill.value
        tolerance_pm = case.tolerance_px * case.settings.pixel_size_pm
        worth = f1 - ERROR_WEIGHT * (1.0 if error is None else error / tolerance_pm)
        return f1, error, skill, worth


def _file_name(words: str) -> str:
    """Return a short name of a folder for a set of values."""
    import hashlib

    return hashlib.sha256(words.encode()).hexdigest()[:12]


def better(new: Row, old: Row) -> bool:
    """Whether a value is better than another for every seed."""
    return min(new.worth) > max(old.worth)


def search(
    folder: Path,
    *,
    crops: int = 600,
    seeds: Sequence[int] = (0, 1),
    threads: int | None = None,
    axes: Sequence[tuple[str, tuple[Choice, ...]]] = AXES,
) -> PaperSearch:
    """Search axis by axis, each from the best of those before.

    Parameters
    ----------
    folder : Path
    crops : int
        Shown in each training.
    seeds : sequence of int
        At least two, so that chance can be told from gain.
    threads : int, optional
    axes : sequence
        What is searched; the first value of each is where it begins.
    """
    machine = this_machine()
    bench = Search(folder, crops, seeds, threads)
    present = [values[0] for _, values in axes]
    rows: list[Row] = []
    base: Row | None = None
    for k, (axis, values) in enumerate(axes):
        if base is None:
            base = bench.row(axis, values[0], present, start=True)
        tried = [base.model_copy(update={"axis": axis, "value": values[0].words, "start": True})]
        for value in values[1:]:
            say(f"{axis}: {value.words}")
            choices = [*present[:k], value, *present[k + 1 :]]
            tried.append(bench.row(axis, value, choices, start=False))
        best = 0
        for n, (value, row) in enumerate(zip(values, tried, strict=True)):
            over = np.mean(row.worth) > np.mean(tried[best].worth)
            if value.of_the_paper and over and better(row, tried[0]):
                best = n
        present[k], base = values[best], tried[best]
        tried[best] = base.model_copy(update={"chosen": True})
        rows += tried
    return PaperSearch(
        machine=machine,
        crops=crops,
        seeds=tuple(seeds),
        trainings=bench.trainings,
        seconds=bench.seconds,
        no_information_pm=bench.no_information_pm,
        rows=rows,
        chosen={axis: value.words for (axis, _), value in zip(axes, present, strict=True)},
    )
