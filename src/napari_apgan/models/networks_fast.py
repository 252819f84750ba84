"""The network of the `fast` preset: a dilated residual trunk at half resolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks_base import AtomNetwork

#: Side in px of the cells in which the local mean and spread are taken.
CELL = 4
#: Cells along a side of the box filter that smooths them; it runs twice, which makes a pyramid.
BOX = 5
#: Added to the local variance, in (units of the normalised image)²: keeps vacuum from exploding.
LEAST_VARIANCE = 1e-3
SLOPE = 0.1


class _Block(nn.Module):
    """Dilated convolution and convolution behind leaky ReLUs, added to the input.

    The second convolution starts at zero (Zhang et al., Fixup, ICLR 2019), so the whole trunk
    starts as the identity and trains without any statistics of the activations: a tile, a batch
    of one and a frame full of missing pixels get exactly what the whole frame gets.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, Y, X) of the same shape."""
        inner = self.first(functional.leaky_relu(x, SLOPE))
        out: Tensor = x + self.second(functional.leaky_relu(inner, SLOPE))
        return out


def smooth_cells(values: Tensor) -> Tensor:
    """Average in cells, smoothed by two box filters: (N, C, Y, X) to (N, C, Y/4, X/4).

    A few operations a pixel, and a fixed reach, so that tiles see what the whole image sees.
    Outside there is nothing, as at missing pixels.
    """
    cells = functional.avg_pool2d(values, CELL)
    for _ in range(2):
        cells = functional.avg_pool2d(cells, (1, BOX), stride=1, padding=(0, BOX // 2))
        cells = functional.avg_pool2d(cells, (BOX, 1), stride=1, padding=(BOX // 2, 0))
    return cells


def to_pixels(cells: Tensor) -> Tensor:
    """Interpolate cells back to pixels."""
    return functional.interpolate(cells, scale_factor=CELL, mode="bilinear", align_corners=False)


def inputs(x: Tensor) -> Tensor:
    """Return (N, 5, Y, X): image, mask, deviation from the local mean, contrast, smooth contrast.

    The contrast is the deviation in units of the local spread; it is smoothed over 5x5 px.
    Mean and spread are taken over the valid pixels of about 40x40 px, weighted like a pyramid.
    """
    valid = x[:, 1:].clamp(0, 1)
    image = x[:, :1] * valid
    weight = smooth_cells(valid) + 1e-3
    deviation = (image - to_pixels(smooth_cells(image) / weight)) * valid
    variance = to_pixels(smooth_cells(deviation**2) / weight)
    contrast = deviation * torch.rsqrt(variance + LEAST_VARIANCE)
    near = functional.avg_pool2d(valid, 5, stride=1, padding=2)
    smooth = 2 * functional.avg_pool2d(contrast, 5, stride=1, padding=2) / (near + 0.02)
    return torch.cat([image, valid, deviation, contrast, smooth], dim=1)


class FastNetwork(AtomNetwork):
    """Small network that reads the mask, sees far, and costs little.

    Beside the image and its mask it is given the image's deviation from its local mean, as it is,
    in units of its local spread, and that smoothed over 5x5 px: so atoms look alike
    on a thin and on a thick support, and little is left to learn from few labels.

    Parameters
    ----------
    n_elements : int
    channels : int
        Width of the trunk.
    dilations : sequence of int
        One residual block each, in pixels of the half resolution.
    out_features : int
        Features brought back to full resolution.
    """

    stride = CELL
    element_layers = ("head",)

    def __init__(
        self,
        n_elements: int,
        channels: int = 24,
        dilations: Sequence[int] = (1, 2, 4, 8, 1, 2, 4, 8),
        out_features: int = 8,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(20, channels, 3, padding=1)  # five inputs, each folded 2x2
        self.blocks = nn.Sequential(*(_Block(channels, d) for d in dilations))
        self.up = nn.Conv2d(channels, 4 * out_features, 3, padding=1)
        self.head = nn.Conv2d(out_features + 5, n_elements, 3, padding=1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -2.0)  # discs cover a small part of a map

    def compute(self, x: Tensor) -> Tensor:
        """See :class:`AtomNetwork`."""
        full = inputs(x)
        trunk = self.blocks(self.stem(functional.pixel_unshuffle(full, 2)))
        fine = functional.pixel_shuffle(self.up(functional.leaky_relu(trunk, SLOPE)), 2)
        fine = functional.leaky_relu(fine, SLOPE)
        return torch.sigmoid(self.head(torch.cat([fine, full], dim=1)))
