"""Regions: what lies inside, and where may be learned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_apgan.regions import Region, learn_mask


def test_a_rectangle_covers_its_pixels() -> None:
    mask = Region.rectangle(1.5, 0.5, 4.5, 2.5).mask((5, 8))
    expected = np.zeros((5, 8), bool)
    expected[1:3, 2:5] = True
    np.testing.assert_array_equal(mask, expected)


def test_the_whole_frame_is_every_pixel() -> None:
    assert Region.whole((5, 8)).mask((5, 8)).all()


def test_what_lies_outside_the_frame_is_cut_off() -> None:
    mask = Region.rectangle(-100, -100, 2.5, 100).mask((4, 6))
    assert mask.sum() == 12
    assert not Region.rectangle(50, 50, 60, 60).mask((4, 6)).any()


def test_a_concave_polygon_has_its_notch() -> None:
    notched = Region(id=0, polygon=((0, 0), (10, 0), (10, 10), (5, 5), (0, 10)))
    points = np.array([[5, 4], [5, 8], [1, 8], [9, 8], [11, 5], [-1, 5]])
    assert notched.contains(points).tolist() == [True, False, True, True, False, False]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 25), st.floats(-5, 20)), min_size=3, max_size=6),
)
def test_mask_and_contains_agree(corners: list[tuple[float, float]]) -> None:
    region = Region(id=1, polygon=tuple(corners))
    yy, xx = np.mgrid[0:15, 0:20]
    inside = region.contains(np.column_stack([xx.ravel(), yy.ravel()])).reshape(15, 20)
    np.testing.assert_array_equal(region.mask((15, 20)), inside)


def test_the_order_of_corners_does_not_matter() -> None:
    corners = ((1.2, 0.3), (9.0, 2.0), (4.0, 8.5))
    points = np.random.default_rng(0).random((200, 2)) * 10
    forth = Region(id=0, polygon=corners).contains(points)
    back = Region(id=0, polygon=corners[::-1]).contains(points)
    assert 0 < forth.sum() < 200
    np.testing.assert_array_equal(forth, back)


def test_ignored_areas_are_never_learned_from() -> None:
    complete = Region.rectangle(-0.5, -0.5, 5.5, 3.5)
    ignored = Region.rectangle(1.5, -0.5, 3.5, 9, id=1, kind="ignore")
    mask = learn_mask([ignored, complete], (6, 8))
    assert mask.sum() == 4 * 4
    assert not mask[:, 2:4].any()
    assert not learn_mask([ignored], (6, 8)).any()


def test_held_out_regions_can_be_told_apart() -> None:
    train = Region.rectangle(-0.5, -0.5, 1.5, 1.5)
    held = Region.rectangle(3.5, -0.5, 4.5, 1.5, id=1).model_copy(update={"held_out": True})
    assert learn_mask([train, held], (6, 8)).sum() == 4 + 2
    assert learn_mask([train, held], (6, 8), held_out=False).sum() == 4
    assert learn_mask([train, held], (6, 8), held_out=True).sum() == 2


@pytest.mark.parametrize("polygon", [((0, 0), (1, 1)), ((0, 0), (1, 1), (float("nan"), 2))])
def test_a_region_needs_three_finite_corners(polygon: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValidationError, match="three corners"):
        Region(id=0, polygon=polygon)


def test_a_region_survives_json() -> None:
    region = Region.rectangle(0.1, 1 / 3, 9, 9, id=4, kind="ignore")
    assert Region.model_validate_json(region.model_dump_json()) == region


def test_vacuum_is_learned_and_what_is_painted_over_is_not() -> None:
    vacuum = Region.rectangle(-0.5, -0.5, 3.5, 5.5, kind="vacuum")
    assert learn_mask([vacuum], (6, 8)).sum() == 4 * 6
    complete = Region.rectangle(3.5, -0.5, 7.5, 5.5, id=1)
    assert learn_mask([vacuum, complete], (6, 8)).all()
    for kind in ("amorphous", "contamination", "ignore"):
        over = Region.rectangle(2.5, -0.5, 5.5, 5.5, id=2, kind=kind)
        mask = learn_mask([vacuum, over, complete], (6, 8))
        assert mask.sum() == 5 * 6
        assert not mask[:, 3:6].any()


def test_a_polygon_with_a_hole_that_a_cut_joins_to_the_outside() -> None:
    outer = ((0.5, 0.5), (9.5, 0.5), (9.5, 9.5), (0.5, 9.5))
    hole = ((3.5, 3.5), (6.5, 3.5), (6.5, 6.5), (3.5, 6.5))
    region = Region(id=0, polygon=(*outer, outer[0], hole[0], *hole[1:], hole[0]))
    expected = np.zeros((12, 12), bool)
    expected[1:10, 1:10] = True
    expected[4:7, 4:7] = False
    np.testing.assert_array_equal(region.mask((12, 12)), expected)
