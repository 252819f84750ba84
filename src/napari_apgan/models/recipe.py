"""What a preset is made of: a network and the recipe of its training. Free of torch.

Every number a preset fixes is a field here, so that the docks can show it, `run.json` can keep it
and a user can change it without touching code.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

#: What a network's size options may be.
Option = int | float | bool | str | tuple[int, ...]
#: How a network's output channels stand for elements: one each, or the colours of a picture.
Coding = Literal["elements", "rgb"]
#: What the discriminator's softmax is held against its labels with.
JudgeLoss = Literal["mse", "cross_entropy"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkSpec(_Frozen):
    """Which network, how large, and what a caller must know to run it on tiles.

    Parameters
    ----------
    kind : str
        Key of the builder in :data:`napari_apgan.models.networks.BUILDERS`.
    options : mapping
        Arguments of that builder.
    receptive_field_px : int
        Width of the square of input pixels that one output pixel can depend on.
    stride : int
        The network's answer is the same for whole-pixel shifts that are multiples of this; tile
        origins must be too.
    coding : {"elements", "rgb"}
        What the network draws: one channel per element, or a picture of three colours in which
        at most three elements have colours (:func:`napari_apgan.maps.color_code`), as Chen et al.
        2023 do. Either way a model answers with one map per element.
    """

    kind: str
    options: dict[str, Option] = Field(default_factory=dict)
    receptive_field_px: int = Field(gt=0)
    stride: int = Field(default=1, gt=0)
    coding: Coding = "elements"


class LossWeights(_Frozen):
    """Weights of the terms of the generator's loss; a term of weight 0 is not computed.

    Parameters
    ----------
    adversarial : float
        ``-log`` of the discriminator's probability that the map is a drawn one.
    ssim : float
        1 - structural similarity, peaks weighted.
    psnr : float
        Peak signal-to-noise ratio, as the fraction missing to its ceiling.
    mse, bce : float
        Mean squared error and binary cross-entropy by pixel.
    peak_weight : float
        How much more than a background pixel a pixel of a disc counts in `mse` and `bce`.
    ssim_background : float
        Weight of the mean over all pixels in the SSIM loss, beside the mean around the discs.
    psnr_ceiling_db : float
        Above this PSNR the loss flattens out, which keeps its gradient finite.
    """

    adversarial: float = Field(default=0.0, ge=0)
    ssim: float = Field(default=0.0, ge=0)
    psnr: float = Field(default=0.0, ge=0)
    mse: float = Field(default=0.0, ge=0)
    bce: float = Field(default=0.0, ge=0)
    peak_weight: float = Field(default=0.0, ge=0)
    ssim_background: float = Field(default=0.1, gt=0, le=1)
    psnr_ceiling_db: float = Field(default=40.0, gt=0)


class Augmentation(_Frozen):
    """Random changes made to each crop, drawn afresh every time.

    Parameters
    ----------
    flip : bool
        Mirror images and quarter turns, which interpolate nothing.
    rotate : bool
        Any angle; False leaves quarter turns alone.
    scale : float
        Relative range of the magnification: 0.1 means 0.9 to 1.1. Discs keep their radius.
    contrast, brightness : float
        Ranges of a relative gain and of an offset, in units of the normalised image.
    gradient : float
        Largest slope of an added plane, as its height across the crop.
    background : float
        Largest standard deviation of an added smooth surface with five knots a side: thickness,
        contamination, a support that is not the same everywhere.
    gamma : float
        Largest absolute exponent of a smooth monotonic change of grey values.
    noise : float
        Largest standard deviation of added white noise, in units of the normalised image.
    blur_px : float
        Largest standard deviation of a Gaussian blur.
    row_jitter_px : float
        Largest standard deviation of a random shift of single rows, as scans have it.
    near_atoms : float
        Fraction of the crops laid around an atom, each element as often as any other; the others
        lie anywhere in the labelled area. Where atoms are few, or one element is rare, most places
        show none.
    dropout : float
        Largest fraction of pixels taken away (and marked as missing).
    dropout_chance : float
        Fraction of the crops that lose pixels at all.
    enough_atoms : int
        With this many labelled atoms half of the crops stay *plain*: mirrored and turned by
        quarters alone, with the grey values and the noise of their frame. With n of them the part
        is ``n / (n + enough_atoms)``: where labels abound, changes mislead more than they teach,
        since interpolation smooths turned crops and added noise comes on top. 0: none are plain.
    until : float
        Fraction of the budget after which all crops are plain, so that the network ends on images
        such as it will see.
    """

    flip: bool = True
    rotate: bool = False
    scale: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)
    brightness: float = Field(default=0.0, ge=0)
    gradient: float = Field(default=0.0, ge=0)
    background: float = Field(default=0.0, ge=0)
    gamma: float = Field(default=0.0, ge=0)
    noise: float = Field(default=0.0, ge=0)
    blur_px: float = Field(default=0.0, ge=0)
    row_jitter_px: float = Field(default=0.0, ge=0)
    near_atoms: float = Field(default=0.0, ge=0, le=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    dropout_chance: float = Field(default=0.0, ge=0, le=1)
    enough_atoms: int = Field(default=0, ge=0)
    until: float = Field(default=1.0, ge=0, le=1)

    @property
    def plain(self) -> Augmentation:
        """The same without all that changes grey values or interpolates."""
        return Augmentation(flip=self.flip, near_atoms=self.near_atoms)


class Recipe(_Frozen):
    """How a network is trained.

    The budget ends at `epochs`, `steps` or `minutes`, whichever comes first; at least one is set.

    Parameters
    ----------
    epochs, steps, minutes : optional
        One epoch shows as many crops as would cover the labelled area once.
    crop_px : int
        Side of the square crops (smaller where the frames are).
    batch : int
        Crops a step; halved when memory runs out.
    rate : float
        Learning rate of Adam.
    muon_rate : float
        Learning rate of Muon, which then trains the inner convolutions of the generator; Adam
        keeps its biases and the layer that draws the maps. 0: Adam trains all.
    warm_rate : float
        Part of the rates for a run that continues from a model of the same atoms, which high ones
        would make forget.
    discriminator_rate : float
        The same for the discriminator.
    discriminator_loss : {"mse", "cross_entropy"}
        Mean squared error of its softmax against one-hot labels, or the cross-entropy of
        Goodfellow et al. (2014).
    betas : (float, float)
        Adam's averages of the gradient and of its square.
    weight_decay : float
        Decoupled decay (AdamW).
    warmup_steps : int
        Steps over which the rate rises from zero.
    decay_from : float
        Fraction of the budget after which the rate falls to zero; 1: never.
    decay : {"linear", "cosine"}
        Whether it falls along a straight line or along half a cosine.
    clip_norm : float
        Largest norm of the gradient; 0: not clipped.
    ema : float
        Decay of the averaged weights that are validated and saved; 0: the weights themselves.
    validate_every : int
        Steps between two validations; 0: after every epoch.
    patience : int
        Validations without gain after which training stops early; 0: never.
    weights, augmentation
        See there.
    """

    epochs: int | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0)
    minutes: float | None = Field(default=None, gt=0)
    crop_px: int = Field(default=256, ge=16)
    batch: int = Field(default=4, gt=0)
    rate: float = Field(default=1e-3, gt=0)
    muon_rate: float = Field(default=0.0, ge=0)
    warm_rate: float = Field(default=1.0, gt=0, le=1)
    discriminator_rate: float = Field(default=1e-4, gt=0)
    discriminator_loss: JudgeLoss = "mse"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(default=0.0, ge=0)
    warmup_steps: int = Field(default=0, ge=0)
    decay_from: float = Field(default=1.0, ge=0, le=1)
    decay: Literal["linear", "cosine"] = "linear"
    clip_norm: float = Field(default=0.0, ge=0)
    ema: float = Field(default=0.0, ge=0, lt=1)
    validate_every: int = Field(default=0, ge=0)
    patience: int = Field(default=0, ge=0)
    weights: LossWeights = LossWeights(mse=1.0)
    augmentation: Augmentation = Augmentation()


class Preset(_Frozen):
    """A network with its training recipe, under the name users know.

    Parameters
    ----------
    name, title, summary : str
        Key, label and one sentence for the user.
    network : NetworkSpec
    discriminator : NetworkSpec, optional
        For adversarial training; not built where the adversarial weight is zero.
    recipe : Recipe
    normalisation : str
        Key of :data:`napari_apgan.models.normalise.NORMALISERS`.
    """

    name: str
    title: str
    summary: str
    network: NetworkSpec
    discriminator: NetworkSpec | None = None
    recipe: Recipe
    normalisation: Literal["robust", "contrast"] = "robust"
