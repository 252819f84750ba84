"""The two fully convolutional networks that the paper compares its own with: `fcn1` and `fcn2`.

What is called the paper's below is the kind of network each paper describes. The sizes of the U-Net
are those that AtomAI, by an author of both papers, gives its own by default; those of the
encoder-decoder are our reading: we found no code of 2017, and later networks of its authors have
skip connections.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks_base import AtomNetwork

#: Slope of the leaky ReLU below zero in the U-Net.
SLOPE = 0.01


class ConvStep(nn.Module):
    """3x3 convolution, batch-norm, (leaky) ReLU."""

    def __init__(self, before: int, after: int, slope: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1)
        self.norm: nn.Module = nn.BatchNorm2d(after)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, `after`, Y, X)."""
        return functional.leaky_relu(self.norm(self.conv(x)), self.slope)


def _steps(before: int, after: int, count: int, slope: float = 0.0) -> nn.Sequential:
    """Chain `count` steps; the first changes the number of channels."""
    return nn.Sequential(
        *(ConvStep(before if i == 0 else after, after, slope) for i in range(count))
    )


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _element_head(channels: int, n_elements: int) -> nn.Conv2d:
    head = nn.Conv2d(channels, n_elements, 1)
    assert head.bias is not None
    nn.init.constant_(head.bias, -2.0)  # discs cover a small part of a map
    return head


class EncoderDecoder(AtomNetwork):
    """Convolutions and max-pooling down, bilinear upsampling back, nothing carried across.

    After Ziatdinov et al., ACS Nano 11, 12742 (2017), `FCNs1` in Chen et al. (2023). The
    paper's: fully convolutional, an encoder of convolutions with max-pooling, a decoder with
    bilinear upsampling, a score for each pixel and class. Our reading: no skip connections, three
    poolings, two 3x3 convolutions a level, 32 filters at the finest level and twice as many at
    each coarser one, batch-norm, a sigmoid for each element in place of the softmax over
    classes (all networks here answer one map an element), and the loss, which is the mean squared
    error as Chen et al. name it. It has no input for the mask: missing pixels are 0, the median of
    the image.

    Parameters
    ----------
    n_elements : int
    channels : int
        Filters at full resolution.
    """

    stride = 8
    element_layers = ("head",)

    def __init__(self, n_elements: int, channels: int = 32) -> None:
        super().__init__()
        c = channels
        self.down = nn.ModuleList([_steps(1, c, 2), _steps(c, 2 * c, 2), _steps(2 * c, 4 * c, 2)])
        self.bottom = _steps(4 * c, 8 * c, 2)
        self.up = nn.ModuleList(
            [_steps(8 * c, 4 * c, 2), _steps(4 * c, 2 * c, 2), _steps(2 * c, c, 2)]
        )
        self.head = _element_head(c, n_elements)

    def compute(self, x: Tensor) -> Tensor:
        """See :class:`AtomNetwork`."""
        x = x[:, :1]
        for level in self.down:
            x = functional.max_pool2d(level(x), 2)
        x = self.bottom(x)
        for level in self.up:
            x = level(_double(x))
        return torch.sigmoid(self.head(x))


class UNet(AtomNetwork):
    """U-Net: each level of the encoder is also handed to the decoder's level of its resolution.

    After Ghosh et al., npj Comput. Mater. 7, 100 (2021), `FCNs2` in Chen et al. (2023). The
    paper's: a U-Net with skip connections. As AtomAI 0.8 builds it by default: three poolings;
    1, 2, 2 and 3 convolutions of 3x3 from the finest level to the bottom, the same number on the
    way back; 16 filters at the finest level and twice as many at each coarser one; a leaky ReLU of
    slope 0.01; bilinear upsampling with a 1x1 convolution that halves the features; no dropout
    (optional there, too). Our reading: batch-norm before the leaky ReLU (AtomAI's stands behind it)
    and a sigmoid for each element. One network stands for the paper's ensemble: what is compared is
    the network, trained once on the same pairs. It has no input for the mask: missing pixels are
    0, the median of the image.

    Parameters
    ----------
    n_elements : int
    channels : int
        Filters at full resolution.
    layers : sequence of int
        Convolutions at each level, the finest first, the bottom last; four numbers.
    dropout : float
        Chance of a feature map at the bottom to be dropped in training.

    Raises
    ------
    ValueError
        When `layers` does not hold four positive numbers.
    """

    stride = 8
    element_layers = ("head",)

    def __init__(
        self,
        n_elements: int,
        channels: int = 16,
        layers: Sequence[int] = (1, 2, 2, 3),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(layers) != 4 or min(layers) < 1:
            raise ValueError("a U-Net of stride 8 has four levels with a convolution at least")
        widths = [channels * 2**level for level in range(4)]
        befores = [1, *widths[:-1]]
        encoder = [
            _steps(before, width, count, SLOPE)
            for before, width, count in zip(befores, widths, layers, strict=True)
        ]
        self.down = nn.ModuleList(encoder[:3])
        self.bottom = encoder[3]
        self.dropout = nn.Dropout2d(dropout)
        coarse_first = list(zip(widths[:3], layers[:3], strict=True))[::-1]
        self.narrow = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width, _ in coarse_first)
        self.up = nn.ModuleList(
            _steps(2 * width, width, count, SLOPE) for width, count in coarse_first
        )
        self.head = _element_head(channels, n_elements)

    def compute(self, x: Tensor) -> Tensor:
        """See :class:`AtomNetwork`."""
        x = x[:, :1]
        levels: list[Tensor] = []
        for level in self.down:
            x = level(x)
            levels.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.dropout(self.bottom(x))
        for narrow, level in zip(self.narrow, self.up, strict=True):
            x = level(torch.cat([levels.pop(), narrow(_double(x))], dim=1))
        return torch.sigmoid(self.head(x))
