"""The presets a user chooses from. A new one is an entry here and a builder in `networks`."""

from __future__ import annotations

from napari_apgan.errors import UserError

from .preset_fast import FAST
from .preset_fcn import FCN1, FCN2
from .recipe import (
    Augmentation,
    LossWeights,
    NetworkSpec,
    Preset,
    Recipe,
)

__all__ = [
    "PRESETS",
    "Augmentation",
    "LossWeights",
    "NetworkSpec",
    "Preset",
    "Recipe",
    "get_preset",
]

#: The AP-GAN of Chen et al., Sci. Rep. 13, 2631 (2023). What the paper leaves open (its weights
#: and rates are in a supplement) is chosen here, searched on a reduced twin as far as
#: docs/benchmarks.md tells, and explained in docs/paper.md.
PAPER = Preset(
    name="paper",
    title="Paper (AP-GAN)",
    summary=(
        "The generator and discriminator of Chen et al. 2023, 400 epochs; slow without a GPU, "
        "for comparison with the paper."
    ),
    network=NetworkSpec(
        kind="paper",
        options={"blocks": 15, "channels": 64},
        receptive_field_px=79,
        stride=1,
    ),
    discriminator=NetworkSpec(
        kind="paper_discriminator",
        options={"widths": (32, 64, 128, 256)},
        receptive_field_px=61,
        stride=16,
    ),
    recipe=Recipe(
        epochs=400,
        crop_px=256,
        batch=2,
        rate=1e-3,
        discriminator_rate=1e-4,
        betas=(0.9, 0.999),
        weights=LossWeights(adversarial=0.01, ssim=1.0, psnr=1.0),
        augmentation=Augmentation(flip=True),
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (FAST, PAPER, FCN1, FCN2)}


def get_preset(name: str) -> Preset:
    """Return the preset called `name`; `UserError` when there is none."""
    try:
        return PRESETS[name]
    except KeyError:
        raise UserError(
            f"There is no preset called {name!r}: choose one of {', '.join(PRESETS)}."
        ) from None
