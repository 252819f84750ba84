"""The recipe of the `fast` preset: our own small network, for laptops."""

from __future__ import annotations

from .recipe import Augmentation, LossWeights, NetworkSpec, Preset, Recipe

FAST = Preset(
    name="fast",
    title="Fast",
    summary=(
        "A small network that knows about missing pixels; minutes on a laptop, "
        "for most images the first choice."
    ),
    network=NetworkSpec(
        kind="fast",
        options={"channels": 32, "dilations": (1, 2, 4, 8, 4, 2, 1), "fold": 2, "mask": True},
        receptive_field_px=179,
        stride=4,
    ),
    # Built only where the adversarial weight is not zero.
    discriminator=NetworkSpec(
        kind="paper_discriminator",
        options={"widths": (16, 32, 64)},
        receptive_field_px=29,
        stride=8,
    ),
    normalisation="contrast",
    recipe=Recipe(
        steps=6000,
        minutes=5.0,
        crop_px=96,
        batch=2,
        rate=4e-3,
        muon_rate=0.02,
        warm_rate=0.25,
        weight_decay=1e-3,
        warmup_steps=20,
        decay_from=0.0,
        decay="cosine",
        clip_norm=1.0,
        ema=0.98,
        validate_every=200,
        # Half of five minutes on one core: positions still gain 2 % while the rate falls, and F1
        # cannot tell.
        patience=20,
        weights=LossWeights(bce=1.0, peak_weight=3.0),
        augmentation=Augmentation(
            flip=True,
            rotate=True,
            scale=0.25,
            contrast=0.3,
            brightness=0.3,
            gradient=0.3,
            background=0.3,
            gamma=0.2,
            noise=0.6,
            blur_px=1.0,
            near_atoms=0.6,
            dropout=0.5,
            dropout_chance=0.2,
            enough_atoms=1000,
            until=0.65,
        ),
    ),
)
