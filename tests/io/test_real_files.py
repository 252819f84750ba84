"""Every real file opens with its orientation, pixel size, and where that came from."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import dask.array as da
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_apgan.atoms import positions
from napari_apgan.io import (
    calibration_from_file,
    list_sources,
    open_source,
    read_atoms,
    source_from_array,
)

pytestmark = pytest.mark.data


class Expected(NamedTuple):
    path: str
    n_frames: int
    shape: tuple[int, int]
    dtype: str
    pixel_pm: float | None
    note: str


FILES = (
    Expected(
        "graphene_flower/graphene_flower.tif", 1, (256, 256), "float32", None, "no pixel size"
    ),
    Expected("pto_sro/pto_sro_left.hspy", 1, (224, 656), "float32", 14.9968, "hyperspy axes"),
    Expected("srtio3_ser/16_STOimage_1.ser", 1, (1024, 1024), "uint16", 10.0127, "TIA header"),
    Expected("srtio3_ser/16_STOimage.emi", 1, (1024, 1024), "uint16", 10.0127, "TIA header"),
    Expected(
        "ptnc_haadf/021_HAADF_15nm_Sample_PtNC_21Oct20.tif",
        1,
        (512, 512),
        "uint32",
        29.296875,
        "Gatan tags",
    ),
    Expected(
        "se_mos2_dm3/example_Se_implanted_MoS2.dm3",
        1,
        (1024, 1024),
        "uint32",
        12.6953,
        "Gatan image tags",
    ),
    # Axes without name or unit: the number can only be nm, and the note says so.
    Expected(
        "srtio3_adf_abf/test_ADF_cropped.hdf5", 1, (400, 380), "float16", 9.32627, "taken as nm"
    ),
    Expected(
        "srtio3_adf_abf/test_ABF_cropped.hdf5", 1, (400, 380), "float16", 9.32627, "taken as nm"
    ),
    # The file's own value, half of what the authors' coordinates imply: files lie.
    Expected("ptir_particle/ptir.npz", 1, (512, 512), "float64", 6.055, "pixel_size_A"),
    Expected("hmm_series/hmm_series.npz", 5, (361, 361), "float64", 12.5, "pixel_size_A"),
    Expected("png_no_scale/dysco3_8nm_field.png", 1, (1024, 1024), "uint8", None, "without a unit"),
    Expected("png_no_scale/si110_5nm_field.png", 1, (512, 512), "uint8", None, "without a unit"),
    Expected("batio3_dm4/BTO_crystal_2.dm4", 1, (465, 476), "float64", 35.5919, "Gatan image tags"),
    Expected("misc/exp_hrstem.h5", 5, (768, 768), "uint16", None, "no pixel size"),
    Expected("misc/REBCO-ROI_raw.dm3", 1, (128, 128), "uint16", 54.0820, "Gatan image tags"),
    # RosettaSciIO drops this unit; ImageJ's description holds it.
    Expected("misc/Tecnai_Osiris_SrTiO3.tif", 1, (512, 512), "uint16", 13.5172, "ImageJ unit"),
    Expected("formats/test_STEM_image.dm3", 1, (68, 68), "uint32", 248.538, "Gatan image tags"),
    Expected(
        "formats/test_stackbuilder_imagestack.dm3", 3, (2, 16), "uint32", 59982.9, "Gatan image"
    ),
    Expected("formats/fei_example_tem_stack.emd", 2, (3, 3), "int16", 8.17288, "EMD metadata"),
    Expected("formats/example_image.emd", 1, (3, 3), "int32", None, "1 without a unit"),
    Expected("formats/ROI_Random_Scan_movie.mrc", 348, (16, 16), "uint16", None, "not positive"),
    Expected("formats/128x128-TEM_search_1.ser", 1, (128, 128), "int32", 5261.21, "TIA header"),
    Expected("formats/128x128-TEM_search.emi", 1, (128, 128), "int32", 5261.21, "TIA header"),
    Expected(
        "formats/test_loading_image_saved_with_DM.tif", 1, (68, 68), "int32", 168674.69, "Gatan"
    ),
    Expected(
        "formats/test_loading_image_saved_with_imageJ_stack.tif",
        2,
        (68, 68),
        "float32",
        168674.71,
        "ImageJ unit",
    ),
)


def test_every_image_of_the_folder_is_in_the_table(real_data: Path) -> None:
    from napari_apgan.io import READABLE

    images = {
        p.relative_to(real_data).as_posix()
        for p in real_data.rglob("*")
        if p.suffix in READABLE and not p.match("ptnc_haadf/*")
    }
    assert images - {e.path for e in FILES} == set()


@pytest.mark.parametrize("expected", FILES, ids=lambda e: e.path)
def test_a_real_file_opens(expected: Expected, real_data: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = open_source(real_data / expected.path)
        frame = source.frame(source.n_frames - 1)
    assert (source.n_frames, source.shape, source.dtype) == (
        expected.n_frames,
        expected.shape,
        np.dtype(expected.dtype),
    )
    assert frame.shape == expected.shape
    assert frame.data.dtype == np.float32
    calibration = source.calibration
    if expected.pixel_pm is None:
        assert not calibration.known
        assert calibration.origin == "unknown"
    else:
        assert calibration.origin == "file"
        assert (calibration.y_pm, calibration.x_pm) == pytest.approx(
            (expected.pixel_pm,) * 2, rel=1e-4
        )
    assert expected.note in calibration.note
    assert calibration == calibration_from_file(real_data / expected.path)
    assert source.path == real_data / expected.path


def test_all_hand_labelled_images_have_the_same_pixel_size(real_data: Path) -> None:
    paths = sorted((real_data / "ptnc_haadf").glob("*.tif"))
    assert len(paths) == 11
    assert {calibration_from_file(p).x_pm for p in paths} == {29.296875}


LABELLED = (
    ("pto_sro/pto_sro_left.hspy", "pto_sro/pto_sro_left.csv", +1),
    ("srtio3_ser/16_STOimage_1.ser", "srtio3_ser/16_STOimage_1.csv", +1),
    ("ptir_particle/ptir.npz", "ptir_particle/ptir.csv", +1),
    ("graphene_flower/graphene_flower.tif", "graphene_flower/graphene_flower.csv", -1),
    (
        "ptnc_haadf/051_HAADF_15nm_Sample_PtNC_21Oct20.tif",
        "ptnc_haadf/051_HAADF_15nm_Sample_PtNC_21Oct20.csv",
        +1,
    ),
)


@pytest.mark.parametrize(("image", "table", "sign"), LABELLED, ids=lambda v: str(v)[:12])
def test_labels_lie_on_atoms_only_in_the_right_orientation(
    image: str, table: str, sign: int, real_data: Path
) -> None:
    data = gaussian_filter(open_source(real_data / image).frame(0).data.astype(np.float64), 1.5)
    xy = positions(read_atoms(real_data / table))

    def contrast(view: np.ndarray) -> float:
        at_atoms = map_coordinates(view, [xy[:, 1], xy[:, 0]], order=1, mode="nearest")
        return float(sign * (at_atoms.mean() - view.mean()) / view.std())

    right = contrast(data)
    wrong = [contrast(data[::-1]), contrast(data[:, ::-1]), contrast(data[::-1, ::-1])]
    if data.shape[0] == data.shape[1]:
        wrong.append(contrast(data.T))
    assert right > max(wrong) + 0.2


def test_the_series_with_its_frame_axis_last_agrees_with_its_labels(real_data: Path) -> None:
    source = open_source(real_data / "hmm_series/hmm_series.npz", dataset="b")
    atoms = read_atoms(real_data / "hmm_series/hmm_series.csv")
    for index in range(source.n_frames):
        image = source.frame(index).data
        xy = positions(atoms[atoms["frame"] == index])
        at_atoms = map_coordinates(image, [xy[:, 1], xy[:, 0]], order=1)
        flipped = map_coordinates(image, [xy[:, 0], xy[:, 1]], order=1)
        assert at_atoms.min() > np.median(image)
        assert at_atoms.mean() > flipped.mean()


def test_an_npz_lists_its_images_and_hides_its_tables(real_data: Path) -> None:
    names = [s.dataset for s in list_sources(real_data / "ptir_particle/ptir.npz")]
    assert names == ["image", "model"]
    assert [s.name for s in list_sources(real_data / "hmm_series/hmm_series.npz")] == [
        "hmm_series",
        "hmm_series [b]",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "formats/ROI_Random_Scan_movie.mrc",
        "formats/test_stackbuilder_imagestack.dm3",
        "formats/fei_example_tem_stack.emd",
        "formats/test_loading_image_saved_with_imageJ_stack.tif",
        "misc/exp_hrstem.h5",
    ],
)
def test_a_series_is_read_one_frame_at_a_time(path: str, real_data: Path) -> None:
    source = open_source(real_data / path)
    assert isinstance(source.stack, da.Array)
    assert source.stack.chunksize == (1, *source.shape)
    whole = source.stack.compute()
    last = source.n_frames - 1
    np.testing.assert_array_equal(source.frame(last).data, whole[last].astype(np.float32))
    if "imageJ" not in path:  # whose two frames are the same image
        assert not np.array_equal(whole[0], whole[last])


def test_a_layer_of_the_same_pixels_equals_the_file(real_data: Path) -> None:
    path = real_data / "misc/Tecnai_Osiris_SrTiO3.tif"
    source = open_source(path)
    layer = source_from_array(source.stack[0], "layer", calibration_from_file(path), path)
    np.testing.assert_array_equal(layer.frame(0).data, source.frame(0).data)
    assert layer.calibration == source.calibration


def test_no_real_image_is_misjudged_as_having_missing_pixels(real_data: Path) -> None:
    for expected in FILES:
        frame = open_source(real_data / expected.path).frame(0)
        assert frame.valid.all(), expected.path


@pytest.mark.parametrize("kept", [0.7, 0.3, 0.03])
def test_zeroed_pixels_of_real_images_are_found(kept: float, real_data: Path) -> None:
    for path in (
        "graphene_flower/graphene_flower.tif",
        "pto_sro/pto_sro_left.hspy",
        "srtio3_adf_abf/test_ADF_cropped.hdf5",
        "png_no_scale/si110_5nm_field.png",
        "ptnc_haadf/021_HAADF_15nm_Sample_PtNC_21Oct20.tif",
    ):
        image = np.asarray(open_source(real_data / path).stack[0])
        shown = np.random.default_rng(1).random(image.shape) < kept
        source = source_from_array(np.where(shown, image, 0).astype(image.dtype), path)
        assert np.mean(source.frame(0).valid == shown) > 0.999, path
        assert "taken as missing" in source.frame(0).note
