"""What the maps of a step look like, for :mod:`.balance`. Imports torch."""

from __future__ import annotations

import torch
from torch import Tensor

from .balance import Seen


@torch.no_grad()
def look_at(fake: Tensor, real: Tensor, mask: Tensor) -> Seen:
    """Measure contrast and likeness of the maps inside the mask.

    Parameters
    ----------
    fake, real : (N, C, Y, X) tensors
        The generator's maps and the drawn ones.
    mask : (N, 1 or C, Y, X) tensor
    """
    ours, theirs = _centred(fake, mask), _centred(real, mask)
    weight = mask.expand_as(fake).sum().clamp(min=1)
    return Seen(
        spread=float((ours.square().sum() / weight).sqrt()),
        drawn_spread=float((theirs.square().sum() / weight).sqrt()),
        likeness=_likeness(ours),
        drawn_likeness=_likeness(theirs),
    )


def _centred(maps: Tensor, mask: Tensor) -> Tensor:
    """Return (N, C Y X) deviations from each map's mean, 0 outside the mask."""
    maps, mask = maps.detach().float(), mask.expand_as(maps).float()
    mean = (maps * mask).sum((-2, -1), keepdim=True) / mask.sum((-2, -1), keepdim=True).clamp(min=1)
    return ((maps - mean) * mask).flatten(1)


def _likeness(centred: Tensor) -> float | None:
    """Return the mean correlation of each map with the next one of the batch."""
    if len(centred) < 2:
        return None
    a, b = centred[:-1], centred[1:]
    size = (a.square().sum(1) * b.square().sum(1)).sqrt()
    # What is left of an even map is rounding, whose correlation would mean nothing.
    return float(((a * b).sum(1) / size.clamp(min=1e-8 * a.shape[1])).mean())
