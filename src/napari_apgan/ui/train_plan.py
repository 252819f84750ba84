"""What the next training will be: what it lacks, what it starts from, how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_apgan.errors import UserError
from napari_apgan.io import Pair
from napari_apgan.models.bundled import BUNDLED, bundled_path
from napari_apgan.models.card import read_card
from napari_apgan.models.presets import PRESETS
from napari_apgan.project import Project, Session
from napari_apgan.regions import Region, learn_mask
from napari_apgan.train.settings import RunSettings

from .train_mix import Mixing
from .train_monitor import folders
from .train_panels import Advanced, Choices
from .train_words import (
    BUDGET,
    NO_REGION,
    NOTHING_CHOSEN,
    NOTHING_LABELLED,
    budget,
    estimate,
    estimate_sentence,
    half_budget,
    measured_step_s,
    usual_step_s,
)

Place = tuple[str, int]


class TrainPlan:
    """Turns what was chosen in the Train tab into the settings of a run.

    Parameters
    ----------
    session : Session
    choices : Choices
    advanced : Advanced
    mixing : Mixing
    """

    def __init__(
        self, session: Session, choices: Choices, advanced: Advanced, mixing: Mixing
    ) -> None:
        self._session, self._choices, self._advanced = session, choices, advanced
        self._mixing = mixing

    def settings(self, project: Project, warm: bool | None = None) -> RunSettings:
        """Return the settings of the next run.

        Parameters
        ----------
        project : Project
        warm : bool, optional
            Continue from the last model where there is a fitting one, else from the bundled one
            where that fits; by default as chosen.

        Raises
        ------
        UserError
            When a field holds what does not fit.
        """
        fields: dict[str, Any] = self._advanced.run_form.values()
        weights = self._advanced.loss_form.values()
        if weights:
            fields["recipe"] = {"weights": weights}
        if (streamed := self._mixing.streamed) is not None:
            fields["stream"] = streamed
        init = self._advanced.init
        if warm is not None:
            init = self.warm_start(project) or self.bundled_start() if warm else "scratch"
        if self.goes_on(project, init) and not any(name in fields for name in BUDGET):
            fields.update(half_budget(PRESETS[self._choices.preset_name]))
        return RunSettings(
            preset=self._choices.preset_name,
            device=self._choices.device_name,
            init=init or "scratch",
            **fields,
        )

    def warm_start(self, project: Project) -> str:
        """Return the model in use, or the newest run's, if it fits the preset; else nothing."""
        kind = PRESETS[self._choices.preset_name].network.kind
        runs = [r.path for r in reversed(folders(project.runs())) if r.best_model is not None]
        model = self._session.model
        for path in [*([model] if model is not None else []), *runs]:
            try:
                card = read_card(path)
            except UserError:
                continue
            if card.network.kind == kind:
                return str(path)
        return ""

    def bundled_start(self) -> str:
        """Return ``bundled`` if the network that comes with the package fits the preset."""
        wanted = PRESETS[self._choices.preset_name].network
        try:
            there = read_card(bundled_path()).network
        except UserError:
            return ""  # this installation lacks it
        fits = there.kind == wanted.kind and there.options == wanted.options
        return BUNDLED if fits else ""

    def goes_on(self, project: Project, init: str) -> bool:
        """Whether a training goes on from a model that has learned from this project before."""
        return init not in ("", "scratch", BUNDLED) and init == self.warm_start(project)

    def estimate(self, project: Project, best_device: str) -> str:
        """Say how long the next training takes, and show what empty fields stand for.

        Parameters
        ----------
        project : Project
        best_device : str
            What automatic takes.

        Raises
        ------
        UserError
            When a field holds what does not fit.
        """
        form = self._advanced.run_form
        settings = self.settings(project)
        preset = settings.chosen_preset()
        goes_on = self.goes_on(project, settings.init)
        usual = (half_budget if goes_on else budget)(PRESETS[preset.name])
        form.set_defaults({**RunSettings().model_dump(), **usual})
        weights = PRESETS[preset.name].recipe.weights
        self._advanced.loss_form.set_defaults(weights.model_dump())
        device = self._choices.device_name
        measured = measured_step_s(folders(project.runs()), preset.name)
        step_s = measured or usual_step_s(preset.name, best_device if device == "auto" else device)
        first, whole = estimate(preset, step_s, labelled_px(project))
        halved = goes_on and not any(name in form.values() for name in BUDGET)
        return estimate_sentence(
            first,
            whole,
            measured=measured is not None,
            halved=halved,
            bundled=settings.init == BUNDLED,
        )


def lacking(project: Project | None) -> str:
    """Say what a training needs before it can start; empty when it can."""
    if project is None or not project.frames_with_labels():
        return NOTHING_LABELLED
    places = project.frames_with_labels()
    complete = [p for p in places if complete_regions(project, p)]
    if not complete:
        return NO_REGION
    chosen = {(p.source_id, p.frame) for p in project.pairs}
    if not chosen & set(complete):
        return NOTHING_CHOSEN
    if not any(
        region.contains(project.atoms(*place)[["x_px", "y_px"]].to_numpy()).any()
        for place in complete
        if place in chosen
        for region in complete_regions(project, place)
    ):
        return (
            "The complete regions of the chosen frames hold no atoms: label those inside, or "
            "draw the region where the labels are (R)."
        )
    return ""


def preview_name(project: Project, pairs: Sequence[Pair], here: Place) -> str:
    """Return the name of the pair that shows a frame, if it is learned from; else nothing."""
    places = [(p.source_id, p.frame) for p in project.pairs]
    learned = [p for p in places if complete_regions(project, p)]
    names = dict(zip(learned, pairs, strict=True))
    return names[here].name if here in names else ""


def complete_regions(project: Project, place: Place) -> list[Region]:
    """Return the regions of a frame in which every atom is labelled."""
    return [r for r in project.regions(*place) if r.kind == "complete"]


def labelled_px(project: Project) -> float:
    """Area in px² of the complete regions of the training set."""
    total = 0.0
    for pair in project.pairs:
        regions = project.regions(pair.source_id, pair.frame)
        shape = project.record(pair.source_id).shape
        total += float(learn_mask(regions, shape).sum())
    return total
