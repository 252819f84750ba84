"""The twins of `fast` that ``apgan bench ablation`` compares: fields of the preset, no code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_apgan.errors import UserError
from napari_apgan.models.bundled import BUNDLED
from napari_apgan.train import RunSettings

from .precision.cases import Case

#: Budget of each training where none is asked for.
STEPS = 1500


@dataclass(frozen=True, slots=True)
class Twin:
    """One twin.

    Parameters
    ----------
    name : str
        For the command line.
    title : str
    recipe, network : mapping
        Fields of the preset that it changes.
    init : str
        What it starts from.
    stream_share : float
        Part of each batch that is simulated while it trains; 0: none.
    """

    name: str
    title: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    init: str = "scratch"
    stream_share: float = 0.0


def _loss(**weights: float) -> dict[str, Any]:
    return {"weights": weights}


def _changes(**augmentation: Any) -> dict[str, Any]:
    return {"augmentation": augmentation}


def _trunk(receptive_field_px: int, **options: Any) -> dict[str, Any]:
    return {"options": options, "receptive_field_px": receptive_field_px}


TWINS: tuple[Twin, ...] = (
    Twin("fast", "`fast`"),
    Twin("adversary", "with an adversary, weight 0.01", _loss(adversarial=0.01)),
    Twin("adversary-strong", "with an adversary, weight 0.1", _loss(adversarial=0.1)),
    Twin("ssim", "SSIM beside", _loss(ssim=1.0)),
    Twin("psnr", "PSNR beside", _loss(psnr=1.0)),
    Twin(
        "paper-loss",
        "adversarial 0.01 + SSIM + PSNR alone, as in the paper",
        _loss(adversarial=0.01, ssim=1.0, psnr=1.0, bce=0.0, mse=0.0),
    ),
    Twin("mse", "MSE in place of cross-entropy", _loss(bce=0.0, mse=1.0, peak_weight=0.0)),
    Twin("even", "discs weighted like background", _loss(peak_weight=0.0)),
    Twin("no-mask", "mask not read", network={"options": {"mask": False}}),
    Twin("plain", "no changes but mirrors and quarter turns", _changes(until=0.0)),
    Twin("changed", "changes in all crops to the end", _changes(enough_atoms=0, until=1.0)),
    Twin("fresh", "half of each batch simulated afresh", stream_share=0.5),
    Twin("bundled", "from the bundled start", init=BUNDLED),
    Twin("near", "sees 119 px", network=_trunk(119, dilations=(1, 1, 1, 1, 1, 1, 1))),
    Twin("far", "sees 263 px", network=_trunk(263, dilations=(1, 2, 4, 8, 16, 8, 4))),
    # As many operations as at half the resolution.
    Twin(
        "full",
        "trunk at full resolution, 16 wide",
        network=_trunk(175, fold=1, channels=16, dilations=(2, 4, 8, 16, 8, 4, 2)),
    ),
    Twin(
        "quarter",
        "trunk at a quarter of the resolution, 64 wide",
        network=_trunk(199, fold=4, channels=64, dilations=(1, 1, 2, 4, 2, 1, 1)),
    ),
)


@dataclass(frozen=True, slots=True)
class Budget:
    """What each training gets.

    Parameters
    ----------
    steps, minutes : optional
        :data:`STEPS` when neither is given.
    threads : int, optional
    """

    steps: int | None = None
    minutes: float | None = None
    threads: int | None = None


def settings_of(twin: Twin, case: Case, budget: Budget, seed: int) -> RunSettings:
    """Return the settings that train a twin."""
    steps = STEPS if budget.steps is budget.minutes is None else budget.steps
    stream: dict[str, Any] = {}
    if twin.stream_share:
        stream = {"stream": case.settings, "stream_share": twin.stream_share}
    return RunSettings(
        preset="fast",
        steps=steps,
        minutes=budget.minutes,
        device="cpu",
        seed=seed,
        init=twin.init,
        threads=budget.threads,
        recipe=dict(twin.recipe),
        network=dict(twin.network),
        **stream,
    )


def find_twins(names: Sequence[str]) -> tuple[Twin, ...]:
    """Return the twins of these names, `fast` first; all of them without names.

    Raises
    ------
    UserError
        When there is none of a name.
    """
    known = {twin.name: twin for twin in TWINS}
    for name in names:
        if name not in known:
            raise UserError(f"There is no twin {name!r}: choose from {', '.join(known)}.")
    return tuple(t for t in TWINS if not names or t.name in names or t is TWINS[0])
