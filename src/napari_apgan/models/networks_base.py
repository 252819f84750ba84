"""What every network of ours is: image and mask in, probabilities out, at any size."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .coding import unpaint


class AtomNetwork(nn.Module):
    """Base of all generators.

    A subclass implements :meth:`compute` for sizes that are multiples of `stride`, and names in
    `element_layers` the layers whose output channels belong to the elements.
    """

    #: Sizes are padded to multiples of this.
    stride: ClassVar[int] = 1
    #: Layers whose output channels are, in order, the same number for each element.
    element_layers: ClassVar[tuple[str, ...]] = ()
    #: The number of elements whose colours the output channels paint (`rgb` coding); None where
    #: each channel is an element.
    painted_elements: int | None = None

    def compute(self, x: Tensor) -> Tensor:
        """Map (N, 2, Y, X) to (N, C, Y, X) probabilities; Y and X are multiples of `stride`."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map image and mask to probabilities, one map per element whatever the coding.

        Parameters
        ----------
        x : (N, 2, Y, X) float tensor
            Channel 0 the normalised image, channel 1 the validity mask (1 valid, 0 missing).

        Returns
        -------
        (N, C, Y, X) float tensor, 0..1
        """
        drawn = self.draw(x)
        return drawn if self.painted_elements is None else unpaint(drawn, self.painted_elements)

    def draw(self, x: Tensor) -> Tensor:
        """Map what :meth:`forward` takes to what is compared with the output map in training.

        Returns
        -------
        (N, K, Y, X) float tensor, 0..1
            The maps of :meth:`forward`, or the three colours of a picture.
        """
        rows, columns = x.shape[-2:]
        bottom, right = -rows % self.stride, -columns % self.stride
        if bottom or right:
            # Zeros in both channels: pixels outside the image are missing pixels.
            x = functional.pad(x, (0, right, 0, bottom))
        return self.compute(x)[..., :rows, :columns]


def multiply_adds(network: nn.Module, shape: tuple[int, int]) -> int:
    """Count the multiplications of the convolutions for one image of (rows, columns)."""
    total = 0

    def count(layer: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        per_pixel = layer.weight[0].numel()
        total += per_pixel * output[0].numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    was_training = network.training
    try:
        network.eval()
        with torch.no_grad():
            network(torch.zeros(1, 2, *shape))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return total
