"""Error bars, confidence and deviations that come with a prediction."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.measure import match
from napari_apgan.measure.calibration import coverage
from napari_apgan.models.card import HeldOutCalibration
from napari_apgan.models.modelfile import Model
from napari_apgan.predict.batch import predict_files
from napari_apgan.predict.files import read_prediction, write_prediction
from napari_apgan.predict.inference import predict_frame
from napari_apgan.simulate import make_sample

from .conftest import make_model, noise_frame
from .trained import PIXEL_PM, trained_model

SIGMAS = ["sigma_map_x_pm", "sigma_map_y_pm"]


@pytest.fixture(scope="module")
def unseen():
    return make_sample(seed=7, n_frames=1, shape=(128, 128), pixel_size_pm=PIXEL_PM, snr=3)[0]


@pytest.fixture(scope="module")
def predicted(unseen):
    return predict_frame(
        trained_model(), unseen.frame, refine=False, uncertainty="map", device="cpu"
    )


def test_error_bars_are_of_the_size_of_the_errors(unseen, predicted):
    xy = ["x_map_px", "y_map_px"]
    atoms = predicted.atoms[predicted.atoms["flag"] == ""]
    i, j = match(atoms[xy].to_numpy(), unseen.atoms[["x_px", "y_px"]].to_numpy(), 3)
    error = PIXEL_PM * (atoms[xy].to_numpy()[i] - unseen.atoms[["x_px", "y_px"]].to_numpy()[j])
    found = coverage(error, atoms[SIGMAS].to_numpy()[i])
    assert found["n"] > 100
    assert 0.45 < found["within_68"] < 0.9


def test_the_deviation_is_large_where_the_map_is_undecided_and_nowhere_else(predicted):
    maps, deviation = predicted.maps, predicted.deviation
    assert deviation.shape == maps.shape
    assert deviation.dtype == np.float32
    undecided = np.abs(maps - 0.5) < 0.2
    assert deviation[undecided].mean() > 5 * deviation[(maps < 0.02) | (maps > 0.98)].mean()
    assert deviation.max() <= 0.5 + 1e-6


def test_confidence_needs_a_calibrated_model_and_follows_its_card(unseen, predicted):
    assert predicted.atoms["confidence"].isna().all()
    plain = trained_model()
    judged = HeldOutCalibration(floor_px=0.2, factor=4.0, slope=2.0, offset=-1.0)
    model = Model(plain.card.model_copy(update={"calibration": judged}), plain.network)
    atoms = predict_frame(model, unseen.frame, refine=False, device="cpu").atoms
    p = np.clip(atoms["probability"].to_numpy(), 0.001, 0.999)
    expected = 1 / (1 + np.exp(-2.0 * np.log(p / (1 - p)) + 1.0))
    np.testing.assert_allclose(atoms["confidence"], expected)
    assert (atoms["sigma_map_x_pm"] > predicted.atoms["sigma_map_x_pm"]).all()
    named = atoms["element"].iloc[0]
    judged = judged.model_copy(update={"by_element": {named: 4.0}})
    model = Model(plain.card.model_copy(update={"calibration": judged}), plain.network)
    wider = predict_frame(model, unseen.frame, refine=False, device="cpu").atoms
    times = np.where(atoms["element"] == named, 2.0, 1.0)
    np.testing.assert_allclose(wider["sigma_map_x_pm"], times * atoms["sigma_map_x_pm"])


def test_error_bars_stand_in_the_frames_own_pixels_also_where_it_is_resampled():
    model = make_model("fast")  # trained at 20 pm
    coarse = predict_frame(
        model, noise_frame((64, 64), pixel_pm=40.0), threshold=0.05, refine=False, device="cpu"
    ).atoms
    fine = predict_frame(
        model, noise_frame((64, 64), pixel_pm=20.0), threshold=0.05, refine=False, device="cpu"
    ).atoms
    for atoms in (coarse, fine):  # both are seen at 20 pm: bars of at least the usual floor there
        assert len(atoms)
        assert (atoms[SIGMAS].to_numpy() >= 0.999 * 0.1 * 20 * np.sqrt(0.3)).all()
        np.testing.assert_allclose(atoms["sigma_map_x_pm"], atoms["sigma_map_y_pm"])


def test_without_a_pixel_size_there_are_no_error_bars_in_pm():
    model = make_model("fast", pixel_size_pm=None)
    atoms = predict_frame(
        model, noise_frame((64, 64), pixel_pm=None), threshold=0.05, refine=False, device="cpu"
    ).atoms
    assert len(atoms)
    assert atoms[SIGMAS].isna().all(axis=None)


def test_symmetry_averages_as_tta_does_and_tells_how_much_the_answers_differ():
    model, frame = make_model("fast"), noise_frame((48, 56))
    averaged = predict_frame(model, frame, tta=True, refine=False, device="cpu")
    both = predict_frame(model, frame, uncertainty="symmetry", refine=False, device="cpu")
    np.testing.assert_allclose(both.maps, averaged.maps, atol=1e-6)
    assert averaged.deviation is None
    assert both.deviation.shape == both.maps.shape
    assert both.deviation.mean() > 1e-4
    assert both.deviation.max() < 0.5


def test_the_deviation_of_a_box_is_that_of_its_pixels():
    model, frame = make_model("fast"), noise_frame((96, 96))
    whole = predict_frame(model, frame, uncertainty="symmetry", refine=False, device="cpu")
    box = predict_frame(
        model, frame, uncertainty="symmetry", refine=False, box=(16, 24, 48, 60), device="cpu"
    )
    np.testing.assert_allclose(box.deviation, whole.deviation[:, 24:60, 16:48], atol=1e-4)


def test_an_unknown_way_is_refused():
    with pytest.raises(UserError, match="none, map or symmetry"):
        predict_frame(make_model("fast"), noise_frame((32, 32)), uncertainty="guess")


def test_deviations_are_files_beside_the_maps_and_go_with_them(tmp_path, predicted):
    files = write_prediction(tmp_path, "one", predicted)
    assert files.deviation == tmp_path / "one.deviation.tif"
    back = read_prediction(tmp_path, "one")
    np.testing.assert_allclose(back.deviation, predicted.deviation, atol=1e-6)
    np.testing.assert_allclose(back.atoms[SIGMAS], predicted.atoms[SIGMAS])
    write_prediction(tmp_path, "one", predicted, maps=False)
    assert not files.deviation.exists()
    assert read_prediction(tmp_path, "one").deviation is None


def test_files_are_predicted_with_their_deviations(tmp_path, model_file, unseen):
    np.save(tmp_path / "frame.npy", unseen.frame.data[:48, :48])
    written = predict_files(
        model_file, [tmp_path / "frame.npy"], tmp_path / "out", uncertainty="map", refine=False
    )
    assert [p.name for p in written] == [
        "frame.atoms.csv",
        "frame.maps.tif",
        "frame.deviation.tif",
    ]
