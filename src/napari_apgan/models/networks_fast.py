"""The network of the `fast` preset: a dilated residual trunk at half resolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks_base import AtomNetwork


class _Block(nn.Module):
    """Dilated convolution, ReLU, convolution, added to the input with a learned gain.

    The gain starts at zero (SkipInit, De and Smith, NeurIPS 2020), which trains deep trunks
    without any statistics of the activations: a tile, a batch of one and a frame full of missing
    pixels get exactly what the whole frame gets.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.gain = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, Y, X) of the same shape."""
        out: Tensor = x + self.gain * self.second(functional.relu(self.first(functional.relu(x))))
        return out


class FastNetwork(AtomNetwork):
    """Small network that reads the mask, sees far, and costs little.

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

    stride = 2
    element_layers = ("head",)

    def __init__(
        self,
        n_elements: int,
        channels: int = 32,
        dilations: Sequence[int] = (1, 2, 4, 8, 1, 2, 4, 8),
        out_features: int = 8,
    ) -> None:
        super().__init__()
        # Two channels, each folded 2x2; a third is the image smoothed over its valid pixels.
        self.stem = nn.Conv2d(12, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(_Block(channels, d) for d in dilations))
        self.up = nn.Conv2d(channels, 4 * out_features, 3, padding=1)
        self.head = nn.Conv2d(out_features + 3, n_elements, 3, padding=1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -2.0)  # discs cover a small part of a map

    def compute(self, x: Tensor) -> Tensor:
        """See :class:`AtomNetwork`."""
        image, valid = x[:, :1] * x[:, 1:], x[:, 1:]
        weight = functional.avg_pool2d(valid, 5, stride=1, padding=2)
        smooth = functional.avg_pool2d(image, 5, stride=1, padding=2) / (weight + 0.02)
        full = torch.cat([image, valid, smooth], dim=1)
        trunk = self.blocks(self.stem(functional.pixel_unshuffle(full, 2)))
        fine = functional.pixel_shuffle(self.up(functional.relu(trunk)), 2)
        return torch.sigmoid(self.head(torch.cat([functional.relu(fine), full], dim=1)))
