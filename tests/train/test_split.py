"""The same atoms are never both learned and scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.io.pairs import Pair
from napari_apgan.regions import Region, learn_mask
from napari_apgan.train.split import (
    Split,
    atoms_in,
    labelled_mask,
    split_folder,
    split_pairs,
)

from .conftest import lattice_pair

NAMES = ["Pb", "Ti"]


def split(pairs: list[Pair], **changes: object) -> Split:
    chosen = {"fraction": 0.2, "receptive_field_px": 169, "radius_px": 2.0, "seed": 0} | changes
    return split_pairs(pairs, NAMES, **chosen)  # type: ignore[arg-type]


def distance_between(train: np.ndarray, held: np.ndarray) -> float:
    a, b = np.argwhere(train), np.argwhere(held)
    return float(np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)).min())


def test_one_frame_gives_up_a_strip_with_a_gap() -> None:
    pair = lattice_pair()
    found = split([pair])
    assert found.kind == "blocks"
    train, held = found.train[0], found.validation[0]
    assert not (train & held).any()
    assert found.gap_px == 8  # 12 % of 64 px
    assert distance_between(train, held) >= found.gap_px
    counts = atoms_in(positions(pair.atoms), held).sum(), len(pair.atoms)
    assert 0.1 < counts[0] / counts[1] < 0.35


def test_the_strip_lies_where_every_element_is_on_both_sides() -> None:
    pair = lattice_pair(size=96)
    atoms = pair.atoms.copy()
    atoms["element"] = np.where(atoms.y_px < 48, "Pb", "Ti")
    found = split([Pair(pair.name, pair.frame, atoms, pair.regions)])
    for mask in (found.train[0], found.validation[0]):
        inside = atoms_in(positions(atoms), mask)
        assert set(atoms["element"][inside]) == {"Pb", "Ti"}


def test_many_frames_are_held_out_whole() -> None:
    pairs = [lattice_pair(str(k), seed=k) for k in range(6)]
    found = split(pairs)
    assert found.kind == "frames"
    for train, held in zip(found.train, found.validation, strict=True):
        assert train.any() != held.any()
    assert 1 <= sum(h.any() for h in found.validation) <= 2


def test_frames_of_one_source_stay_together() -> None:
    pairs = [lattice_pair(str(k), seed=k, source=f"movie {k % 4}") for k in range(12)]
    found = split(pairs)
    assert found.kind == "frames"
    held = {p.source for p, m in zip(pairs, found.validation, strict=True) if m.any()}
    trained = {p.source for p, m in zip(pairs, found.train, strict=True) if m.any()}
    assert held
    assert not held & trained


def test_a_series_is_split_by_area_at_the_same_place_in_every_frame() -> None:
    pairs = [lattice_pair(str(k), source="movie") for k in range(8)]
    found = split(pairs)
    assert found.kind == "blocks"
    assert not (np.logical_or.reduce(found.train) & np.logical_or.reduce(found.validation)).any()


def test_held_out_regions_win_and_hold_for_the_other_frames_of_the_source() -> None:
    whole = Region.whole((64, 64))
    held = Region.rectangle(32, -1, 64, 64, id=1).model_copy(update={"held_out": True})
    pairs = [
        lattice_pair("a", source="movie", regions=(whole, held)),
        lattice_pair("b", source="movie"),
        lattice_pair("c", source="other"),
    ]
    found = split(pairs)
    assert found.kind == "regions"
    for k in (0, 1):
        assert not found.train[k][:, 28:].any()
        assert found.train[k][:, :26].all()
    assert found.train[2].all()
    assert not found.validation[1].any()


def test_with_too_few_atoms_the_labels_themselves_are_scored_and_it_says_so() -> None:
    found = split([lattice_pair(regions=(Region.rectangle(0, 0, 20, 20),))])
    assert found.kind == "none"
    assert found.train[0].sum() == found.validation[0].sum() > 0
    assert "too few" in found.message


def test_the_same_seed_gives_the_same_split() -> None:
    pairs = [lattice_pair(str(k), seed=k) for k in range(6)]
    first, second = split(pairs, seed=4), split(pairs, seed=4)
    assert all(np.array_equal(a, b) for a, b in zip(first.train, second.train, strict=True))


def test_validation_pairs_of_their_own_are_not_trained_on() -> None:
    found = split_folder([lattice_pair("a")], [lattice_pair("b")], radius_px=2.0)
    assert [m.any() for m in found.train] == [True, False]
    assert [m.any() for m in found.validation] == [False, True]


@pytest.mark.parametrize("xy", [(-3.0, 5.0), (5.0, 64.2)])
def test_atoms_off_the_frame_lie_in_no_mask(xy: tuple[float, float]) -> None:
    assert not atoms_in(np.array([xy]), np.ones((64, 64), dtype=bool)).any()


def test_vacuum_is_taught_beside_complete_areas_and_painted_parts_are_not() -> None:
    pair = lattice_pair(size=64)
    complete = Region.rectangle(-0.5, -0.5, 39.5, 63.5)
    vacuum = Region.rectangle(39.5, -0.5, 63.5, 63.5, id=1, kind="vacuum")
    dirt = Region.rectangle(50, 30, 63.5, 63.5, id=2, kind="contamination")
    found = labelled_mask(replace(pair, regions=[complete, vacuum, dirt]), 3.0)
    assert found[10, 20]
    assert found[10, 40], "where both meet, nothing is cut off"
    assert found[10, 60]
    assert not found[40, 55]
    held = labelled_mask(replace(pair, regions=[complete, vacuum, dirt]), 3.0, held_out=True)
    assert not held.any()


def test_discs_cut_by_the_edge_of_what_is_labelled_are_not_taught() -> None:
    pair = lattice_pair(size=64)
    regions = [Region.rectangle(10, 0, 50, 63.5), Region.rectangle(20, 20, 40, 40, kind="ignore")]
    whole = learn_mask(regions, (64, 64))
    found = labelled_mask(replace(pair, regions=regions), 3.0)
    assert (found <= whole).all()
    # The frame's own edge is none of the labels'.
    assert found[0, 20]
    assert found[-2, 20]
    for row, column, taught in ((5, 12, False), (5, 13, True), (30, 17, False), (30, 16, True)):
        assert whole[row, column]
        assert found[row, column] == taught
    assert labelled_mask(replace(pair, regions=regions), 30.0).sum() == whole.sum()
