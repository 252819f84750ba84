"""Losses of the generator and the discriminator, inside labelled regions only, in fp32.

All maps are (N, C, Y, X) tensors in 0..1; `mask` is (N, 1, Y, X), 1 where the labels are complete
and the pixel was measured, 0 elsewhere.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from .recipe import JudgeLoss, LossWeights

#: Window and constants of Wang et al., IEEE Trans. Image Process. 13, 600 (2004), range 1.
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2


def masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of `values` weighted by `weight` (broadcast); 0 where nothing counts."""
    weight = weight.expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)


def ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """Return the structural similarity at every pixel, (N, C, Y, X), at most 1.

    Parameters
    ----------
    a, b : (N, C, Y, X) float tensors, 0..1
    """
    a, b = a.float(), b.float()
    channels = a.shape[1]
    offset = torch.arange(SSIM_WINDOW, device=a.device, dtype=torch.float32) - SSIM_WINDOW // 2
    line = torch.exp(-0.5 * (offset / SSIM_SIGMA) ** 2)
    line = line / line.sum()
    across = line.reshape(1, 1, 1, -1).expand(channels, 1, 1, -1)
    down = line.reshape(1, 1, -1, 1).expand(channels, 1, -1, 1)
    half = SSIM_WINDOW // 2
    # Outside the crop both maps are black alike.
    stacked = torch.cat([a, b, a * a, b * b, a * b])
    stacked = functional.conv2d(stacked, across, padding=(0, half), groups=channels)
    stacked = functional.conv2d(stacked, down, padding=(half, 0), groups=channels)
    mean_a, mean_b, aa, bb, ab = stacked.chunk(5)
    # Rounding must not make a variance negative.
    var_a = (aa - mean_a**2).clamp(min=0)
    var_b = (bb - mean_b**2).clamp(min=0)
    covariance = ab - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + SSIM_C1) / (mean_a**2 + mean_b**2 + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (var_a + var_b + SSIM_C2)
    similarity: Tensor = luminance * structure
    return similarity


def ssim_loss(fake: Tensor, real: Tensor, mask: Tensor, background: float = 0.1) -> Tensor:
    """Return 1 - SSIM, 0..2, averaged so that the discs decide.

    A mostly black map is similar to a black one nearly everywhere; so the mean is taken around the
    discs (of the label or of the answer), and the mean over everything enters with the weight
    `background`. Outside the mask the answer is replaced by the label, so windows across its edge
    stay fair.
    """
    fake = fake.float() * mask + real * (1 - mask)
    half = SSIM_WINDOW // 2
    with torch.no_grad():
        either = torch.maximum(fake, real).amax(dim=1, keepdim=True)
        near = functional.max_pool2d(either, 2 * half - 3, stride=1, padding=half - 2)
    unlike = 1 - ssim_map(fake, real)
    at_discs, everywhere = masked_mean(unlike, mask * near), masked_mean(unlike, mask)
    return (at_discs + background * everywhere) / (1 + background)


def psnr_loss(fake: Tensor, real: Tensor, mask: Tensor, ceiling_db: float = 40.0) -> Tensor:
    """Return how far the peak signal-to-noise ratio falls short of a ceiling, as a fraction.

    ``PSNR = -10 log10(MSE)`` for a peak of 1. The ceiling is added to the MSE as a floor: the
    gradient of the logarithm would explode as the MSE goes to zero.
    """
    error = masked_mean((fake.float() - real) ** 2, mask)
    floor = 10 ** (-ceiling_db / 10)
    psnr = -10 / math.log(10) * torch.log(error + floor)
    return 1 - psnr / ceiling_db


def pixel_weight(real: Tensor, mask: Tensor, peak_weight: float) -> Tensor:
    """Return the weight of each pixel: the mask, more on discs, (N, C, Y, X)."""
    return mask * (1 + peak_weight * real)


def mse_loss(fake: Tensor, real: Tensor, mask: Tensor, peak_weight: float = 0.0) -> Tensor:
    """Return the mean squared error, discs counting `1 + peak_weight` times."""
    return masked_mean((fake.float() - real) ** 2, pixel_weight(real, mask, peak_weight))


def bce_loss(fake: Tensor, real: Tensor, mask: Tensor, peak_weight: float = 0.0) -> Tensor:
    """Return the binary cross-entropy, discs counting `1 + peak_weight` times."""
    entropy = functional.binary_cross_entropy(fake.float().clamp(0, 1), real, reduction="none")
    return masked_mean(entropy, pixel_weight(real, mask, peak_weight))


def adversarial_loss(log_probability: Tensor) -> Tensor:
    """Return how badly the generator deceives: ``-log P(drawn | its map)``, averaged.

    The form of Goodfellow et al. (2014) whose gradient does not vanish while the discriminator
    wins.

    Parameters
    ----------
    log_probability : (N, 2) tensor
        The discriminator's answer for the generator's maps; class 0 is "drawn".
    """
    return -log_probability[:, 0].mean()


def discriminator_loss(log_real: Tensor, log_fake: Tensor, form: JudgeLoss = "mse") -> Tensor:
    """Return how badly the discriminator tells drawn maps from generated ones.

    ``mse`` is our reading of "the loss function of the discriminator model is the MSE of the output
    images and fake images" (Chen et al. 2023): taken literally it holds no weight of the
    discriminator, so it would have no gradient; the two softmax outputs for output images are
    compared with (1, 0), those for fake images with (0, 1). It is 0 where all are told apart, 1/2
    at chance, at most 2. ``cross_entropy`` is the loss of Goodfellow et al. (2014),
    ``-log P(drawn | drawn) - log P(generated | generated)``: 2 log 2 at chance.

    Parameters
    ----------
    log_real, log_fake : (N, 2) tensors
        Logarithms of the softmax for drawn and for generated maps.
    form : {"mse", "cross_entropy"}
    """
    if form == "cross_entropy":
        return -(log_real[:, 0].mean() + log_fake[:, 1].mean())
    drawn = torch.tensor([1.0, 0.0], device=log_real.device)
    return ((log_real.exp() - drawn) ** 2).mean() + ((log_fake.exp() - (1 - drawn)) ** 2).mean()


def generator_loss(
    fake: Tensor,
    real: Tensor,
    mask: Tensor,
    weights: LossWeights,
    log_fake: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Add up the generator's loss.

    Parameters
    ----------
    fake, real : (N, C, Y, X) tensors
        Probability maps and output maps.
    mask : (N, 1, Y, X) tensor
    weights : LossWeights
    log_fake : (N, 2) tensor, optional
        The discriminator's answer for `fake`, where there is one.

    Returns
    -------
    total : scalar tensor
    parts : dict
        Each term before its weight, detached.
    """
    parts: dict[str, Tensor] = {}
    if weights.ssim:
        parts["ssim"] = ssim_loss(fake, real, mask, weights.ssim_background)
    if weights.psnr:
        parts["psnr"] = psnr_loss(fake, real, mask, weights.psnr_ceiling_db)
    if weights.mse:
        parts["mse"] = mse_loss(fake, real, mask, weights.peak_weight)
    if weights.bce:
        parts["bce"] = bce_loss(fake, real, mask, weights.peak_weight)
    if weights.adversarial and log_fake is not None:
        parts["adversarial"] = adversarial_loss(log_fake)
    total = fake.sum() * 0
    for name, value in parts.items():
        total = total + getattr(weights, name) * value
    return total, {name: value.detach() for name, value in parts.items()}
