"""Losses look inside the mask only, weigh the peaks, and keep their gradients finite."""

from __future__ import annotations

import pytest
import torch
from skimage.metrics import structural_similarity

from napari_apgan.models.losses import (
    adversarial_loss,
    bce_loss,
    discriminator_loss,
    generator_loss,
    mse_loss,
    psnr_loss,
    ssim_loss,
    ssim_map,
)
from napari_apgan.models.recipe import LossWeights

LOSSES = [ssim_loss, psnr_loss, mse_loss, bce_loss]


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    real = torch.zeros(2, 2, 40, 40)
    real[:, :, 10:16, 10:16] = 1
    real[:, 0, 28:34, 6:12] = 1
    mask = torch.zeros(2, 1, 40, 40)
    mask[..., :24] = 1
    return torch.rand_like(real), real, mask


@pytest.mark.parametrize("loss", LOSSES)
def test_what_lies_outside_the_mask_changes_nothing(loss, maps) -> None:  # type: ignore[no-untyped-def]
    fake, real, mask = maps
    other = torch.where(mask > 0, fake, 1 - fake)
    torch.testing.assert_close(loss(fake, real, mask), loss(other, real, mask))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_perfect_answer_costs_next_to_nothing_and_has_a_finite_gradient(loss, maps) -> None:  # type: ignore[no-untyped-def]
    _, real, mask = maps
    fake = real.clone().requires_grad_(True)
    value = loss(fake, real, mask)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-5)
    assert fake.grad is not None
    assert torch.isfinite(fake.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_an_empty_mask_gives_a_finite_loss(loss, maps) -> None:  # type: ignore[no-untyped-def]
    fake, real, mask = maps
    assert torch.isfinite(loss(fake, real, mask * 0))


def test_ssim_is_that_of_wang_et_al() -> None:
    torch.manual_seed(1)
    a, b = torch.rand(2, 1, 1, 48, 48)
    _, expected = structural_similarity(
        a[0, 0].double().numpy(),
        b[0, 0].double().numpy(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )
    inner = slice(8, -8)
    torch.testing.assert_close(
        ssim_map(a, b)[0, 0, inner, inner].double(),
        torch.from_numpy(expected[inner, inner]),
        atol=2e-4,
        rtol=0,
    )


def test_ssim_sees_a_missing_disc_on_a_mostly_black_map() -> None:
    real = torch.zeros(1, 1, 128, 128)
    real[..., 60:66, 60:66] = 1
    mask = torch.ones(1, 1, 128, 128)
    black = torch.zeros_like(real)
    assert (1 - ssim_map(black, real)).mean() < 0.03
    assert ssim_loss(black, real, mask) > 0.15


def test_psnr_is_ten_log_ten_of_the_error() -> None:
    real = torch.zeros(1, 1, 16, 16)
    mask = torch.ones(1, 1, 16, 16)
    loss = psnr_loss(real + 0.1, real, mask, ceiling_db=40)
    assert loss.item() == pytest.approx(1 - 20 / 40, abs=0.005)


def test_the_discriminator_learns_and_the_generator_deceives_in_opposite_ways() -> None:
    sure = torch.log_softmax(torch.tensor([[6.0, -6.0]]), dim=1)
    fooled = torch.log_softmax(torch.tensor([[-6.0, 6.0]]), dim=1)
    unsure = torch.log_softmax(torch.zeros(1, 2), dim=1)
    assert discriminator_loss(sure, fooled).item() == pytest.approx(0, abs=1e-6)
    assert discriminator_loss(unsure, unsure).item() == pytest.approx(0.5)
    assert discriminator_loss(fooled, sure).item() == pytest.approx(2, abs=1e-4)
    assert adversarial_loss(sure) < adversarial_loss(unsure) < adversarial_loss(fooled)


def test_the_generators_loss_is_the_weighted_sum_of_its_parts(maps) -> None:  # type: ignore[no-untyped-def]
    fake, real, mask = maps
    weights = LossWeights(ssim=0.5, psnr=2.0, adversarial=0.1)
    total, parts = generator_loss(
        fake, real, mask, weights, torch.log_softmax(torch.zeros(2, 2), 1)
    )
    assert set(parts) == {"ssim", "psnr", "adversarial"}
    expected = 0.5 * parts["ssim"] + 2 * parts["psnr"] + 0.1 * parts["adversarial"]
    torch.testing.assert_close(total, expected)
