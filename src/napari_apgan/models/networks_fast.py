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
#: Factor of a block's usual random weights at the start: eight such blocks change the size of
#: what passes through them by about a half.
BLOCK_GAIN = 0.3


class _Block(nn.Module):
    """Leaky ReLU and one dilated convolution, added to the input.

    The convolution starts small (after Zhang et al., Fixup, ICLR 2019), so the whole trunk starts
    near the identity and trains without any statistics of the activations: a tile, a batch of one
    and a frame full of missing pixels get exactly what the whole frame gets.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        assert self.conv.bias is not None
        with torch.no_grad():
            self.conv.weight.mul_(BLOCK_GAIN)
            self.conv.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, Y, X) of the same shape."""
        change: Tensor = self.conv(functional.leaky_relu(x, SLOPE))
        return change.add_(x)  # in place: nothing else needs what a convolution answered


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


def inputs(x: Tensor, *, mask: bool = True) -> Tensor:
    """Return (N, 3, Y, X), or (N, 2, Y, X) without the mask: image, contrast, mask.

    The contrast is the deviation from the local mean in units of the local spread. Mean and spread
    are taken over the valid pixels of about 40x40 px, weighted like a pyramid; without the mask,
    over all pixels.
    """
    # One plane after the other: pooling is three times faster than on interleaved channels.
    x = x.contiguous()
    valid = x[:, 1:].clamp(0, 1) if mask else torch.ones_like(x[:, :1])
    image = x[:, :1] * valid
    weight = smooth_cells(valid) + 1e-3
    deviation = (image - to_pixels(smooth_cells(image) / weight)) * valid
    variance = to_pixels(smooth_cells(deviation**2) / weight)
    contrast = deviation * torch.rsqrt(variance + LEAST_VARIANCE)
    return torch.cat([image, contrast, valid] if mask else [image, contrast], dim=1)


class FastNetwork(AtomNetwork):
    """Small network that reads the mask, sees far, and costs little.

    Beside the image and its mask it is given the image's deviation from its local mean in units of
    its local spread: so atoms look alike on a thin and on a thick support, and little is left to
    learn from few labels. Groups of 2x2 px are folded into channels, the trunk works on those, and
    its answer is unfolded again: no convolution runs at full resolution.

    Parameters
    ----------
    n_elements : int
    channels : int
        Width of the trunk.
    dilations : sequence of int
        One residual block each, in pixels of the trunk.
    fold : {1, 2, 4}
        Side in px of the groups: the trunk works at this part of the resolution.
    mask : bool
        Whether it reads which pixels are missing; if not, they are 0 like any other dark pixel.

    Raises
    ------
    ValueError
        When `fold` is none of the three.
    """

    stride = CELL
    element_layers = ("head",)

    def __init__(
        self,
        n_elements: int,
        channels: int = 32,
        dilations: Sequence[int] = (1, 2, 4, 8, 4, 2, 1),
        fold: int = 2,
        mask: bool = True,
    ) -> None:
        super().__init__()
        if fold not in (1, 2, 4):
            raise ValueError("pixels are folded by 1, 2 or 4")
        self.fold, self.mask = fold, mask
        self.stem = nn.Conv2d((3 if mask else 2) * fold**2, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(_Block(channels, d) for d in dilations))
        self.head = nn.Conv2d(channels, n_elements * fold**2, 3, padding=1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -2.0)  # discs cover a small part of a map

    def compute(self, x: Tensor) -> Tensor:
        """See :class:`AtomNetwork`."""
        folded = functional.pixel_unshuffle(inputs(x, mask=self.mask), self.fold)
        trunk = self.blocks(self.stem(folded.contiguous(memory_format=torch.channels_last)))
        answer = self.head(functional.leaky_relu(trunk, SLOPE))
        return torch.sigmoid(functional.pixel_shuffle(answer, self.fold))
