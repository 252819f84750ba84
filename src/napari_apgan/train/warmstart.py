"""Begin at the weights of an earlier model, whatever elements came or went. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from napari_apgan.errors import UserError
from napari_apgan.models.modelfile import Model
from napari_apgan.models.networks import AtomNetwork


@torch.no_grad()
def copy_weights(network: AtomNetwork, elements: Sequence[str], earlier: Model) -> list[str]:
    """Copy an earlier model's weights into a new network of the same kind.

    Output channels are matched by the elements' names; a new element keeps its fresh weights, a
    dropped one is left behind.

    Parameters
    ----------
    network : AtomNetwork
        Changed in place.
    elements : sequence of str
        Its output channels.
    earlier : Model

    Returns
    -------
    list of str
        The elements that are new.

    Raises
    ------
    UserError
        When the networks are of different kinds or sizes.
    """
    before = earlier.card.element_names
    known = [e for e in elements if e in before]
    source = earlier.network.state_dict()
    outputs = tuple(f"{layer}." for layer in network.element_layers)
    for name, tensor in network.state_dict().items():
        old = source.get(name)
        if name.startswith(outputs) and old is not None and old.shape[1:] == tensor.shape[1:]:
            each = len(tensor) // len(elements)
            for element in known:
                to, of = elements.index(element) * each, before.index(element) * each
                tensor[to : to + each] = old[of : of + each]
        elif old is not None and old.shape == tensor.shape:
            tensor.copy_(old)
        else:
            raise UserError(
                "The model to continue from has another network than this preset: "
                "start from scratch, or choose the preset it was trained with."
            )
    return [e for e in elements if e not in before]
