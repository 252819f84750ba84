"""Begin at the weights of an earlier model, whatever elements came or went. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.models.modelfile import Model
from napari_apgan.models.networks import AtomNetwork


@torch.no_grad()
def copy_weights(
    network: AtomNetwork, elements: Sequence[str] | Sequence[Element], earlier: Model
) -> list[str]:
    """Copy an earlier model's weights into a new network of the same kind.

    Output channels are matched by the elements' names. An element unknown to the earlier model
    starts from the channel of its contrast where there is one, as the bundled model's ``bright``
    and ``dark`` are; otherwise it keeps its fresh weights. A dropped one is left behind. A network
    that paints its elements in colours keeps all its outputs fresh unless the elements are the
    same, in the same order.

    Parameters
    ----------
    network : AtomNetwork
        Changed in place.
    elements : sequence of str or Element
        Its output channels; names alone say nothing of contrast.
    earlier : Model

    Returns
    -------
    list of str
        The elements that start from nothing.

    Raises
    ------
    UserError
        When the networks are of different kinds or sizes.
    """
    before = earlier.card.element_names
    names = [_name(e) for e in elements]
    origin = [_origin(e, before) for e in elements]
    painted = network.painted_elements is not None
    if painted and names != before:
        # Colours belong to places among the elements: another list means another picture.
        origin = [None] * len(names)
    source = earlier.network.state_dict()
    outputs = tuple(f"{layer}." for layer in network.element_layers)
    for name, tensor in network.state_dict().items():
        old, by_element = source.get(name), name.startswith(outputs) and not painted
        skipped = int(by_element)  # the number of elements may differ
        if old is None or old.shape[skipped:] != tensor.shape[skipped:]:
            raise UserError(
                "The model to continue from has another network than this preset: "
                "start from scratch, or choose the preset it was trained with."
            )
        if by_element:
            each = len(tensor) // len(elements)
            for to, of in enumerate(origin):
                if of is not None:
                    tensor[to * each : (to + 1) * each] = old[of * each : (of + 1) * each]
        elif not (painted and None in origin and name.startswith(outputs)):
            tensor.copy_(old)
    return [name for name, of in zip(names, origin, strict=True) if of is None]


def _name(element: str | Element) -> str:
    return element if isinstance(element, str) else element.name


def _origin(element: str | Element, before: Sequence[str]) -> int | None:
    """Return the number of the earlier channel that an element starts from."""
    names = [_name(element)] if isinstance(element, str) else [element.name, element.polarity]
    return next((before.index(name) for name in names if name in before), None)
