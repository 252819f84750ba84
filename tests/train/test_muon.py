"""Muon makes the steps of kernels equally long in all directions; Adam does the rest."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from napari_apgan.models.presets import PRESETS
from napari_apgan.train.dataset import Batch
from napari_apgan.train.muon import Muon, orthogonal
from napari_apgan.train.steps import Learner


@pytest.mark.parametrize("shape", [(8, 30), (30, 8)])
def test_all_singular_values_come_close_to_one(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(shape, generator=generator) * 10
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3
    # The directions stay: what was orthogonalised is still along the matrix.
    assert float((orthogonal(matrix) * matrix).sum()) > 0


def test_what_is_no_kernel_moves_as_adam_moves_it() -> None:
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    muon = Muon([], ours.parameters(), inner_rate=1.0, rate=0.1, weight_decay=0.01)
    adam = torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.01)
    for step in range(3):
        for layer, optimiser in ((ours, muon), (theirs, adam)):
            optimiser.zero_grad()
            layer(torch.full((1, 3), float(step))).square().sum().backward()
            optimiser.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def learner(**recipe: float) -> Learner:
    preset = PRESETS["fast"]
    changed = preset.recipe.model_copy(update=recipe)
    return Learner(preset.model_copy(update={"recipe": changed}), 2, torch.device("cpu"))


def test_muon_trains_the_inner_kernels_and_adam_the_rest() -> None:
    trained = learner(muon_rate=0.02, rate=0.004)
    assert isinstance(trained.optimiser, Muon)
    inner, others = (group["params"] for group in trained.optimiser.param_groups)
    assert {p.ndim for p in inner} == {4}
    assert any(p is trained.network.head.weight for p in others)
    assert len(inner) + len(others) == len(list(trained.network.parameters()))
    trained.set_rates(0.5)
    assert [g["lr"] for g in trained.optimiser.param_groups] == [0.01, 0.002]
    assert isinstance(learner(muon_rate=0.0).optimiser, torch.optim.AdamW)


def test_a_learner_goes_on_from_its_saved_state_as_if_nothing_had_been() -> None:
    torch.manual_seed(0)
    first = learner()
    x, target = torch.rand(1, 2, 32, 32), (torch.rand(1, 2, 32, 32) > 0.8).float()
    batch = Batch(x, target, torch.ones(1, 1, 32, 32))
    first.step(batch)
    second = learner()
    second.network.load_state_dict(first.network.state_dict())
    second.optimiser.load_state_dict(copy.deepcopy(first.optimiser.state_dict()))
    losses = [[each.step(batch)["loss"] for _ in range(3)] for each in (first, second)]
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]
