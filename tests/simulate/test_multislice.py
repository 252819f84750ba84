"""Multislice by abTEM lies on the frame's grid and agrees with itself."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.simulate.imaging import Aberrations, ImagingSettings, image
from napari_apgan.simulate.imaging import multislice as engine
from napari_apgan.simulate.imaging.compare import local_shifts
from napari_apgan.simulate.imaging.hrtem import cut_in_slices, hrtem_image
from napari_apgan.simulate.imaging.multislice import ScanPlan, multislice_image, plan_scan

from .test_hrtem import scene_of

needs_abtem = pytest.mark.skipif(
    importlib.util.find_spec("abtem") is None, reason="abTEM is not installed"
)
HRTEM = ImagingSettings(engine="abtem", phonons=0, aberrations=Aberrations(c1_nm=10.0, c3_um=-20.0))
STEM = ImagingSettings.usual("haadf", "abtem").model_copy(
    update={"phonons": 0, "source_size_pm": 0.0, "inner_mrad": 50.0, "outer_mrad": 110.0}
)


def test_without_abtem_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "abtem", None)
    with pytest.raises(UserError, match=r"pip install napari-apgan\[simulate\]"):
        image(scene_of([(0.0, 0.0, 0.0)], 6), HRTEM, np.random.default_rng(0))


def test_slices_hold_every_atom_at_its_depth() -> None:
    depth = np.array([100.0, 650.0, 1000.0])
    slices = cut_in_slices(depth, 200.0)
    assert slices.count == 6
    np.testing.assert_allclose(slices.entrance_pm + slices.depth * slices.step_pm, depth)
    assert slices.middle_pm == pytest.approx(depth.mean())
    assert cut_in_slices(np.zeros(4), 200.0).count == 1


@needs_abtem
def test_hrtem_is_that_of_the_phase_object_for_one_sheet() -> None:
    scene = scene_of([(6.0, -3.0, 0.0), (150.0, 90.0, 0.0), (-500.0, 40.0, 0.0)], [6, 14, 7])
    rng = np.random.default_rng(0)
    fast, slow = hrtem_image(scene, HRTEM, rng), image(scene, HRTEM, rng)
    assert np.abs(fast - slow).max() < 0.02 * np.abs(slow - 1).max()
    assert np.corrcoef(fast.ravel(), slow.ravel())[0, 1] > 0.9999


@needs_abtem
def test_hrtem_of_a_sheared_column_lies_on_its_mean() -> None:
    depths = np.linspace(0.0, 1600.0, 9)
    images = []
    for sign in (1, -1):
        atoms = [(sign * (7.0 + 0.02 * (z - 800)), -sign * 4.0, z) for z in depths.tolist()]
        images.append(multislice_image(scene_of(atoms, 6, side=49), HRTEM, np.random.default_rng()))
    contrast = np.abs(images[0] - 1)
    assert np.abs(images[0] - images[1][::-1, ::-1]).max() < 2e-3 * contrast.max()
    # The engine fast, whose atoms are known to lie where they should, puts it at the same place.
    atoms = [(7.0 + 0.02 * (z - 800), -4.0, z) for z in depths.tolist()]
    fast = hrtem_image(scene_of(atoms, 6, side=49), HRTEM, np.random.default_rng())
    shift = local_shifts(fast, images[0], np.array([[24.35, 23.8]]), 5.0)
    assert np.abs(shift).max() < 0.01


@needs_abtem
def test_a_scan_lies_on_the_grid_across_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Atoms on both sides of the centre mirror each other, though the blocks do not."""
    plan = ScanPlan(450.0, (4, 4), (128, 128), 8.0, 1, prism=False)
    monkeypatch.setattr(engine, "plan_scan", lambda *_: plan)
    images = [
        multislice_image(
            scene_of([(s * 6.0, -s * 9.0, 0.0)], 38, side=7), STEM, np.random.default_rng(0)
        )
        for s in (1, -1)
    ]
    assert np.abs(images[0] - images[1][::-1, ::-1]).max() < 2e-3 * images[0].max()
    assert images[0][3, 3] == images[0].max()
    assert images[0][2, 3] > images[0][4, 3]
    assert images[0][3, 4] > images[0][3, 2]


@needs_abtem
def test_a_scattering_matrix_and_single_probes_give_the_same_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    abf = ImagingSettings.usual("abf", "abtem").model_copy(
        update={"phonons": 0, "source_size_pm": 0.0, "focal_spread_nm": 2.0, "aperture_mrad": 14.0}
    )
    abf = abf.model_copy(update={"aberrations": Aberrations(c1_nm=-4.0, a1_nm=2.0, a1_deg=25.0)})
    atoms = [(x, 0.0, z) for x in (-90.0, 110.0) for z in (0.0, 390.0)]
    scene = scene_of(atoms, 38, side=4, pixel_size_pm=45.0)
    found = {}
    for name, factor, prism, points in (
        ("probes", 1, False, 168),
        ("matrix", 1, True, 168),
        ("windows", 2, True, 264),
    ):
        plan = ScanPlan(600.0, (4, 4), (points, points), 9.0, factor, prism)
        monkeypatch.setattr(engine, "plan_scan", lambda *_, chosen=plan: chosen)
        found[name] = multislice_image(scene, abf, np.random.default_rng(0))
    contrast = np.ptp(found["probes"])
    assert np.abs(found["matrix"] - found["probes"]).max() < 1e-3 * contrast
    # A smaller window sees the detector's edge more coarsely: a gain, but the same picture.
    assert np.corrcoef(found["windows"].ravel(), found["probes"].ravel())[0, 1] > 0.99


@needs_abtem
def test_phonons_come_from_the_seed() -> None:
    scene = scene_of([(0.0, 0.0, 0.0), (140.0, 0.0, 0.0)], 6, side=16)
    scene = replace(scene, thermal_pm=np.full(2, 12.0))
    settings = HRTEM.model_copy(update={"phonons": 2})
    one, same, other = (
        multislice_image(scene, settings, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-4


@needs_abtem
def test_the_source_blurs_what_lies_around_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ScanPlan(450.0, (14, 14), (160, 160), 8.0, 1, prism=False)
    seen = []
    monkeypatch.setattr(engine, "plan_scan", lambda positions, *_: seen.append(positions) or plan)
    blurred = STEM.model_copy(update={"source_size_pm": 30.0})
    scene = scene_of([(0.0, 0.0, 0.0)], 38, side=4, pixel_size_pm=20.0)
    shown = multislice_image(scene, blurred, np.random.default_rng(0))
    assert seen == [(14, 14)]
    assert shown.shape == (4, 4)
    np.testing.assert_allclose(shown, shown[::-1, ::-1], rtol=2e-3)


def test_plans_hold_the_detector_and_the_memory() -> None:
    haadf = ImagingSettings.usual("haadf", "abtem")
    for positions, slices in (((256, 256), 2), ((256, 256), 100), ((16, 8), 30)):
        plan = plan_scan(positions, 29.0, slices, haadf)
        cell = np.array(plan.points) * plan.sampling_pm
        assert (cell >= np.array(plan.block) * 29.0 + 2 * plan.margin_pm - 1e-6).all()
        assert all(points % plan.interpolation == 0 for points in plan.points)
        widest = 2 / 3 / (2 * plan.sampling_pm) * 2.508 * 1e3
        assert widest > 200.2
    assert plan_scan((256, 256), 23.0, 1, haadf).prism
