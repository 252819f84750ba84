"""Batches: their shapes, their sizes, and that they come only from what may be learned."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from napari_apgan.errors import UserError
from napari_apgan.io.pairs import Pair
from napari_apgan.models.recipe import Augmentation, Recipe
from napari_apgan.regions import Region, learn_mask
from napari_apgan.train.dataset import Dataset
from napari_apgan.train.split import Split, split_pairs

from .conftest import lattice_pair

NAMES = ["Pb", "Ti"]


def dataset(pairs: list[Pair], split: Split | None = None, **recipe: object) -> Dataset:
    split = split or split_pairs(
        pairs, NAMES, fraction=0.2, receptive_field_px=20, radius_px=2.0, seed=0
    )
    chosen = {"steps": 1, "batch": 3, "crop_px": 128} | recipe
    settings = Recipe.model_validate(chosen)
    return Dataset(pairs, split, NAMES, {"Pb": 2.0, "Ti": 2.0}, settings, "robust", 0)


def test_a_batch_is_input_output_map_and_mask() -> None:
    batch = dataset([lattice_pair()], crop_px=32).draw()
    assert batch.x.shape == (3, 2, 32, 32)
    assert batch.target.shape == (3, 2, 32, 32)
    assert batch.mask.shape == (3, 1, 32, 32)
    assert batch.x.dtype == batch.target.dtype == batch.mask.dtype == torch.float32
    assert set(batch.x[:, 1].unique().tolist()) <= {0.0, 1.0}
    assert batch.target.max() == 1
    assert len(batch.first(2).x) == 2


@pytest.mark.parametrize(
    ("size", "regions", "side"),
    [
        (200, None, 128),  # as the recipe wants
        (90, None, 96),  # not beyond the frame
        (200, (Region.rectangle(50, 50, 90, 110),), 96),  # not far beyond the labels
        (200, (Region.rectangle(50, 50, 70, 70),), 64),  # but never tiny
    ],
)
def test_crops_are_as_large_as_the_labels_need(
    size: int, regions: tuple[Region, ...] | None, side: int
) -> None:
    pair = lattice_pair(size=size, regions=regions)
    learn = [learn_mask(pair.regions, pair.frame.shape)]
    everything = Split("none", learn, learn, 0.0, "")
    assert dataset([pair], everything).side == side


def test_frames_are_drawn_as_often_as_their_labelled_area_deserves() -> None:
    small = lattice_pair("a", regions=(Region.rectangle(0, 0, 20, 20),))
    train = dataset([small, lattice_pair("b", seed=1)], crop_px=32)
    assert train._chance[1] > 5 * train._chance[0]
    assert train.crops_per_epoch >= 2


def test_the_order_of_batches_follows_the_seed() -> None:
    settings = Augmentation(rotate=True, noise=0.3)
    one, two = (dataset([lattice_pair()], augmentation=settings) for _ in range(2))
    for _ in range(2):
        assert torch.equal(one.draw().x, two.draw().x)
    assert not torch.equal(one.draw().x, one.draw().x)


LOUD = Augmentation(flip=False, rotate=True, brightness=50.0, dropout=0.9, dropout_chance=1.0)


def changed_crops(train: Dataset, used: float, n: int = 40) -> int:
    """Count crops whose grey values were changed: an offset of 50 leaves no value near zero."""
    return sum(float(train.draw(used).x[0, 0].abs().max()) > 12 for _ in range(n))


def test_at_the_end_of_the_budget_crops_are_as_the_frames_are() -> None:
    changes = LOUD.model_copy(update={"until": 0.6})
    train = dataset([lattice_pair()], batch=1, crop_px=32, augmentation=changes)
    assert changed_crops(train, 0.59) > 25
    assert changed_crops(train, 0.6) == 0
    frame = train._frames[0].image
    crop = train.draw(0.9)
    assert crop.x[0, 1].all()
    windows = np.lib.stride_tricks.sliding_window_view(frame, (32, 32))
    assert (windows == crop.x[0, 0].numpy()).all(axis=(2, 3)).any()


def test_the_more_atoms_are_labelled_the_more_crops_stay_as_they_are() -> None:
    pair = lattice_pair(size=128)
    few = dataset([pair], batch=1, crop_px=32, augmentation=LOUD)
    assert few.plain_share == 0
    n_atoms = sum(map(len, few._atoms))
    half = LOUD.model_copy(update={"enough_atoms": n_atoms})
    train = dataset([pair], batch=1, crop_px=32, augmentation=half)
    assert train.plain_share == 0.5
    assert 8 < changed_crops(train, 0.0) < 32


def test_nothing_to_learn_is_one_sentence() -> None:
    pair = lattice_pair(regions=(Region.whole((64, 64)).model_copy(update={"kind": "ignore"}),))
    with pytest.raises(UserError, match="Nothing is left to train on"):
        dataset([pair])


def test_rare_atoms_are_shown_as_often_as_common_ones() -> None:
    pair = lattice_pair(size=200)
    atoms = pair.atoms.copy()
    rare = [int(np.argmin(np.hypot(atoms.x_px - 100, atoms.y_px - 100)))]
    atoms["element"] = np.where(np.isin(np.arange(len(atoms)), rare), "Ti", "Pb")
    pair = dataclasses.replace(pair, atoms=atoms)
    learn = [np.ones(pair.frame.shape, bool)]
    seen = {}
    for fraction in (0.0, 1.0):
        train = dataset(
            [pair],
            Split("none", learn, learn, 0.0, ""),
            crop_px=32,
            batch=60,
            augmentation=Augmentation(near_atoms=fraction),
        )
        seen[fraction] = float((train.draw().target[:, 1].amax(dim=(1, 2)) > 0).float().mean())
    assert seen[0.0] < 0.15
    assert 0.3 < seen[1.0] < 0.8
