"""From a frame to its atoms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.measure import match, score
from napari_apgan.predict.inference import predict_frame
from napari_apgan.predict.prediction import Cancelled
from napari_apgan.predict.resample import resample_frame
from napari_apgan.simulate import make_sample

from .trained import PIXEL_PM, trained_model


@pytest.fixture(scope="module")
def unseen():
    return make_sample(seed=7, n_frames=1, pixel_size_pm=PIXEL_PM, snr=3)[0]


@pytest.fixture(scope="module")
def prediction(unseen):
    return predict_frame(trained_model(), unseen.frame, device="cpu")


def test_the_atoms_of_an_unseen_frame_are_found(unseen, prediction):
    found = score(
        prediction.atoms, unseen.atoms, tolerance_px=3, calibration=unseen.frame.calibration
    )
    assert found.overall.f1.value > 0.93


def test_positions_are_offered_beside_those_of_the_map(unseen, prediction):
    atoms = prediction.atoms
    assert np.isfinite(atoms[["x_map_px", "y_map_px", "x_px", "y_px"]].to_numpy()).all()
    moved = np.hypot(atoms["x_px"] - atoms["x_map_px"], atoms["y_px"] - atoms["y_map_px"])
    fitted = (moved > 0) & (atoms["flag"] == "")
    assert fitted.mean() > 0.7
    assert np.isfinite(atoms.loc[fitted, ["sigma_x_pm", "sigma_y_pm"]].to_numpy()).all()
    np.testing.assert_allclose(
        atoms[["x_pm", "y_pm"]].to_numpy(), unseen.frame.calibration.to_pm(positions(atoms))
    )
    assert (atoms["origin"] == "predicted").all()
    assert atoms["probability"].between(0, 1).all()
    assert atoms["id"].is_unique


def test_on_a_clear_frame_refined_positions_are_nearer_the_truth_than_the_map():
    pair = make_sample(
        seed=8, n_frames=1, shape=(160, 160), pixel_size_pm=PIXEL_PM, snr=1000, jitter=False
    )[0]
    errors = []
    for refine in (True, False):
        atoms = predict_frame(trained_model(), pair.frame, refine=refine, device="cpu").atoms
        i, j = match(positions(atoms), positions(pair.atoms), 3)
        errors.append(np.median(np.hypot(*(positions(atoms)[i] - positions(pair.atoms)[j]).T)))
    assert errors[0] < 0.5 * errors[1]


def test_without_refinement_the_positions_are_those_of_the_map(unseen):
    atoms = predict_frame(trained_model(), unseen.frame, refine=False, device="cpu").atoms
    np.testing.assert_array_equal(atoms[["x_px", "y_px"]], atoms[["x_map_px", "y_map_px"]])


def test_the_threshold_decides_what_is_an_atom(unseen, prediction):
    strict = predict_frame(trained_model(), unseen.frame, threshold=0.9, refine=False, device="cpu")
    assert 0 < len(strict.atoms) < len(prediction.atoms)
    assert strict.atoms["probability"].min() >= 0.9


def test_a_box_gives_the_atoms_inside_it_at_their_places(unseen):
    model = trained_model()
    whole = predict_frame(model, unseen.frame, refine=False, device="cpu")
    part = predict_frame(
        model, unseen.frame, box=(60.2, 50, 180, 200.7), refine=False, device="cpu"
    )
    assert part.box == (60, 50, 180, 201)
    assert part.maps.shape == (3, 151, 120)
    xy = positions(whole.atoms) + 0.5
    expected = whole.atoms[((xy >= (60, 50)) & (xy < (180, 201))).all(axis=1)]
    assert len(part.atoms) == len(expected) > 50
    i, j = match(positions(part.atoms), positions(expected), 0.05)
    assert len(i) == len(expected)
    assert (
        part.atoms["element"].to_numpy()[i].tolist() == expected["element"].to_numpy()[j].tolist()
    )


def test_atoms_of_a_refined_box_lie_where_those_of_the_whole_do(unseen, prediction):
    part = predict_frame(trained_model(), unseen.frame, box=(90, 90, 170, 170), device="cpu")
    i, j = match(positions(part.atoms), positions(prediction.atoms), 1.5)
    assert len(i) > 0.95 * len(part.atoms)
    gap = positions(part.atoms)[i] - positions(prediction.atoms)[j]
    assert np.median(np.hypot(*gap.T)) < 0.2


def test_positions_of_a_resampled_frame_are_those_of_the_frame_itself(unseen):
    """The same picture on smaller pixels has the same atoms, with the same small mean error."""
    frame = resample_frame(unseen.frame, (1.33, 1.25))
    smaller = np.array([frame.shape[1] / 256, frame.shape[0] / 256])
    prediction = predict_frame(trained_model(), frame, refine=False, device="cpu")
    assert any("resampled" in note for note in prediction.notes)
    assert prediction.maps.shape[1:] == frame.shape
    same = predict_frame(trained_model(), unseen.frame, refine=False, device="cpu")
    truth = positions(unseen.atoms)
    found = (positions(prediction.atoms) + 0.5) / smaller - 0.5
    errors = []
    for xy in (found, positions(same.atoms)):
        i, j = match(xy, truth, 3.0)
        assert len(i) > 0.9 * len(truth)
        errors.append((xy[i] - truth[j]).mean(axis=0))
    np.testing.assert_allclose(errors[0], errors[1], atol=0.06)


def test_a_frame_without_atoms_gives_an_empty_table(unseen):
    flat = make_frame(np.random.default_rng(0).normal(0, 1e-3, (64, 64)) + 5.0)
    prediction = predict_frame(trained_model(), flat, threshold=0.95, device="cpu")
    assert isinstance(prediction.atoms, pd.DataFrame)
    assert len(prediction.atoms) == 0
    assert prediction.maps.shape == (3, 64, 64)


def test_a_box_beside_the_image_is_refused(unseen):
    with pytest.raises(UserError, match="outside the image"):
        predict_frame(trained_model(), unseen.frame, box=(300, 0, 400, 50), device="cpu")


def test_a_cancelled_prediction_gives_nothing(unseen):
    with pytest.raises(Cancelled):
        predict_frame(trained_model(), unseen.frame, cancelled=lambda: True, device="cpu")


def test_what_was_decided_about_missing_pixels_is_passed_on():
    image = np.random.default_rng(0).normal(100, 10, (64, 64))
    image[:5] = np.nan
    frame = make_frame(image, Calibration.from_pixel_size(PIXEL_PM, origin="user"))
    prediction = predict_frame(trained_model(), frame, device="cpu")
    assert any("missing" in note for note in prediction.notes)
