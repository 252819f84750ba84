"""The networks of the paper, and the registry that builds any of ours by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_apgan.errors import UserError
from napari_apgan.maps import color_code

from .card import ModelCard
from .networks_base import AtomNetwork, multiply_adds
from .networks_fast import FastNetwork
from .networks_fcn import ConvStep, EncoderDecoder, UNet
from .recipe import NetworkSpec, Preset

__all__ = [
    "BUILDERS",
    "AtomNetwork",
    "Discriminator",
    "PaperGenerator",
    "build_discriminator",
    "build_network",
    "fold_batch_norm",
    "multiply_adds",
    "n_channels",
]


class ResidualBlock(nn.Module):
    """conv - BN - ReLU - conv - BN, added to the input (Chen et al. 2023, Fig. 1a).

    Parameters
    ----------
    channels : int
    activate : bool
        A ReLU behind the addition too, as in the blocks of He et al. (CVPR 2016), which the paper
        cites; without it, as in SRGAN.
    """

    def __init__(self, channels: int, activate: bool = False) -> None:
        super().__init__()
        self.activate = activate
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1: nn.Module = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2: nn.Module = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, Y, X) of the same shape."""
        inner = torch.relu(self.norm1(self.conv1(x)))
        out: Tensor = x + self.norm2(self.conv2(inner))
        return torch.relu(out) if self.activate else out


class PaperGenerator(AtomNetwork):
    """The generator of AP-GAN: residual blocks at full resolution between two wide convolutions.

    The paper draws it after SRGAN's generator (Ledig et al., CVPR 2017) without the upsampling:
    a 9x9 convolution, the blocks, a convolution with batch-norm closing a long skip, and a 9x9
    convolution to one channel per element (or colour). It has no input for the mask: missing
    pixels are 0, which is the median of the normalised image; the paper's were black.

    Parameters
    ----------
    n_elements : int
    blocks : int
        15 in the paper.
    channels : int
    activate : bool
        A ReLU behind each addition, see :class:`ResidualBlock`.
    long_skip : bool
        Add the first features to those behind all blocks.
    """

    stride = 1
    element_layers = ("head",)

    def __init__(
        self,
        n_elements: int,
        blocks: int = 15,
        channels: int = 64,
        activate: bool = False,
        long_skip: bool = True,
    ) -> None:
        super().__init__()
        self.long_skip = long_skip
        self.stem = nn.Conv2d(1, channels, 9, padding=4)
        self.blocks = nn.Sequential(*(ResidualBlock(channels, activate) for _ in range(blocks)))
        self.close = nn.Conv2d(channels, channels, 3, padding=1)
        self.close_norm: nn.Module = nn.BatchNorm2d(channels)
        self.head = nn.Conv2d(channels, n_elements, 9, padding=4)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -2.0)  # discs cover a small part of a map

    def compute(self, x: Tensor) -> Tensor:
        """See :class:`AtomNetwork`."""
        first = torch.relu(self.stem(x[:, :1]))
        deep = self.close_norm(self.close(self.blocks(first)))
        return torch.sigmoid(self.head(first + deep if self.long_skip else deep))


class Discriminator(nn.Module):
    """Convolutions with leaky ReLU and ever more filters, ending in a two-class softmax.

    Parameters
    ----------
    n_elements : int
        Channels of the maps it judges (three where they are pictures).
    widths : sequence of int
        Filters of each pair of convolutions; the second of a pair halves the resolution.
    """

    def __init__(self, n_elements: int, widths: Sequence[int] = (32, 64, 128, 256)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = n_elements
        for width in widths:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(width, width, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            before = width
        self.features = nn.Sequential(*layers)
        self.judge = nn.Conv2d(before, 2, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the logarithm of the (N, 2) probabilities of "drawn" and "generated".

        Parameters
        ----------
        maps : (N, C, Y, X) float tensor, 0..1
        """
        logits = self.judge(self.features(maps)).mean(dim=(-2, -1))
        return torch.log_softmax(logits.float(), dim=1)


#: Kind of network -> what builds it from the number of elements and the spec's options.
BUILDERS: dict[str, Callable[..., AtomNetwork]] = {
    "fast": FastNetwork,
    "fcn1": EncoderDecoder,
    "fcn2": UNet,
    "paper": PaperGenerator,
}


def build_network(
    what: ModelCard | Preset | NetworkSpec, n_elements: int | None = None
) -> AtomNetwork:
    """Build the (untrained) generator of a card or a preset.

    Parameters
    ----------
    what : ModelCard, Preset or NetworkSpec
    n_elements : int, optional
        Output channels; taken from the card when left out.

    Raises
    ------
    UserError
        When this version does not know that kind of network.
    """
    spec = what if isinstance(what, NetworkSpec) else what.network
    if n_elements is None:
        if not isinstance(what, ModelCard):
            raise ValueError("the number of elements is needed to build from a preset")
        n_elements = len(what.elements)
    if spec.kind not in BUILDERS:
        raise UserError(
            f"This version does not know the network {spec.kind!r}: update napari-apgan to use it."
        )
    options: dict[str, Any] = dict(spec.options)
    painted = spec.coding == "rgb"
    try:
        network = BUILDERS[spec.kind](n_channels(spec, n_elements), **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"The network {spec.kind!r} cannot be built with the options {options}: {error}"
        ) from error
    network.painted_elements = n_elements if painted else None
    return network


def n_channels(spec: NetworkSpec, n_elements: int) -> int:
    """Return how many channels a network draws: one per element, or red, green and blue.

    Raises
    ------
    UserError
        When the colours do not suffice for the elements.
    """
    return color_code(n_elements).shape[1] if spec.coding == "rgb" else n_elements


def build_discriminator(preset: Preset, n_elements: int) -> Discriminator | None:
    """Build the discriminator of a preset, or None where its training has no adversary.

    An adversarial weight of 0 leaves it out too.
    """
    if preset.discriminator is None or not preset.recipe.weights.adversarial:
        return None
    options: dict[str, Any] = dict(preset.discriminator.options)
    return Discriminator(n_channels(preset.network, n_elements), **options)


def fold_batch_norm(network: AtomNetwork) -> AtomNetwork:
    """Merge each batch-norm into the convolution before it, in place; for inference only.

    The answer stays the same to rounding. Networks without batch-norm return unchanged.
    """
    network.eval()
    if isinstance(network, PaperGenerator):
        network.close, network.close_norm = _fold(network.close, network.close_norm)
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.conv1, module.norm1 = _fold(module.conv1, module.norm1)
            module.conv2, module.norm2 = _fold(module.conv2, module.norm2)
        elif isinstance(module, ConvStep):
            module.conv, module.norm = _fold(module.conv, module.norm)
    return network


def _fold(conv: nn.Conv2d, norm: nn.Module) -> tuple[nn.Conv2d, nn.Module]:
    if not isinstance(norm, nn.BatchNorm2d):
        return conv, norm
    return fuse_conv_bn_eval(conv, norm), nn.Identity()
