"""Muon: momentum whose matrices are made orthogonal before each step. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

#: Of the quintic iteration that drives all singular values towards 1, and how often it runs:
#: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon for the inner convolutions, AdamW for everything else.

    An inner kernel (outputs, inputs, 3, 3) is taken as a matrix of one row an output. Its averaged
    gradient is replaced by the nearest matrix of orthogonal rows, so that every direction learns at
    the same pace.

    Parameters
    ----------
    inner : iterable of Parameter
        Kernels of at least two axes.
    others : iterable of Parameter
        Biases and the layers that draw the answer.
    inner_rate, rate : float
        Learning rates of the two groups.
    betas : (float, float)
        Of AdamW.
    weight_decay : float
        Of AdamW; the inner kernels have none.
    momentum : float
        Of Muon.
    """

    def __init__(
        self,
        inner: Iterable[Tensor],
        others: Iterable[Tensor],
        *,
        inner_rate: float,
        rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        groups: list[dict[str, Any]] = [
            {"params": list(inner), "lr": inner_rate, "rate": inner_rate, "inner": True},
            {"params": list(others), "lr": rate, "rate": rate, "inner": False},
        ]
        fixed = {"betas": betas, "weight_decay": weight_decay, "momentum": momentum, "eps": 1e-8}
        super().__init__(groups, fixed)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients."""
        if closure is not None:
            raise ValueError("this optimiser evaluates nothing by itself")
        for group in self.param_groups:
            move = self._move_inner if group["inner"] else self._move_other
            for parameter in group["params"]:
                if parameter.grad is not None:
                    move(parameter, parameter.grad, group)

    def _move_inner(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, momentum = self.state[parameter], group["momentum"]
        if not state:
            state["mean"] = torch.zeros_like(parameter)
        mean = state["mean"].lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(mean, momentum)  # Nesterov's
        rows = len(ahead)
        scale = max(1.0, rows / ahead[0].numel()) ** 0.5
        turned = orthogonal(ahead.reshape(rows, -1)).reshape(ahead.shape)
        parameter.add_(turned, alpha=-group["lr"] * scale)

    def _move_other(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (first, second) = self.state[parameter], group["betas"]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = (torch.zeros_like(parameter) for _ in range(2))
        state["step"] += 1
        step = float(state["step"])
        mean = state["mean"].lerp_(gradient, 1 - first) / (1 - first**step)
        square = state["square"].lerp_(gradient.square(), 1 - second) / (1 - second**step)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(mean, square.sqrt_().add_(group["eps"]), value=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """Return nearly the orthogonal matrix nearest to one: singular values between 0.7 and 1.2.

    Parameters
    ----------
    matrix : (M, N) tensor
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    turned: Tensor = x.T if tall else x
    return turned
