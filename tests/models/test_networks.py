"""Networks take any size, cost what they promise, and see as far as their presets say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from napari_apgan.errors import UserError
from napari_apgan.models.networks import (
    Discriminator,
    build_discriminator,
    build_network,
    fold_batch_norm,
    multiply_adds,
)
from napari_apgan.models.presets import PRESETS, NetworkSpec, get_preset

NAMES = sorted(PRESETS)


def _random(network: nn.Module) -> nn.Module:
    """Give every weight a random value, so that no path is cut or cancels."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.2, generator=generator)
    return network.double().eval()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(32, 32), (33, 47)])
def test_any_size_goes_in_and_comes_out_as_probabilities(name: str, shape: tuple[int, int]) -> None:
    network = build_network(PRESETS[name], 3).eval()
    with torch.no_grad():
        maps = network(torch.randn(2, 2, *shape))
    assert maps.shape == (2, 3, *shape)
    assert float(maps.min()) >= 0
    assert float(maps.max()) <= 1


def test_fast_needs_at_least_twenty_times_fewer_operations_than_paper() -> None:
    cost = {n: multiply_adds(build_network(PRESETS[n], 3), (64, 64)) for n in ("fast", "paper")}
    assert cost["paper"] >= 20 * cost["fast"]


def test_paper_costs_what_its_fifteen_blocks_cost() -> None:
    per_pixel = multiply_adds(build_network(PRESETS["paper"], 1), (32, 32)) / 32**2
    assert per_pixel == 31 * 64 * 64 * 9 + 2 * 64 * 81


@pytest.mark.parametrize("name", NAMES)
def test_the_stated_receptive_field_is_the_real_one(name: str) -> None:
    preset = PRESETS[name]
    # As deep and as wide-seeing, but with few channels.
    spec = preset.network.model_copy(update={"options": preset.network.options | {"channels": 4}})
    network = _random(build_network(spec, 1))
    stride = preset.network.stride
    side = stride * math.ceil((preset.network.receptive_field_px + 24) / stride)
    reach = 0
    for centre in range(side // 2, side // 2 + stride):
        x = torch.rand(1, 2, side, side, dtype=torch.float64)
        x[:, 1] = 1
        x.requires_grad_()
        network(x)[0, 0, centre, centre].backward()
        assert x.grad is not None
        seen = x.grad[0].abs().sum(dim=0).nonzero()
        reach = max(reach, int((seen - centre).abs().max()))
    assert preset.network.receptive_field_px == 2 * reach + 1


def test_fast_does_not_read_pixels_that_the_mask_calls_missing() -> None:
    network = build_network(PRESETS["fast"], 1).eval()
    x = torch.randn(1, 2, 40, 40)
    x[:, 1] = (torch.rand(1, 40, 40) > 0.5).float()
    other = x.clone()
    other[:, 0] += 100 * (1 - x[:, 1])
    with torch.no_grad():
        assert torch.equal(network(x), network(other))


def test_without_the_mask_missing_pixels_are_dark_ones() -> None:
    spec = PRESETS["fast"].network
    spec = spec.model_copy(update={"options": spec.options | {"mask": False}})
    network = build_network(spec, 1).eval()
    x = torch.randn(1, 2, 40, 40)
    marked, unmarked = x.clone(), x.clone()
    marked[:, 1] = (torch.rand(1, 40, 40) > 0.5).float()
    unmarked[:, 1] = 1
    with torch.no_grad():
        assert torch.equal(network(marked), network(unmarked))


@pytest.mark.parametrize("fold", [1, 2, 4])
def test_the_trunk_of_fast_works_at_any_of_its_resolutions(fold: int) -> None:
    spec = NetworkSpec(
        kind="fast",
        options={"channels": 8, "dilations": (1, 2), "fold": fold},
        receptive_field_px=150,
        stride=4,
    )
    network = build_network(spec, 2)
    # Stem and head touch every pixel whatever the fold, the two blocks one in fold².
    blocks = 2 * 8 * 8 * 9 / fold**2
    assert multiply_adds(network, (32, 32)) / 32**2 == 3 * 8 * 9 + 8 * 2 * 9 + blocks
    with torch.no_grad():
        assert network(torch.rand(1, 2, 33, 30)).shape == (1, 2, 33, 30)


def test_a_fold_that_is_none_is_one_sentence() -> None:
    spec = NetworkSpec(kind="fast", options={"fold": 3}, receptive_field_px=1)
    with pytest.raises(UserError, match="folded by 1, 2 or 4"):
        build_network(spec, 1)


def test_folding_batch_norm_changes_no_answer() -> None:
    network = build_network(PRESETS["paper"], 2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    network.eval()
    x = torch.randn(1, 2, 24, 24)
    with torch.no_grad():
        before = network(x)
        after = fold_batch_norm(network)(x)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)


def test_the_discriminator_is_convolutional_leaky_and_ends_in_two_classes() -> None:
    judge = build_discriminator(PRESETS["paper"], 2)
    assert isinstance(judge, Discriminator)
    assert any(isinstance(m, nn.LeakyReLU) for m in judge.modules())
    assert not any(isinstance(m, nn.Linear) for m in judge.modules())
    for side in (32, 50):
        log_p = judge(torch.rand(3, 2, side, side))
        assert log_p.shape == (3, 2)
        torch.testing.assert_close(log_p.exp().sum(1), torch.ones(3))
    assert build_discriminator(PRESETS["fast"], 2) is None


def test_the_paper_preset_is_the_papers() -> None:
    paper = get_preset("paper")
    assert paper.network.options["blocks"] == 15
    assert paper.recipe.epochs == 400
    weights = paper.recipe.weights
    assert weights.adversarial > 0
    assert weights.ssim > 0
    assert weights.psnr > 0
    assert weights.mse == weights.bce == 0


def test_an_unknown_preset_or_network_is_one_sentence() -> None:
    with pytest.raises(UserError, match="choose one of"):
        get_preset("nothing")
    with pytest.raises(UserError, match="update napari-apgan"):
        build_network(NetworkSpec(kind="future", receptive_field_px=1), 1)
