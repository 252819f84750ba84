"""Atoms on images that nobody has labelled, found by the weights that come with the package."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame
from napari_apgan.io import read_atoms
from napari_apgan.io.tiffs import tiff_bytes
from napari_apgan.maps import draw_discs
from napari_apgan.measure import match
from napari_apgan.models.bundled import bundled_path
from napari_apgan.models.modelfile import Model, load_model
from napari_apgan.predict.batch import predict_files
from napari_apgan.predict.detect import detect_with
from napari_apgan.predict.discs import measure_discs, regular
from napari_apgan.simulate.zoo_imaging import image_sites, record
from napari_apgan.simulate.zoo_lattices import Sites, fill_frame, nearest_distance

from .conftest import make_model

HONEYCOMB = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]]), np.array([[0, 0], [1 / 3, 1 / 3]])


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("bundled")


def crystal(
    spacing: float, *, dark: bool = False, side: int = 128, snr: float = 4.0
) -> tuple[Frame, np.ndarray]:
    """Return a frame of a honeycomb and the atoms on it, x and y in px."""
    rng = np.random.default_rng(1)
    cell, basis = HONEYCOMB
    cell = cell * spacing / nearest_distance(cell, basis)
    xy, _ = fill_frame(cell, basis, (side, side), rng)
    ideal = image_sites(
        Sites("honeycomb", xy, np.ones(len(xy)), 0.22 * spacing, spacing), (side, side), rng
    )
    image, valid = record(ideal, snr, 0.5, rng, dark=dark)
    calibration = Calibration.from_pixel_size(1420 / spacing / 10, origin="user")
    on = ((xy > -0.5) & (xy < side - 0.5)).all(axis=1)
    return Frame(image, valid, calibration, "crystal"), xy[on]


def agreement(found: np.ndarray, truth: np.ndarray, tolerance: float) -> tuple[float, float]:
    i, _ = match(found, truth, tolerance)
    return len(i) / max(len(truth), 1), len(i) / max(len(found), 1)


@pytest.mark.parametrize(("spacing", "dark"), [(8.0, False), (8.0, True), (14.0, False)])
def test_it_finds_bright_and_dark_atoms_and_their_spacing(model, spacing, dark):
    frame, truth = crystal(spacing, dark=dark)
    found = detect_with(model, frame, polarity="dark" if dark else "bright")
    xy = positions(found.atoms)
    # Discs of atoms just beyond the border reach in; they are read at the border.
    inner = ((xy > 0.3 * spacing) & (xy < 127 - 0.3 * spacing)).all(axis=1)
    assert agreement(xy, truth, 0.25 * spacing)[0] > 0.95
    assert agreement(xy[inner], truth, 0.25 * spacing)[1] > 0.9
    assert found.spacing_px == pytest.approx(spacing, rel=0.1)
    assert found.radius_px == pytest.approx(0.25 * spacing, rel=0.35)
    assert found.scale == 1.0
    assert found.map.shape == frame.shape
    assert set(found.atoms["origin"]) == {"detected"}
    assert set(found.atoms["element"]) == {"unknown"}
    assert found.atoms["probability"].between(0, 1).all()
    assert found.atoms["x_pm"].notna().all()
    assert f"{len(found.atoms)} {'dark' if dark else 'bright'} atoms found" in found.sentence


def test_a_spacing_that_it_never_saw_is_brought_to_one_that_it_knows(model):
    frame, truth = crystal(48.0, side=256)
    found = detect_with(model, frame)
    assert found.scale < 0.7
    assert "reduced" in found.sentence
    recall, precision = agreement(positions(found.atoms), truth, 6.0)
    assert min(recall, precision) > 0.9
    assert found.map.shape == frame.shape


def test_a_box_gives_the_atoms_inside_it(model):
    frame, _ = crystal(10.0)
    whole = positions(detect_with(model, frame).atoms)
    part = detect_with(model, frame, box=(30, 40, 90, 100))
    inside = positions(part.atoms)
    assert part.map.shape == (60, 60)
    assert part.box == (30, 40, 90, 100)
    assert ((inside >= (29.5, 39.5)) & (inside < (89.5, 99.5))).all()
    expected = whole[((whole >= (31, 41)) & (whole < (88, 98))).all(axis=1)]
    assert agreement(inside, expected, 0.5)[0] > 0.95


def test_noise_holds_next_to_no_atom(model):
    noise = np.random.default_rng(0).normal(100, 10, (128, 128)).astype(np.float32)
    frame = Frame(noise, np.ones(noise.shape, bool), Calibration(), "noise")
    found = detect_with(model, frame)
    assert len(found.atoms) < 12
    if not len(found.atoms):
        assert "No bright atom" in found.sentence


def test_refined_positions_come_with_error_bars(model):
    frame, truth = crystal(10.0, snr=8.0)
    prediction = detect_with(model, frame, refine=True).as_prediction(frame.calibration)
    assert prediction.elements == ("unknown",)
    assert prediction.maps.shape == (1, *frame.shape)
    assert set(prediction.atoms["origin"]) == {"predicted"}
    assert prediction.atoms["sigma_x_pm"].notna().mean() > 0.7
    assert min(agreement(positions(prediction.atoms), truth, 2.0)) > 0.95


@pytest.mark.parametrize("way", ["map", "symmetry"])
def test_the_deviation_lies_where_the_map_wavers(model, way):
    frame, _ = crystal(10.0, side=96)
    found = detect_with(
        model, frame, element="C", uncertainty=way, box=(8, 8, 88, 80)
    ).as_prediction(frame.calibration, "C")
    assert found.elements == ("C",)
    assert found.deviation.shape == found.maps.shape == (1, 72, 80)
    sure = (found.maps < 0.02) | (found.maps > 0.98)
    assert found.deviation[~sure].mean() > 2 * found.deviation[sure].mean()
    assert 0.01 < found.deviation.max() <= 0.5
    assert detect_with(model, frame).as_prediction(frame.calibration).deviation is None


def test_a_model_that_tells_elements_apart_is_refused():
    frame, _ = crystal(10.0, side=64)
    with pytest.raises(UserError, match="bright from dark"):
        detect_with(make_model("fast"), frame)


def test_a_tiny_image_is_refused(model):
    frame = Frame(np.zeros((8, 40), np.float32), np.ones((8, 40), bool), Calibration(), "tiny")
    with pytest.raises(UserError, match="too small"):
        detect_with(model, frame)


@pytest.mark.parametrize(("spacing", "radius"), [(8.0, 2.0), (24.0, 6.0)])
def test_discs_are_measured_without_knowing_their_size(spacing, radius):
    at = np.arange(spacing, 128 - spacing, spacing)
    xy = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    discs = measure_discs(draw_discs(xy, radius, (128, 128)), 0.5)
    assert discs.spacing_px == pytest.approx(spacing, rel=0.02)
    assert discs.radius_px == pytest.approx(radius, abs=0.4)


def test_a_lattice_is_regular_and_lone_atoms_are_not():
    rng = np.random.default_rng(0)
    at = np.arange(8.0, 120, 10.0)
    lattice = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    assert regular(lattice + rng.normal(0, 0.3, lattice.shape))
    assert not regular(rng.uniform(0, 128, (60, 2)))
    assert not regular(lattice[:3])


def test_without_enough_discs_there_is_no_spacing():
    assert measure_discs(np.zeros((32, 32)), 0.5).spacing_px is None
    few = draw_discs(np.array([[8.0, 8.0], [20.0, 20.0]]), 3.0, (32, 32))
    assert measure_discs(few, 0.5).spacing_px is None
    assert measure_discs(few, 0.5).radius_px == pytest.approx(3.0, rel=0.1)


def test_predict_takes_the_word_bundled(tmp_path):
    frame, truth = crystal(9.0, dark=True)
    path = tmp_path / "image.tif"
    path.write_bytes(tiff_bytes(np.where(frame.valid, frame.data, 0), frame.calibration, "YX"))
    written = predict_files(
        "bundled", [path], tmp_path / "out", refine=False, polarity="dark", maps=True
    )
    assert [p.name for p in written] == ["image.atoms.csv", "image.maps.tif"]
    atoms = read_atoms(written[0])
    assert set(atoms["element"]) == {"unknown"}
    assert min(agreement(positions(atoms), truth, 2.0)) > 0.9


def test_the_weights_are_small_and_say_what_they_are(model):
    assert bundled_path().stat().st_size < 5_000_000
    assert model.card.element_names == ["bright", "dark"]
    assert model.card.by_contrast
    assert model.card.pixel_size_pm is None
    assert model.card.score is not None
