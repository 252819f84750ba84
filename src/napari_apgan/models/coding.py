"""Elements as the colours of a picture: paint output maps, read probabilities. Imports torch."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from napari_apgan.maps import color_code


@cache
def _matrices(n_elements: int) -> tuple[Tensor, Tensor]:
    """Return the elements' colours, (C, 3), and what turns colours back into elements, (3, C)."""
    code = color_code(n_elements)
    # Colours and elements are few: the least-squares inverse is exact for what was painted.
    back = np.linalg.pinv(code)
    return torch.from_numpy(code).float(), torch.from_numpy(back).float()


def paint(maps: Tensor) -> Tensor:
    """Paint element maps in the elements' colours; where discs touch, the larger value stays.

    Parameters
    ----------
    maps : (N, C, Y, X) tensor, 0..1
        At most three elements.

    Returns
    -------
    (N, 3, Y, X) tensor, 0..1
        Red, green, blue; a colour that no element has is black everywhere.
    """
    code = _matrices(maps.shape[1])[0].to(maps)
    return (maps[:, :, None] * code[:, :, None, None]).amax(dim=1)


def unpaint(picture: Tensor, n_elements: int) -> Tensor:
    """Read element maps from a picture: the mixture of the elements' colours at each pixel.

    Linear, so a disc keeps its centre of mass, and cut to 0..1: what no mixture of the elements'
    colours gives (grey under one element, say) is taken for its nearest.

    Parameters
    ----------
    picture : (N, 3, Y, X) tensor, 0..1
    n_elements : int

    Returns
    -------
    (N, C, Y, X) tensor, 0..1
    """
    back = _matrices(n_elements)[1].to(picture)
    return torch.einsum("nkyx,kc->ncyx", picture, back).clamp(0, 1)


def paint_mask(mask: Tensor) -> Tensor:
    """Return the (N, 1, Y, X) mask of a picture: a colour is known where all elements are."""
    return mask.amin(dim=1, keepdim=True)
