"""A click near an atom becomes that atom, never its neighbour."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, make_frame
from napari_apgan.io import open_source, read_atoms
from napari_apgan.label import snap
from napari_apgan.simulate import make_sample

from .images import LATTICES, PT_STEMS


def snap_all(frame, xy, polarity, rng, by_px=1.0, most=300):
    """Snap clicks beside up to `most` atoms; returns places, whether found, whether own atom."""
    chosen = rng.permutation(len(xy))[:most]
    clicks = xy[chosen] + rng.normal(0, by_px, (len(chosen), 2))
    clicks = np.clip(clicks, 0, np.array(frame.shape[::-1]) - 1.0)
    snaps = [snap(frame, x, y, polarity=polarity) for x, y in clicks]
    places = np.array([(s.x, s.y) for s in snaps])
    own = cKDTree(xy).query(places)[1] == chosen
    return places, np.array([s.found for s in snaps]), own, xy[chosen]


@pytest.mark.parametrize(
    ("name", "found_at_least", "own_at_least"),
    [
        ("pto_sro", 0.98, 0.99),
        ("srtio3_ser", 0.98, 0.99),
        ("ptir", 0.95, 0.99),
        ("graphene_flower", 0.7, 0.95),  # its labels are ± 0.76 px themselves
    ],
)
def test_clicks_a_pixel_off_land_on_the_labelled_atom(
    real_data, name, found_at_least, own_at_least
):
    image, labels, polarity = LATTICES[name]
    frame = open_source(real_data / image).frame(0)
    xy = positions(read_atoms(real_data / labels))
    rng = np.random.default_rng(0)
    places, found, own, truth = snap_all(frame, xy, polarity, rng)
    distance = np.hypot(*(places - truth).T)
    print(f"{name}: found {found.mean():.3f}, own {own[found].mean():.3f}, of all {own.mean():.3f}")
    assert found.mean() >= found_at_least
    assert own[found].mean() >= own_at_least
    assert np.median(distance[found]) < 1.2


@pytest.mark.parametrize("stem", PT_STEMS[::3])
def test_single_atoms_on_a_texture_are_found(real_data, stem):
    folder = real_data / "ptnc_haadf"
    frame = open_source(folder / f"{stem}.tif").frame(0)
    xy = positions(read_atoms(folder / f"{stem}.csv"))
    _, found, own, _ = snap_all(frame, xy, "bright", np.random.default_rng(0))
    assert found.mean() >= 0.85
    assert own.mean() >= 0.9


@pytest.mark.parametrize("sign", [1, -1])
def test_simulated_atoms_are_hit_within_half_a_pixel_bright_or_dark(sign):
    pair = make_sample(seed=5, n_frames=1, shape=(160, 160), snr=10)[0]
    frame = Frame(sign * pair.frame.data, pair.frame.valid)
    polarity = "bright" if sign > 0 else "dark"
    strong = pair.atoms[pair.atoms["element"] != "Ti"]
    inner = positions(strong)
    inner = inner[((inner > 5) & (inner < 154)).all(axis=1)]
    rng = np.random.default_rng(1)
    places, found, _, truth = snap_all(frame, inner, polarity, rng)
    assert found.all()
    assert np.median(np.hypot(*(places - truth).T)) < 0.3
    assert cKDTree(positions(pair.atoms)).query(places)[0].max() < 3.0


def test_missing_pixels_are_left_out():
    pair = make_sample(seed=5, n_frames=1, shape=(160, 160), snr=10, jitter=False)[0]
    valid = np.random.default_rng(2).random(pair.frame.shape) > 0.3
    garbage = np.where(valid, pair.frame.data, 1e6).astype(np.float32)
    strong = positions(pair.atoms[pair.atoms["element"] == "Pb"])
    strong = strong[((strong > 8) & (strong < 151)).all(axis=1)]
    clean = Frame(np.where(valid, pair.frame.data, 0).astype(np.float32), valid)
    for x, y in strong[:40]:
        place = snap(clean, x + 0.8, y - 0.6)
        assert place.found
        assert np.hypot(place.x - x, place.y - y) < 1.0
        same = snap(Frame(garbage, valid), x + 0.8, y - 0.6, radius_px=4.0)
        assert np.hypot(same.x - x, same.y - y) < 1.0


def test_what_was_not_found_has_a_reason_and_stays_where_it_was_clicked():
    ramp = make_frame(np.add.outer(np.arange(64.0), 3 * np.arange(64.0)) + 1)
    place = snap(ramp, 30.2, 31.7, radius_px=4.0)
    assert not place.found
    assert (place.x, place.y) == (30.2, 31.7)
    assert place.reason == "There is no local maximum within 4.0 px."
    assert "minimum" in snap(ramp, 30.2, 31.7, radius_px=4.0, polarity="dark").reason
    valid = np.ones((64, 64), dtype=bool)
    valid[10:60, 10:60] = False
    unmeasured = snap(Frame(ramp.data * valid, valid), 35.0, 35.0, radius_px=3.0)
    assert unmeasured.reason == "No pixel was measured there."
    assert not snap(make_frame(np.full((64, 64), 5.0)), 30.0, 30.0).found


def test_a_click_outside_the_image_is_refused_in_a_sentence():
    frame = make_frame(np.random.default_rng(0).normal(size=(32, 48)))
    for x, y in ((-1.0, 5.0), (48.0, 5.0), (5.0, 32.0)):
        with pytest.raises(UserError, match="outside the image"):
            snap(frame, x, y)
    snap(frame, 47.4, -0.4)  # the outermost pixels reach half a pixel out


def test_a_click_in_the_corner_gives_a_place_inside():
    y, x = np.mgrid[:40, :40]
    frame = make_frame(np.exp(-((x - 0.3) ** 2 + (y - 39.1) ** 2) / 8.0))
    place = snap(frame, 1.0, 38.5, radius_px=4.0)
    assert place.found
    assert np.hypot(place.x - 0.3, place.y - 39.1) < 0.5
