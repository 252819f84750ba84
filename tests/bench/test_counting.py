"""Counting matches in a box, and intervals of paired gains."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.bench.counting import Counts, Found, count, paired_gain, pooled_f1
from napari_apgan.bench.ptnc import LEVELS, choose_threshold
from napari_apgan.frames import make_frame
from napari_apgan.io.pairs import Pair

BOX = (10.0, 0.0, 20.0, 20.0)


def test_a_match_across_the_edge_of_the_box_is_counted_by_its_true_atom() -> None:
    inside_found_outside = count(np.array([[9.5, 5.0]]), np.array([[10.5, 5.0]]), 2.0, BOX)
    assert inside_found_outside == Counts(matched=1, false=0, missed=0)
    outside_found_inside = count(np.array([[10.5, 5.0]]), np.array([[9.5, 5.0]]), 2.0, BOX)
    assert outside_found_inside == Counts(matched=0, false=0, missed=0)


def test_false_and_missed_atoms_count_only_inside_the_box() -> None:
    found = np.array([[15.0, 5.0], [15.0, 15.0], [5.0, 15.0]])
    truth = np.array([[15.5, 5.0], [12.0, 10.0], [3.0, 3.0]])
    assert count(found, truth, 2.0, BOX) == Counts(matched=1, false=1, missed=1)
    assert count(found, truth, 2.0) == Counts(matched=1, false=2, missed=2)


def test_pooled_f1_weighs_atoms_not_images() -> None:
    counts = [Counts(1, 0, 0), Counts(0, 0, 3)]
    assert pooled_f1(counts) == pytest.approx(2 / 5)
    assert Counts().f1 == 0.0


def test_a_gain_in_every_group_has_an_interval_above_zero_and_noise_has_not() -> None:
    rng = np.random.default_rng(0)
    hits = rng.integers(20, 40, size=8)
    theirs = [[Counts(int(h), 30, 30)] for h in hits]
    better = [[Counts(int(h) + 6, 26, 24)] for h in hits]
    gain = paired_gain(better, theirs)
    assert 0 < gain.low < gain.value < gain.high
    swing = np.array([-6, 6] * 4)
    mixed = [
        [Counts(int(h + s), int(30 - s), int(30 - s))] for h, s in zip(hits, swing, strict=True)
    ]
    noise = paired_gain(mixed, theirs)
    assert noise.low < 0 < noise.high


def test_images_of_one_field_are_drawn_together() -> None:
    good, bad, usual = Counts(30, 5, 5), Counts(10, 25, 25), Counts(20, 15, 15)
    apart = paired_gain([[good], [good], [bad], [bad]] * 3, [[usual]] * 12)
    together = paired_gain([[good, good], [bad, bad]] * 3, [[usual, usual]] * 6)
    assert together.value == pytest.approx(apart.value)
    assert together.high - together.low > apart.high - apart.low


def test_the_threshold_lies_between_true_and_false_atoms() -> None:
    truth = np.array([[10.0, 10.0], [30.0, 30.0], [50.0, 10.0]])
    false = np.array([[10.0, 50.0], [50.0, 50.0]])
    found = Found(np.vstack([truth, false]), np.array([0.8, 0.75, 0.7, 0.4, 0.35]))
    pair = Pair(
        "image", make_frame(np.random.default_rng(0).random((64, 64))), make_atoms(truth, "Pt")
    )
    level = choose_threshold([found], [pair])
    assert level in LEVELS
    assert 0.4 < level < 0.7
    assert len(found.above(level)) == 3


def test_a_relative_threshold_follows_the_strength_of_the_image() -> None:
    xy = np.arange(20.0).reshape(10, 2)
    strength = np.linspace(0.1, 1.0, 10)
    strong, weak = Found(xy, strength), Found(xy, strength / 5)
    assert len(strong.above(1.0, relative=True)) == len(weak.above(1.0, relative=True)) == 5
    assert len(weak.above(0.5)) == 0
    assert len(Found(xy[:0], strength[:0]).above(0.5, relative=True)) == 0
