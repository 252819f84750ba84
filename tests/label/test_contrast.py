"""The contrast of a pattern: its sign, its kind, and where it reverses."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame, make_frame
from napari_apgan.io import open_source
from napari_apgan.label.contrast import assess_contrast
from napari_apgan.simulate import EXAMPLES, make_sample, simulate_pair
from napari_apgan.simulate.settings import changed

from .images import LATTICES, PT_STEMS


@cache
def graphene(c1_nm: float, seed: int = 3, snr: float = 2.35):
    """Return a multislice frame of graphene at a focus, and the true contrast of its atoms."""
    base = EXAMPLES["graphene"]
    lens = base.imaging.aberrations.model_dump() | {"c1_nm": c1_nm}
    settings = changed(
        base,
        {"imaging": {"aberrations": lens}, "degradation": {"snr": snr}, "variety": 0.0},
    )
    pair = simulate_pair(settings, seed=seed).pair
    xy = np.rint(positions(pair.atoms)).astype(int)
    data = gaussian_filter(pair.frame.data.astype(float), 1.0)
    xy = xy[((xy >= 0) & (xy < 256)).all(axis=1)]
    bright = data[xy[:, 1], xy[:, 0]].mean() > data.mean()
    return pair.frame, "bright" if bright else "dark"


@pytest.mark.parametrize("c1_nm", [-10.0, 0.0, 8.0])
@pytest.mark.parametrize("elements", [("C",), ()])
def test_the_sign_of_simulated_graphene_is_found_at_many_foci(c1_nm, elements):
    frame, polarity = graphene(c1_nm)
    told = assess_contrast(frame, elements=elements)  # by its element, or by its pixel size
    assert told.pattern == "honeycomb"
    assert told.polarity == polarity, told.sentence
    assert told.sureness > 0.8
    assert not told.boundaries
    turned = assess_contrast(replace(frame, data=-frame.data), elements=elements)
    assert {turned.polarity, told.polarity} == {"bright", "dark"}
    other = "dark" if polarity == "bright" else "bright"
    assert told.sentence.startswith(f"{polarity.capitalize()} atoms, {other} ring centres")


def test_a_gradient_of_the_defocus_is_told_with_the_place():
    sharp = [graphene(c)[0].data.astype(float) for c in (0.0, 8.0)]
    sharp = [(d - d.mean()) / d.std() for d in sharp]
    share = np.clip((np.arange(256) - 100) / 80, 0, 1)[None, :]
    frame = make_frame(
        (1 - share) * sharp[0] + share * sharp[1],
        Calibration.from_pixel_size(23.0, origin="user"),
    )
    told = assess_contrast(frame, elements=("C",))
    assert told.sentence.startswith("Dark atoms, bright ring centres") or told.polarity == "bright"
    assert "reverses at the " in told.sentence
    side = "right" if told.polarity == "dark" else "left"
    assert f"reverses at the {side}" in told.sentence
    across = np.concatenate(told.boundaries)[:, 0]
    assert 110 < np.median(across) < 175
    left, right = told.blocks[:, 0], told.blocks[:, -1]
    assert np.nanmean(left) * np.nanmean(right) < 0


def test_a_reversed_corner_is_found():
    frame, _ = graphene(0.0)
    data = frame.data - frame.data.mean()
    y, x = np.mgrid[:256, :256]
    data = np.where((x > 160) & (y < 90), -data, data)
    told = assess_contrast(replace(frame, data=data.astype(np.float32)), elements=("C",))
    assert told.polarity == "dark"
    assert "the contrast reverses at the upper right" in told.sentence


def test_the_real_graphene_has_dark_atoms_and_clearer_bright_rings(real_data):
    frame = open_source(real_data / LATTICES["graphene_flower"][0]).frame(0)
    told = assess_contrast(frame)
    print(told.sentence)
    assert (told.pattern, told.polarity, told.rings) == ("honeycomb", "dark", True)
    assert told.sentence.startswith("Dark atoms, bright ring centres, which are clearer")
    assert "if this is a honeycomb" in told.sentence, "the file has no pixel size"
    assert assess_contrast(frame, elements=["C"]).sureness > 0.9
    assert not told.boundaries
    turned = assess_contrast(Frame(-frame.data, frame.valid, frame.calibration))
    assert turned.sentence.startswith("Bright atoms, dark ring centres")


@pytest.mark.parametrize("name", ["pto_sro", "srtio3_ser", "ptir", "pt"])
def test_bright_columns_and_lone_atoms_are_bright_and_no_honeycomb(real_data, name):
    file = f"ptnc_haadf/{PT_STEMS[0]}.tif" if name == "pt" else LATTICES[name][0]
    frame = open_source(real_data / file).frame(0)
    told = assess_contrast(frame)
    print(name, told.sentence)
    assert (told.polarity, told.rings) == ("bright", False)
    assert told.pattern == ("triangular" if name == "ptir" else "spots")  # fcc along [110]
    assert told.sureness > 0.85
    turned = assess_contrast(Frame(-frame.data, frame.valid, frame.calibration))
    assert turned.polarity == "dark"


def test_dark_columns_of_the_sample_are_dark():
    pair = make_sample(seed=6, n_frames=1, snr=3.0)[0]
    assert assess_contrast(pair.frame).polarity == "bright"
    assert assess_contrast(replace(pair.frame, data=-pair.frame.data)).polarity == "dark"


def test_noise_and_nothing_have_no_contrast():
    rng = np.random.default_rng(0)
    for data in (rng.normal(size=(200, 200)), np.full((64, 64), 2.0)):
        told = assess_contrast(make_frame(data))
        assert told.pattern == "none"
        assert "No pattern" in told.sentence
    with pytest.raises(UserError, match="too small"):
        assess_contrast(make_frame(np.arange(100.0).reshape(10, 10)))
