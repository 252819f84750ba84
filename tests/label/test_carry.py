"""Labels go with the drift to the next frame, each to its own peak, or are left out."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, make_frame
from napari_apgan.label import snap
from napari_apgan.label.carry import NO_PEAK, OUTSIDE, SHARED, TAKEN, carry
from napari_apgan.label.snapping import snap_many

SHAPE = (150, 170)


def picture(xy, heights=None, *, noise=0.05, seed=0) -> Frame:
    """Draw columns at (N, 2) places on a slope that tells where the frame lies."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    image = rng.normal(0, noise, SHAPE)
    for (x, y), h in zip(xy, np.ones(len(xy)) if heights is None else heights, strict=True):
        image += h * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 2.2**2))
    return make_frame(image.astype(np.float32))


def island(shift=(0.0, 0.0)) -> np.ndarray:
    """Return (N, 2) columns of a particle with vacuum around it, which drifts as a whole."""
    xs, ys = np.meshgrid(np.arange(40, 125, 12.0), np.arange(35, 110, 12.0))
    return np.column_stack([xs.ravel(), ys.ravel()]) + shift


@pytest.mark.parametrize("shift", [(0.3, -0.4), (4.6, -7.2), (-17.0, 9.5)])
def test_labels_follow_the_drift_to_their_own_peaks(shift):
    here, there = picture(island()), picture(island(shift), seed=1)
    rng = np.random.default_rng(2)
    names = rng.choice(["Pb", "Ti"], len(island())).tolist()
    labels = make_atoms(island(), names, sublattice="A")
    got = carry(here, there, labels, {})
    assert got.left_out == {}
    assert np.allclose(got.drift_px, shift, atol=1.0)
    assert np.abs(positions(got.atoms) - island(shift)).max() < 0.5
    assert got.atoms["element"].tolist() == names
    assert set(got.atoms["sublattice"]) == {"A"}
    assert set(got.atoms["origin"]) == {"detected"}


def test_what_does_not_snap_is_left_out_and_counted():
    shift = (5.0, 3.0)
    places = island()
    heights = np.ones(len(places))
    heights[[10, 20]] = 0.0
    there = picture(island(shift), heights, noise=0.01, seed=1)
    outside = np.array([[165.5, 148.0], [168.0, 60.0]])
    labels = make_atoms([*places, *outside, places[0] + (2.5, 0.0)], "Pb")
    got = carry(picture(places), there, labels, {}, taken=np.array([places[5] + shift]))
    assert got.left_out == {NO_PEAK: 2, OUTSIDE: 2, SHARED: 1, TAKEN: 1}
    assert len(got.atoms) == len(places) - 3
    assert np.abs(positions(got.atoms)[0] - (places[0] + shift)).max() < 0.5
    assert got.sentence(3) == (
        f"{len(got.atoms)} labels copied to frame 3, 6 left out (1 on atoms labelled there "
        "already, 2 without a peak, 2 outside the frame, 1 on the peak of another); drift "
        f"{got.drift_px[0]:+.1f}, {got.drift_px[1]:+.1f} px."
    )


def test_dark_atoms_snap_to_minima():
    here, there = picture(island()), picture(island((3.0, 2.0)), seed=1)
    dark = Frame(-here.data, here.valid), Frame(-there.data, there.valid)
    got = carry(*dark, make_atoms(island(), "O"), {"O": "dark"})
    assert np.abs(positions(got.atoms) - island((3.0, 2.0))).max() < 0.5
    assert len(carry(*dark, make_atoms(island(), "O"), {}).atoms) < len(island()) / 2


def test_frames_without_anything_in_common_are_refused():
    rng = np.random.default_rng(9)
    nothing = make_frame(rng.normal(0, 1, SHAPE).astype(np.float32))
    with pytest.raises(UserError, match="too little in common"):
        carry(picture(island()), nothing, make_atoms(island(), "Pb"), {})
    small = make_frame(np.zeros((60, 60), np.float32))
    with pytest.raises(UserError, match="different sizes"):
        carry(picture(island()), small, make_atoms(island(), "Pb"), {})


def test_many_snap_as_they_would_one_by_one():
    frame = picture(island(), noise=0.15)
    rng = np.random.default_rng(4)
    clicks = np.concatenate([island() + rng.normal(0, 2, island().shape), [[-5.0, 20.0]]])
    centres, found = snap_many(frame, clicks)
    assert not found[-1]
    for k, (x, y) in enumerate(clicks[:-1]):
        one = snap(frame, x, y)
        assert one.found == found[k]
        assert np.allclose(centres[k], (one.x, one.y), atol=0.05)
