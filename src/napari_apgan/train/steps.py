"""One step of training: with or without an adversary. Imports torch."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from napari_apgan.models.coding import paint, paint_mask
from napari_apgan.models.losses import discriminator_loss, generator_loss
from napari_apgan.models.networks import (
    AtomNetwork,
    Discriminator,
    build_discriminator,
    build_network,
)
from napari_apgan.models.recipe import Preset

from .balance import Seen
from .dataset import Batch
from .mapstats import look_at
from .muon import Muon

_M = TypeVar("_M", bound=nn.Module)


class NotFiniteError(ArithmeticError):
    """A loss or a gradient is NaN or infinite."""


class Learner:
    """Networks, optimisers and averaged weights of one training.

    Parameters
    ----------
    preset : Preset
    n_elements : int
    device : torch.device
    """

    def __init__(self, preset: Preset, n_elements: int, device: torch.device) -> None:
        self.recipe = preset.recipe
        self.painted = preset.network.coding == "rgb"
        self.device = device
        self.network = _to(build_network(preset, n_elements), device)
        discriminator = build_discriminator(preset, n_elements)
        self.discriminator: Discriminator | None = None
        self.averaged: AtomNetwork | None = None
        self.n_averaged = 0
        #: What the maps of the last step against an adversary looked like.
        self.seen: Seen | None = None
        if discriminator is not None:
            self.discriminator = _to(discriminator, device)
        self.optimiser = self._optimiser_of(self.network)
        self.judge_optimiser: torch.optim.Optimizer | None = None
        if self.discriminator is not None:
            self.judge_optimiser = self._adam(self.discriminator, self.recipe.discriminator_rate)
        if self.recipe.ema:
            self.averaged = _to(build_network(preset, n_elements), device)
            self.averaged.requires_grad_(False)
            self.restart_average()

    def _optimiser_of(self, network: AtomNetwork) -> torch.optim.Optimizer:
        """Return what trains the generator: AdamW, or Muon where the recipe has a rate for it."""
        if not self.recipe.muon_rate:
            return self._adam(network, self.recipe.rate)
        outputs = tuple(f"{layer}." for layer in network.element_layers)
        inner: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in network.named_parameters():
            drawn = parameter.ndim < 2 or name.startswith(outputs)
            (others if drawn else inner).append(parameter)
        return Muon(
            inner,
            others,
            inner_rate=self.recipe.muon_rate,
            rate=self.recipe.rate,
            betas=self.recipe.betas,
            weight_decay=self.recipe.weight_decay,
        )

    def _adam(self, module: nn.Module, rate: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            module.parameters(),
            lr=rate,
            betas=self.recipe.betas,
            weight_decay=self.recipe.weight_decay,
        )

    @property
    def validated(self) -> AtomNetwork:
        """The network that is validated and saved: the averaged one where there is one."""
        return self.network if self.averaged is None else self.averaged

    def restart_average(self) -> None:
        """Begin averaging at the present weights."""
        self.n_averaged = 0
        if self.averaged is not None:
            self.averaged.load_state_dict(self.network.state_dict())

    def set_rates(self, factor: float) -> None:
        """Set all learning rates to a fraction of the recipe's."""
        for group in self.optimiser.param_groups:
            group["lr"] = group.get("rate", self.recipe.rate) * factor
        if self.judge_optimiser is not None:
            for group in self.judge_optimiser.param_groups:
                group["lr"] = self.recipe.discriminator_rate * factor

    def move(self, device: torch.device) -> None:
        """Move everything to another device."""
        self.device = device
        self.network.to(device)
        for module in (self.discriminator, self.averaged):
            if module is not None:
                module.to(device)
        for optimiser in (self.optimiser, self.judge_optimiser):
            if optimiser is not None:
                # Loading casts the moments to where their parameters are.
                optimiser.load_state_dict(optimiser.state_dict())

    def forget_gradients(self) -> None:
        """Free the gradients."""
        self.optimiser.zero_grad(set_to_none=True)
        if self.judge_optimiser is not None:
            self.judge_optimiser.zero_grad(set_to_none=True)

    def step(self, batch: Batch) -> dict[str, float]:
        """Take one step on a batch.

        Returns
        -------
        dict
            ``loss`` and its parts, before their weights.

        Raises
        ------
        NotFiniteError
            Before the weights are touched, when the loss or the gradient is not finite.
        """
        batch = batch.to(self.device)
        self.network.train()
        fake = self.network.draw(batch.x)
        if self.painted:
            batch = Batch(batch.x, paint(batch.target), paint_mask(batch.mask))
        if not bool(torch.isfinite(fake).all()):
            raise NotFiniteError("the answer of the network")
        if self.discriminator is None or self.judge_optimiser is None:
            loss, parts = generator_loss(fake, batch.target, batch.mask, self.recipe.weights)
            self._descend(self.optimiser, self.network, loss)
        else:
            loss, parts = self._adversarial(batch, fake, self.discriminator, self.judge_optimiser)
        self._average()
        return {"loss": float(loss.detach())} | {k: float(v) for k, v in parts.items()}

    @torch.no_grad()
    def answers_numbers(self, x: Tensor) -> bool:
        """Whether the network to be validated has finite weights and answers."""
        network = self.validated.eval()
        weights = all(bool(torch.isfinite(v).all()) for v in network.state_dict().values())
        return weights and bool(torch.isfinite(network(x.to(self.device))).all())

    def _adversarial(
        self,
        batch: Batch,
        fake: Tensor,
        judge: Discriminator,
        optimiser: torch.optim.Optimizer,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Discriminator first, then the generator against it; both see labelled regions only."""
        judge.train()
        judge.requires_grad_(True)
        against = discriminator_loss(
            judge(batch.target * batch.mask),
            judge(fake.detach() * batch.mask),
            self.recipe.discriminator_loss,
        )
        self._descend(optimiser, judge, against)
        judge.requires_grad_(False)
        log_fake = judge(fake * batch.mask)
        loss, parts = generator_loss(fake, batch.target, batch.mask, self.recipe.weights, log_fake)
        self._descend(self.optimiser, self.network, loss)
        self.seen = look_at(fake, batch.target, batch.mask)
        return loss, parts | {"discriminator": against.detach()}

    def _descend(self, optimiser: torch.optim.Optimizer, module: nn.Module, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        if not bool(torch.isfinite(loss)):
            raise NotFiniteError("the loss")
        loss.backward()  # type: ignore[no-untyped-call]
        limit = self.recipe.clip_norm or float("inf")
        norm = nn.utils.clip_grad_norm_(module.parameters(), limit)
        if not bool(torch.isfinite(norm)):
            raise NotFiniteError("the gradient")
        optimiser.step()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights a little towards the present ones."""
        if self.averaged is None:
            return
        self.n_averaged += 1
        # A short memory at first, so that the random start is soon forgotten.
        decay = min(self.recipe.ema, self.n_averaged / (self.n_averaged + 9))
        ours = self.network.state_dict()
        for name, mean in self.averaged.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(ours[name], 1 - decay)
            else:
                mean.copy_(ours[name])


def _to(module: _M, device: torch.device) -> _M:
    return module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
