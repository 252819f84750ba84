"""An endless stream never repeats its noise, and does not depend on when it is asked."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.simulate import EXAMPLES, FrameStream, simulate_pair
from napari_apgan.simulate.settings import changed
from napari_apgan.simulate.stream import (
    EXPOSURES,
    LANES,
    VIEWS,
    elements_of,
    held_out_pairs,
)

SMALL = changed(EXAMPLES["graphene"], {"shape": (64, 64), "structure": {"holes": 0}})
#: Frames until every lane has built its second structure.
ROUND = LANES * VIEWS * EXPOSURES


def test_no_two_frames_have_the_same_noise():
    frames = list(islice(FrameStream(SMALL, 1), 3 * LANES * EXPOSURES))
    noise = [f.frame.data - f.frame.data.mean() for f in frames]
    for k, one in enumerate(noise):
        for other in noise[k + 1 :]:
            assert not np.array_equal(one, other)


def test_a_view_is_recorded_several_times_then_left():
    stream = FrameStream(SMALL, 1)
    frames = [stream.frame(k) for k in range(0, LANES * 2 * EXPOSURES, LANES)]
    first = positions(frames[0].atoms)
    for again in frames[1:EXPOSURES]:
        np.testing.assert_array_equal(positions(again.atoms), first)
        # The same columns under other noise.
        assert not np.array_equal(again.frame.data, frames[0].frame.data)
    later = positions(frames[EXPOSURES].atoms)
    assert later.shape != first.shape or not np.allclose(later, first)
    assert not np.array_equal(positions(stream.frame(1).atoms)[:9], first[:9])


def test_a_frame_follows_from_its_number_alone():
    in_order = list(islice(FrameStream(SMALL, 3), 2 * LANES * EXPOSURES))
    asked_for = FrameStream(SMALL, 3)
    for number in (2 * LANES * EXPOSURES - 1, 0, 5, ROUND, 9):
        if number < len(in_order):
            frame = asked_for.frame(number)
            np.testing.assert_array_equal(frame.frame.data, in_order[number].frame.data)
            np.testing.assert_array_equal(positions(frame.atoms), positions(in_order[number].atoms))
    other = FrameStream(SMALL, 4).frame(0)
    assert not np.array_equal(other.frame.data, in_order[0].frame.data)


def test_a_stream_shows_none_of_the_pairs_of_its_seed():
    frame = FrameStream(SMALL, 0).frame(0)
    for made in (simulate_pair(SMALL, 0, 0).pair, *held_out_pairs(SMALL, 2, 0)):
        assert not np.array_equal(made.frame.data, frame.frame.data)
        assert not np.array_equal(positions(made.atoms)[:9], positions(frame.atoms)[:9])


def test_displacements_are_as_asked_for_in_every_view():
    still = changed(SMALL, {"structure": {"displacement_pm": 0.0, "lines": "none"}})
    moved = changed(still, {"structure": {"displacement_pm": 12.0}})
    for number in (0, LANES * EXPOSURES):
        # The first draws are those of the displacements, so only the same lattice is compared.
        a, b = (FrameStream(s, 2).frame(number) for s in (still, moved))
        assert len(a.atoms) == pytest.approx(len(b.atoms), abs=12)
        gaps = [_spacings(p) * 23.0 for p in (a, b)]
        assert gaps[0].std() < gaps[1].std()


def _spacings(pair):
    from scipy.spatial import cKDTree

    xy = positions(pair.atoms)
    return cKDTree(xy).query(xy, k=2)[0][:, 1]


def test_elements_are_known_beforehand():
    assert elements_of(SMALL) == ["C"]
    assert set(elements_of(EXAMPLES["pto-sto"])) == {"Pb", "Sr", "Ti"}


def test_a_slow_engine_is_no_stream():
    slow = changed(SMALL, {"imaging": {"engine": "abtem"}})
    with pytest.raises(UserError, match="in passing"):
        FrameStream(slow)
