"""What a user chooses before a training."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_apgan.errors import UserError
from napari_apgan.models.presets import get_preset
from napari_apgan.models.recipe import Coding, Preset
from napari_apgan.simulate.settings import SimulationSettings
from napari_apgan.simulate.zoo_settings import ZooSettings


class RunSettings(BaseModel):
    """What a user chooses before a training; everything has a default.

    Parameters
    ----------
    preset : str
        Key of :data:`napari_apgan.models.presets.PRESETS`.
    minutes, epochs, steps : optional
        The budget, instead of the preset's; give one.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    seed : int
        Of everything random; on the CPU the same seed gives the same model, as long as the budget
        is not in minutes.
    init : str
        ``scratch``, ``bundled``, a model file or a run folder to continue from.
    validation : float
        Fraction of the labelled atoms kept for validation where the user marked no held-out region
        and gave no validation pairs.
    pixel_size_pm : float, optional
        Pixel size to train at; by default the pairs' own (their median where they differ), or that
        of the model continued from.
    threads : int, optional
        CPU threads; by default all, at low priority.
    preview : str
        Name of the pair whose map is drawn while training; the first when empty.
    stream : SimulationSettings or ZooSettings, optional
        Frames simulated while the training runs, each with structure, view and noise of its own;
        of one kind, or of everything there is.
    stream_share : float
        Part of every batch that comes from them: 0.5 mixes simulated and labelled frames half and
        half, as Chen et al. 2023 do; at 1 the labelled frames only validate.
    coding : {"elements", "rgb"}
        What the network draws: one map per element, or, as Chen et al. 2023, one picture in which
        at most three elements have colours. Either way it is read as one map per element.
    recipe : mapping
        Fields of :class:`~napari_apgan.models.recipe.Recipe` to change (advanced).
    network, discriminator : mapping
        Fields of the preset's :class:`~napari_apgan.models.recipe.NetworkSpec` to change, such as
        ``{"options": {"blocks": 5}, "receptive_field_px": 39}`` (advanced).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = "fast"
    minutes: float | None = Field(default=None, gt=0)
    epochs: int | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0)
    device: str = "auto"
    seed: int = Field(default=0, ge=0, lt=2**63)
    init: str = "scratch"
    validation: float = Field(default=0.2, gt=0, lt=1)
    pixel_size_pm: float | None = Field(default=None, gt=0)
    threads: int | None = Field(default=None, gt=0)
    preview: str = ""
    stream: SimulationSettings | ZooSettings | None = None
    stream_share: float = Field(default=0.5, gt=0, le=1)
    coding: Coding = "elements"
    recipe: dict[str, Any] = Field(default_factory=dict)
    network: dict[str, Any] = Field(default_factory=dict)
    discriminator: dict[str, Any] = Field(default_factory=dict)

    def chosen_preset(self) -> Preset:
        """Return the preset with the user's budget and changes.

        Raises
        ------
        UserError
            When there is no such preset, or a change does not fit.
        """
        preset = get_preset(self.preset)
        budget = {"minutes": self.minutes, "epochs": self.epochs, "steps": self.steps}
        fields = preset.model_dump()
        if any(value is not None for value in budget.values()):
            fields["recipe"].update(budget)
        fields["network"]["coding"] = self.coding
        changes = {"recipe": self.recipe, "network": self.network}
        if self.discriminator:
            if preset.discriminator is None:
                raise UserError(
                    f"The preset {self.preset!r} has no discriminator whose settings could change."
                )
            changes["discriminator"] = self.discriminator
        try:
            preset = Preset.model_validate(_merge(fields, changes))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]).removeprefix("recipe.")
            raise UserError(
                f"The training setting {where!r} does not fit: {first['msg']}."
            ) from error
        recipe = preset.recipe
        if recipe.minutes is recipe.epochs is recipe.steps is None:
            raise UserError("The training has no end: give it minutes, epochs or steps.")
        return preset


def _merge(fields: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `fields` with `changes`, going into nested groups."""
    merged = dict(fields)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = (
            _merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
        )
    return merged
