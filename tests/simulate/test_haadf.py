"""Fast dark-field and annular bright-field images: brightness and place of columns."""

import json
from pathlib import Path

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.simulate.imaging import image
from napari_apgan.simulate.imaging.compare_haadf import (
    THICKNESSES_PM,
    beam_settings,
    compare_images,
    interface_cell,
    scene_of_cell,
    with_probe_of_cell,
)
from napari_apgan.simulate.imaging.haadf import haadf_image
from napari_apgan.simulate.imaging.settings import ImagingSettings
from napari_apgan.simulate.imaging.table_cells import BEAM
from napari_apgan.simulate.imaging.tables import load_tables
from napari_apgan.simulate.scene import View, place
from napari_apgan.simulate.specimen import Specimen

RNG = np.random.default_rng(0)
PIXEL = 20.0


def columns(elements, thickness_pm=20_000.0, apart_pm=1200.0, repeat_pm=390.5):
    """Stand columns side by side along x, 1.2 nm apart."""
    z = np.arange(0.0, thickness_pm, repeat_pm)
    sites = np.array(
        [[(k - (len(elements) - 1) / 2) * apart_pm, 0.0] for k in range(len(elements))]
    )
    count = len(z)
    return Specimen(
        xyz_pm=np.concatenate([np.c_[np.tile(s, (count, 1)), z] for s in sites]),
        number=np.repeat(elements, count),
        column=np.repeat(np.arange(len(elements)), count),
        thermal_pm=np.full(count * len(elements), 8.0),
        site_pm=sites,
        sublattice=np.full(len(elements), ""),
        grain=np.zeros(len(elements), dtype=np.int_),
    )


def seen(specimen, mode="haadf", tilt=(0.0, 0.0), **fields):
    scene = place(specimen, View(tilt_mrad=tilt), (64, 64 * specimen.n_columns), PIXEL)
    settings = ImagingSettings.usual(mode).model_copy(update=fields)
    return scene, image(scene, settings, RNG)


def sums(picture, parts):
    return [part.sum() for part in np.split(picture, parts, axis=1)]


def test_heavier_columns_are_brighter():
    _, picture = seen(columns([82, 38, 22, 8]))
    lead, strontium, titanium, oxygen = sums(picture, 4)
    assert lead > strontium > titanium > oxygen > 0
    assert picture.max() < 0.5


def test_brightness_grows_with_thickness_less_than_in_proportion():
    thin, middle, thick = (
        seen(columns([38], thickness_pm=t))[1].sum() for t in (5_000.0, 20_000.0, 50_000.0)
    )
    assert thin < middle < thick
    assert thick < 10 * thin


def test_the_detector_with_the_larger_hole_sees_less():
    specimen = columns([38])
    _, far = seen(specimen, inner_mrad=90.0, outer_mrad=200.0)
    _, near = seen(specimen, inner_mrad=60.0, outer_mrad=200.0)
    assert 0 < far.sum() < near.sum()


def test_a_larger_source_spreads_the_same_electrons():
    specimen = columns([38])
    _, sharp = seen(specimen, source_size_pm=20.0)
    _, soft = seen(specimen, source_size_pm=80.0)
    assert soft.max() < 0.8 * sharp.max()
    assert soft.sum() == pytest.approx(sharp.sum(), rel=0.03)


def test_a_leaning_column_is_seen_between_its_entrance_and_its_middle():
    scene, picture = seen(columns([38], thickness_pm=40_000.0), tilt=(5.0, 0.0))
    weight = picture * (picture > 0.3 * picture.max())
    x = float((weight.sum(axis=0) * np.arange(picture.shape[1])).sum() / weight.sum())
    entrance = scene.columns.xy_px[0, 0] - 0.5 * 5e-3 * 40_000.0 / PIXEL
    assert entrance - 0.05 < x < scene.columns.xy_px[0, 0]


def test_annular_bright_field_is_dark_on_columns_and_shows_oxygen():
    scene, picture = seen(columns([38, 8]), mode="abf")
    vacuum = np.median(picture)
    row, places = picture[31:33].mean(axis=0), np.rint(scene.columns.xy_px[:, 0]).astype(int)
    strontium, oxygen = row[places]
    assert strontium < oxygen < 0.99 * vacuum
    assert vacuum == pytest.approx(0.75, abs=0.02)


def test_detectors_that_see_the_wrong_electrons_are_refused():
    specimen = columns([38])
    with pytest.raises(UserError, match="abtem"):
        seen(specimen, inner_mrad=15.0, outer_mrad=60.0)
    with pytest.raises(UserError, match="direct electrons"):
        seen(specimen, mode="abf", inner_mrad=40.0, outer_mrad=60.0)


def test_tables_say_how_they_were_made_and_are_finite():
    tables = load_tables()
    assert tables.voltage_kv == 200.0
    with np.load(Path(__file__).parents[2] / "src/napari_apgan/simulate/imaging/columns.npz") as f:
        meta = json.loads(str(f["meta"]))
        for name in ("haadf", "adf", "abf"):
            assert np.isfinite(f[name]).all()
    assert meta


@pytest.mark.parametrize("tilt", [0.0, 5.0])
def test_images_agree_with_multislice_of_an_interface_that_made_no_table(tilt):
    cell = interface_cell()
    with np.load(Path(__file__).with_name("data") / "interface_haadf.npz") as file:
        reference = file[f"tilt_{tilt:g}"].astype(np.float64)
    for depth, expected in zip(THICKNESSES_PM, reference, strict=True):
        thickness = round(depth / cell.period_pm) * cell.period_pm
        scene = scene_of_cell(cell, thickness, tilt)
        fast = haadf_image(scene, beam_settings(BEAM), RNG)
        fast = with_probe_of_cell(fast, cell, BEAM)
        for row in compare_images(fast, expected, cell, thickness, tilt):
            assert row.intensity_ratio == pytest.approx(1.0, abs=0.16), row
            assert row.rms_shift_pm < 3.0, row
