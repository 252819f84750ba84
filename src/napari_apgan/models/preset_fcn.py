"""The recipes of `fcn1` and `fcn2`: the networks the paper compares with, and nothing else new.

Both are trained with the mean squared error alone, without an adversary, on the crops, for the
epochs and with the augmentation of the `paper` preset, so that the comparison is one of methods.
The rate, Adam's usual 1e-3, is our choice; so is the budget. Neither was tuned.
"""

from __future__ import annotations

from .recipe import Augmentation, LossWeights, NetworkSpec, Preset, Recipe

_RECIPE = Recipe(
    epochs=400,
    crop_px=256,
    batch=2,
    rate=1e-3,
    weights=LossWeights(mse=1.0),
    augmentation=Augmentation(flip=True),
)

FCN1 = Preset(
    name="fcn1",
    title="FCN 1 (encoder-decoder)",
    summary=(
        "The encoder-decoder of Ziatdinov et al. 2017 with mean squared error; slow without a "
        "GPU, for comparison with the paper."
    ),
    network=NetworkSpec(kind="fcn1", options={"channels": 32}, receptive_field_px=117, stride=8),
    recipe=_RECIPE,
)

FCN2 = Preset(
    name="fcn2",
    title="FCN 2 (U-Net)",
    summary=(
        "The U-Net of Ghosh et al. 2021 with mean squared error, 400 epochs; for comparison with "
        "the paper."
    ),
    network=NetworkSpec(
        kind="fcn2",
        options={"channels": 16, "layers": (1, 2, 2, 3), "dropout": 0.0},
        receptive_field_px=129,
        stride=8,
    ),
    recipe=_RECIPE,
)
