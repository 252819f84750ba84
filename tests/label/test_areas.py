"""Painted areas: a stroke becomes a polygon that covers what the brush went over."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_apgan.label.areas import outlines, paint
from napari_apgan.regions import Region

SHAPE = (90, 120)
YY, XX = np.mgrid[: SHAPE[0], : SHAPE[1]]


def covered(regions: list[Region], kind: str) -> np.ndarray:
    masks = [r.mask(SHAPE) for r in regions if r.kind == kind]
    return np.logical_or.reduce([np.zeros(SHAPE, bool), *masks])


def swept(path, radius) -> np.ndarray:
    """Say which pixels lie within a radius of a path, by the distance to each of its parts."""
    at = np.column_stack([XX.ravel(), YY.ravel()]).astype(float)
    points = np.asarray(path, float)
    near = np.hypot(*(at - points[0]).T)
    for a, b in pairwise(points):
        way = b - a
        part = np.clip((at - a) @ way / max(way @ way, 1e-12), 0, 1)
        near = np.minimum(near, np.hypot(*(at - a - part[:, None] * way).T))
    return (near <= radius).reshape(SHAPE)


def test_a_click_paints_a_disc_and_a_stroke_a_band():
    (disc,) = paint([], "vacuum", [(60.0, 40.0)], 9.0, SHAPE, free_id=3)
    assert (disc.id, disc.kind, disc.held_out) == (3, "vacuum", False)
    assert disc.mask(SHAPE).sum() == pytest.approx(np.pi * 81, rel=0.08)
    path = [(20.0, 20.0), (90.0, 25.0), (95.0, 70.0)]
    (band,) = paint([], "amorphous", path, 8.0, SHAPE, free_id=0)
    wrong = band.mask(SHAPE) ^ swept(path, 8.0)
    assert wrong.sum() < 0.06 * swept(path, 8.0).sum()
    assert len(band.polygon) < 60


def test_strokes_of_one_kind_grow_together_and_keep_the_first_id():
    regions = paint([], "vacuum", [(20.0, 20.0), (60.0, 20.0)], 8.0, SHAPE, free_id=0)
    regions = paint(regions, "vacuum", [(60.0, 20.0), (60.0, 60.0)], 8.0, SHAPE, free_id=1)
    assert [r.id for r in regions] == [0]
    regions = paint(regions, "vacuum", [(20.0, 60.0)], 8.0, SHAPE, free_id=1)
    assert [r.id for r in regions] == [0, 1]
    regions = paint(regions, "vacuum", [(20.0, 20.0), (20.0, 60.0)], 8.0, SHAPE, free_id=2)
    assert [r.id for r in regions] == [0], "the stroke that joins two makes one of them"
    assert covered(regions, "vacuum")[[20, 40, 60, 60], [40, 20, 20, 60]].all()


def test_a_ring_leaves_what_it_goes_around_free():
    turn = np.linspace(0, 2 * np.pi, 40)
    path = np.column_stack([60 + 28 * np.cos(turn), 45 + 28 * np.sin(turn)])
    (ring,) = paint([], "vacuum", path.tolist(), 7.0, SHAPE, free_id=0)
    mask = ring.mask(SHAPE)
    assert not mask[45, 60]
    assert mask[45, 88]
    assert (mask ^ swept(path, 7.0)).sum() < 0.06 * mask.sum()


def test_a_place_has_one_painted_kind_and_complete_regions_stay():
    complete = Region.rectangle(5, 5, 100, 80, id=0)
    regions = paint([complete], "amorphous", [(20.0, 40.0), (100.0, 40.0)], 10.0, SHAPE, free_id=1)
    regions = paint(regions, "contamination", [(60.0, 10.0), (60.0, 70.0)], 10.0, SHAPE, free_id=2)
    assert regions[0] == complete
    assert not (covered(regions, "amorphous") & covered(regions, "contamination")).any()
    assert sorted(r.id for r in regions) == [0, 1, 2, 3], "the first one fell into two parts"
    assert covered(regions, "contamination")[40, 60]


def test_rubbing_out_takes_from_every_painted_kind():
    regions = [
        Region.rectangle(5, 5, 50, 50, id=0),
        Region.rectangle(5, 5, 50, 50, id=1, kind="vacuum"),
        Region.rectangle(60, 5, 70, 15, id=2, kind="ignore"),
    ]
    left = paint(regions, None, [(65.0, 10.0), (30.0, 10.0)], 12.0, SHAPE, free_id=3)
    assert [r.id for r in left] == [0, 1], "what is wholly rubbed out is gone"
    assert left[0] == regions[0]
    assert not left[1].contains(np.array([[30.0, 10.0]]))[0]
    assert left[1].contains(np.array([[20.0, 40.0]]))[0]
    assert paint(regions, None, [(200.0, 200.0)], 5.0, SHAPE, free_id=3) == regions


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 0.6))
def test_outlines_hold_the_pixels_they_were_drawn_around(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.random((9, 12)) < density
    mask = np.kron(coarse, np.ones((6, 6))).astype(bool)
    found = outlines(mask, (0, 0), near_px=0.0)
    out = np.zeros(mask.shape, bool)
    for k, polygon in enumerate(found):
        out ^= Region(id=k, polygon=polygon).mask(mask.shape)
    # Contours cut each corner by half a pixel.
    assert (out ^ mask).sum() <= 0.02 * mask.size
