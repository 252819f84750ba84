"""What a match finds on frames whose settings are known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame, make_frame
from napari_apgan.simulate.examples import EXAMPLES
from napari_apgan.simulate.match import match_frame
from napari_apgan.simulate.match.statistics import measure_statistics, similarity
from napari_apgan.simulate.pairs import simulate_pair
from napari_apgan.simulate.settings import changed


def frame_of(name, snr, jitter_pm, number=0):
    settings = changed(
        EXAMPLES[name],
        {
            "degradation": {"snr": snr, "jitter_pm": jitter_pm, "jitter_memory": 0.3},
            "variety": 0.0,
            "view": {"strain_percent": 0.0},
        },
    )
    return settings, simulate_pair(settings, 1, number).pair.frame


def test_a_match_finds_noise_jitter_and_a_false_pixel_size():
    settings, frame = frame_of("mos2", 4.0, 8.0)
    wrong = Calibration.from_pixel_size(settings.pixel_size_pm * 1.11, origin="file")
    found = match_frame(
        Frame(frame.data, frame.valid, wrong), structure=settings.structure, mode="haadf"
    )
    assert found.settings.pixel_size_pm == pytest.approx(settings.pixel_size_pm, rel=0.015)
    assert any("11 % too large" in s or "10 % too large" in s for s in found.sentences)
    assert found.settings.degradation.snr == pytest.approx(4.0, rel=0.2)
    assert found.settings.degradation.jitter_pm == pytest.approx(8.0, rel=0.35)
    assert found.similarity > 0.75


def test_similarity_ignores_where_atoms_are_and_sees_noise():
    _, one = frame_of("graphene", 4.0, 0.0)
    _, other = frame_of("graphene", 4.0, 0.0, number=1)
    _, noisy = frame_of("graphene", 0.3, 0.0)
    a, b, c = (measure_statistics(f) for f in (one, other, noisy))
    assert similarity(a, a) == pytest.approx(1.0)
    assert similarity(a, b) > 0.8
    assert similarity(a, c) < similarity(a, b) - 0.2


def test_frames_that_tell_nothing_are_refused():
    with pytest.raises(UserError, match="too small"):
        match_frame(make_frame(np.random.default_rng(0).normal(size=(40, 40))))
    with pytest.raises(UserError, match="same grey"):
        match_frame(make_frame(np.ones((80, 80))))


def test_a_match_finds_the_blur_and_a_pixel_size_of_twice_the_true_one():
    settings = changed(
        EXAMPLES["mos2"],
        {
            "degradation": {"snr": 6.0, "jitter_pm": 0.0},
            "imaging": {"source_size_pm": 60.0},
            "variety": 0.0,
        },
    )
    frame = simulate_pair(settings, 5, 3).pair.frame
    wrong = Calibration.from_pixel_size(2 * settings.pixel_size_pm, origin="file")
    found = match_frame(
        Frame(frame.data, frame.valid, wrong), structure=settings.structure, mode="haadf"
    )
    assert found.settings.pixel_size_pm == pytest.approx(settings.pixel_size_pm, rel=0.03)
    assert found.settings.imaging.source_size_pm == pytest.approx(60.0, rel=0.2)


def test_labelled_graphene_tells_whether_atoms_are_dark():
    settings = changed(
        EXAMPLES["graphene"],
        {
            "structure": {"lines": "none", "holes": 0},
            "imaging": {"aberrations": {"c1_nm": -10.0, "c3_um": -20.0}},
            "shape": (160, 160),
            "variety": 0.0,
        },
    )
    pair = simulate_pair(settings, 2, 0).pair
    start = settings.imaging.model_copy(
        update={"aberrations": settings.imaging.aberrations.model_copy(update={"c1_nm": 0.0})}
    )
    found = match_frame(pair.frame, atoms=pair.atoms, structure=settings.structure, imaging=start)
    assert "The labelled atoms are bright." in found.sentences
    period = 21.756
    off = (found.settings.imaging.aberrations.c1_nm + 10.0 + period / 2) % period - period / 2
    assert abs(off) < 2.0


@pytest.mark.parametrize("c1_nm", [6.0, -6.0])
def test_without_labels_the_contrast_tells_the_sign_of_the_defocus(c1_nm):
    settings = changed(
        EXAMPLES["graphene"],
        {
            "imaging": {"aberrations": {"c1_nm": c1_nm, "c3_um": -15.0}},
            "shape": (160, 160),
            "variety": 0.0,
        },
    )
    lens = settings.imaging.aberrations.model_copy(update={"c1_nm": -c1_nm})
    wrong = settings.imaging.model_copy(update={"aberrations": lens})
    frame = simulate_pair(settings, 3, 0).pair.frame
    found = match_frame(frame, structure=settings.structure, imaging=wrong, mode="hrtem")
    assert found.settings.imaging.aberrations.c1_nm == c1_nm
    assert not any("Thon" in s for s in found.sentences)
