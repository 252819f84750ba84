"""Maps of elements name atoms by what stands on them, registered by scale."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.label.vote import find_shift, register, vote


def case(counts=12.0, background=2.0, binning=2, shift=(0.0, 0.0), seed=0):
    """A checkerboard of two elements, its frame, and a map of counts of each."""
    rng = np.random.default_rng(seed)
    i, j = (g.ravel() for g in np.mgrid[:8, :8])
    xy = np.column_stack([i, j]) * 16.0 + 8.0
    truth = np.where((i + j) % 2, "Sr", "Ti").astype(object)
    frame = make_frame(rng.normal(size=(128, 128)), Calibration.from_pixel_size(20.0, origin="user"))  # fmt: skip  # noqa: E501
    maps = {}
    for name in ("Sr", "Ti"):
        image = np.zeros((128, 128))
        for x, y in xy[truth == name] + np.asarray(shift) * binning:
            image[round(y) % 128, round(x) % 128] = 1.0
        image = gaussian_filter(image, 3.0)
        image = counts * image / image.max() + background
        small = image.reshape(128 // binning, binning, -1, binning).mean(axis=(1, 3))
        size = Calibration.from_pixel_size(20.0 * binning, origin="user")
        maps[name] = make_frame(rng.poisson(small), size, missing="none")
    return frame, make_atoms(xy, "unknown"), truth, maps


@pytest.mark.parametrize("binning", [1, 2, 4])
def test_maps_of_another_scale_name_the_atoms(binning):
    frame, atoms, truth, maps = case(binning=binning)
    result = vote(frame, atoms, maps)
    assert (result.atoms["element"].to_numpy() == truth).mean() > 0.98
    assert result.intensity.shape == result.probability.shape == (64, 2)
    assert "by the pixel sizes" in result.note


def test_few_counts_leave_doubt_where_they_err():
    frame, atoms, truth, maps = case(counts=3.0, background=1.0, seed=4)
    result = vote(frame, atoms, maps)
    right = result.atoms["element"].to_numpy() == truth
    assert right.mean() > 0.7
    sure = np.ones(64, bool)
    sure[result.doubtful] = False
    assert right[sure].mean() >= right.mean()


def test_one_map_leaves_the_other_atoms_as_they_were():
    frame, atoms, truth, maps = case()
    result = vote(frame, atoms.assign(element="A"), {"Sr": maps["Sr"]})
    named = result.atoms["element"].to_numpy()
    assert (named[truth == "Sr"] == "Sr").mean() > 0.95
    assert (named[truth == "Ti"] == "A").mean() > 0.95


def test_a_map_without_contrast_decides_nothing():
    frame, atoms, _, _ = case()
    flat = make_frame(np.full((64, 64), 5.0), Calibration.from_pixel_size(40.0, origin="user"))
    result = vote(frame, atoms, {"O": flat})
    assert (result.atoms["element"] == "unknown").all()
    assert len(result.doubtful) == 64
    assert "The map of O tells no atoms apart" in result.note


def test_a_shift_is_found_and_undone():
    frame, atoms, truth, maps = case(counts=30.0, shift=(2.0, -1.0))
    strontium = np.column_stack([atoms["x_px"], atoms["y_px"]])[truth == "Sr"]
    first = register(frame, maps["Sr"])
    assert first.scale == pytest.approx((0.5, 0.5))
    found = find_shift(maps["Sr"], strontium, first)
    assert found.shift_px == pytest.approx((2.0, -1.0), abs=0.6)
    result = vote(frame, atoms, maps, registration=found)
    assert (result.atoms["element"].to_numpy() == truth).mean() > 0.98


def test_without_pixel_sizes_one_field_of_view_is_assumed_or_asked_about():
    frame, atoms, truth, maps = case()
    plain = make_frame(frame.data)
    bare = {n: make_frame(zoom(m.data, 1.0), missing="none") for n, m in maps.items()}
    result = vote(plain, atoms, bare)
    assert (result.atoms["element"].to_numpy() == truth).mean() > 0.98
    assert "same field of view" in result.note
    with pytest.raises(UserError, match="aspect"):
        register(plain, make_frame(np.arange(64.0 * 32).reshape(64, 32)))
    with pytest.raises(UserError, match="no map"):
        vote(frame, atoms, {})
    with pytest.raises(UserError, match="at least eight"):
        vote(frame, atoms.iloc[:3], maps)
