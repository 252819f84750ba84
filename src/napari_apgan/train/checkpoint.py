"""The whole state of a training in one file, so that a resumed run goes on exactly. Imports torch.

One `.safetensors`: weights, optimiser moments and torch's generator as tensors; counters, numpy's
generator and options as JSON in its header. Nothing is pickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load, save
from torch import Tensor

from napari_apgan.errors import UserError
from napari_apgan.settings import write_atomically

from .dataset import Dataset
from .steps import Learner

_KEY = "apgan_checkpoint"


class Progress(BaseModel):
    """Where a training stands.

    Parameters
    ----------
    step : int
        Steps taken.
    elapsed_s : float
        Seconds spent training, over all resumes.
    best : float, optional
        Value of the best validation so far, see :func:`napari_apgan.train.validate.worth`.
    best_step : int
        When that was.
    stale : int
        Validations since then.
    validated_step : int
        When the last validation was.
    rate_factor : float
        What roll-backs have made of the learning rate.
    batch : int
        Crops a step, fewer after memory ran out.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    step: int = 0
    elapsed_s: float = 0.0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    validated_step: int = -1
    rate_factor: float = 1.0
    batch: int = Field(default=1, gt=0)


def snapshot(learner: Learner) -> dict[str, Tensor]:
    """Copy all weights and moments to the CPU."""
    state: dict[str, Tensor] = {}
    for name, module in _modules(learner).items():
        for key, value in module.state_dict().items():
            state[f"{name}.{key}"] = value
    for name, optimiser in _optimisers(learner).items():
        for number, moments in optimiser.state_dict()["state"].items():
            for key, value in moments.items():
                state[f"{name}.{number}.{key}"] = torch.as_tensor(value)
    return {
        k: v.detach().to("cpu", copy=True).contiguous(memory_format=torch.contiguous_format)
        for k, v in state.items()
    }


def restore(learner: Learner, state: dict[str, Tensor]) -> None:
    """Put a snapshot back; `KeyError` or `RuntimeError` when it is of another network."""
    for name, module in _modules(learner).items():
        module.load_state_dict(_below(state, name))
    for name, optimiser in _optimisers(learner).items():
        moments: dict[int, dict[str, Tensor]] = {}
        parameters = [p for g in optimiser.param_groups for p in g["params"]]
        for key, value in _below(state, name).items():
            number, _, what = key.partition(".")
            parameter = parameters[int(number)]
            if value.shape == parameter.shape and value.ndim == 4:
                # In the memory layout of the weights, so that sums round alike after a resume.
                value = value.contiguous(memory_format=torch.channels_last)
            moments.setdefault(int(number), {})[what] = value.clone()
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})


def save_checkpoint(path: Path, learner: Learner, dataset: Dataset, progress: Progress) -> None:
    """Write the state so that a crash leaves either the old or the new file."""
    state = snapshot(learner)
    state["torch_generator"] = torch.get_rng_state()
    about = {
        "schema_version": 1,
        "progress": progress.model_dump(),
        "numpy_generator": dataset.rng.bit_generator.state,
        "n_averaged": learner.n_averaged,
        "simulated_crops": dataset.simulated_crops,
    }
    write_atomically(path, save(state, metadata={_KEY: json.dumps(about)}))


def load_checkpoint(path: Path, learner: Learner, dataset: Dataset) -> Progress:
    """Go on from a checkpoint.

    Raises
    ------
    UserError
        When it is damaged or does not belong to this run.
    """
    try:
        content = path.read_bytes()
        state = load(content)
        size = int.from_bytes(content[:8], "little")
        about: dict[str, Any] = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][_KEY])
        progress = Progress.model_validate(about["progress"])
        torch.set_rng_state(state.pop("torch_generator"))
        dataset.rng.bit_generator.state = about["numpy_generator"]
        # Checkpoints of earlier versions know of no simulated crops.
        dataset.skip_simulated(int(about.get("simulated_crops", 0)))
        restore(learner, state)
        learner.n_averaged = int(about["n_averaged"])
    except OSError as error:
        raise UserError(
            f"The checkpoint {path.name} could not be read: {error.strerror}."
        ) from error
    except (
        safetensors.SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        IndexError,
    ) as error:
        raise UserError(
            f"The checkpoint {path.name} is damaged or of another version: start a new run "
            "from the best model so far."
        ) from error
    return progress


def _modules(learner: Learner) -> dict[str, torch.nn.Module]:
    named = {
        "network": learner.network,
        "discriminator": learner.discriminator,
        "averaged": learner.averaged,
    }
    return {k: v for k, v in named.items() if v is not None}


def _optimisers(learner: Learner) -> dict[str, torch.optim.Optimizer]:
    named = {"optimiser": learner.optimiser, "judge_optimiser": learner.judge_optimiser}
    return {k: v for k, v in named.items() if v is not None}


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) + 1 :]: v for k, v in state.items() if k.startswith(prefix + ".")}
