"""Model files: one `.safetensors` with the model card in its header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load, save
from torch import Tensor

from napari_apgan.errors import UserError
from napari_apgan.settings import write_atomically

from .card import CARD_KEY, ModelCard, parse_card, resolve_model
from .networks import AtomNetwork, build_network


@dataclass(frozen=True, slots=True)
class Model:
    """A network ready to predict, and its card."""

    card: ModelCard
    network: AtomNetwork


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all weights: names, types, shapes and bytes, in order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy weights to the CPU in the memory layout of a file, sharing nothing."""
    return {
        k: v.detach().to("cpu", copy=True).contiguous(memory_format=torch.contiguous_format)
        for k, v in state.items()
    }


def first_non_finite(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of a weight that holds NaN or infinity, or None."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return None


def save_model(
    path: Path, network: AtomNetwork | Mapping[str, Tensor], card: ModelCard
) -> ModelCard:
    """Write a model file so that a crash leaves either the old or the new one.

    Parameters
    ----------
    path : Path
    network : AtomNetwork or mapping of weights
    card : ModelCard
        Its `weights_sha256` is filled in.

    Returns
    -------
    ModelCard
        The card as written.

    Raises
    ------
    UserError
        When a weight is not a finite number: such a model is never saved.
    """
    state = _plain(network.state_dict() if isinstance(network, torch.nn.Module) else network)
    bad = first_non_finite(state)
    if bad is not None:
        raise UserError(
            f"The model was not saved: its weight {bad} is not a finite number. "
            "Train again at a lower rate."
        )
    card = card.model_copy(update={"weights_sha256": weights_hash(state)})
    write_atomically(path, save(state, metadata={CARD_KEY: card.model_dump_json()}))
    return card


def load_model(path: Path | str, device: str = "cpu") -> Model:
    """Load a model file, a run folder's best model, or ``bundled``.

    The file is read into memory first, so it can be replaced while the model is in use.

    Parameters
    ----------
    path : Path or str
    device : str
        A torch device.

    Returns
    -------
    Model
        In evaluation mode.

    Raises
    ------
    UserError
        When there is no such model, it is damaged, does not fit its own card, or holds numbers
        that are not finite.
    """
    path = resolve_model(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"The model {path.name} could not be read: {error.strerror}.") from error
    return load_model_bytes(content, path.name, device)


def load_model_bytes(content: bytes, name: str, device: str = "cpu") -> Model:
    """Load a model from the content of its file; see :func:`load_model`."""
    try:
        state = load(content)
        header = int.from_bytes(content[:8], "little")
        metadata = _metadata(content[8 : 8 + header])
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{name} is not a model file (.safetensors), or it is damaged.") from error
    card = parse_card(metadata, name)
    network = build_network(card)
    expected = network.state_dict()
    wrong = sorted(
        key
        for key in expected.keys() | state.keys()
        if key not in state or key not in expected or state[key].shape != expected[key].shape
    )
    if wrong:
        raise UserError(
            f"The weights of {name} do not fit the network its card names ({wrong[0]}): "
            "the file is damaged or was changed by hand."
        )
    if card.weights_sha256 != weights_hash(state):
        raise UserError(
            f"The weights of {name} do not match the checksum on its card: "
            "take another copy of it or train again."
        )
    bad = first_non_finite(state)
    if bad is not None:
        raise UserError(f"{name} holds weights that are not finite numbers ({bad}): train again.")
    network.load_state_dict(state)
    return Model(card, network.to(torch.device(device)).eval())


def _metadata(header: bytes) -> dict[str, str] | None:
    found = json.loads(header).get("__metadata__")
    return found if isinstance(found, dict) else None
