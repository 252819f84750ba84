"""The traps of image files, each made small here: TIFF tags, colours, axes, plain arrays."""

from __future__ import annotations

import threading
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest
import tifffile

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io import (
    READABLE,
    calibration_from_file,
    content_hash,
    list_sources,
    open_source,
    source_from_array,
)

RAMP = np.arange(24 * 40, dtype=np.float32).reshape(24, 40)


def gatan(unit_x: str, x: float, unit_y: str, y: float) -> list[tuple[int, str, int, object, bool]]:
    return [
        (65003, "s", 0, unit_x, False),
        (65004, "s", 0, unit_y, False),
        (65009, "d", 1, x, False),
        (65010, "d", 1, y, False),
    ]


def test_a_scale_only_in_gatan_tags_is_read_with_x_and_y_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP, extratags=gatan("nm", 0.02, "nm", 0.025))
    calibration = open_source(path).calibration
    assert (calibration.y_pm, calibration.x_pm) == pytest.approx((25, 20))
    assert "along y" in calibration.note
    assert "Gatan tags" in calibration.note


@pytest.mark.parametrize("unit", ["micron", "µm", "\\u00B5m"])
def test_the_imagej_unit_is_not_dropped(unit: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    description = f"ImageJ=1.53t\nunit={unit}\n".encode("latin-1")
    tifffile.imwrite(
        path,
        RAMP,
        description=description,
        resolution=(50000.0, 40000.0),
        resolutionunit="none",
        metadata=None,
    )
    calibration = open_source(path).calibration
    assert (calibration.y_pm, calibration.x_pm) == pytest.approx((25, 20), rel=1e-6)
    assert "ImageJ unit" in calibration.note


def test_contradicting_tags_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        RAMP,
        imagej=True,
        resolution=(20.0, 20.0),
        metadata={"unit": "nm"},
        extratags=gatan("nm", 0.02, "nm", 0.02),
    )
    calibration = open_source(path).calibration
    assert calibration.x_pm == pytest.approx(20)
    assert "50 pm: check it" in calibration.note


@pytest.mark.parametrize(
    ("resolution", "unit", "pm"),
    [((72, 72), "inch", None), ((300, 300), "inch", None), ((4e8, 5e8), "centimeter", (20, 25))],
)
def test_a_printers_resolution_is_no_pixel_size(
    resolution: tuple[float, float], unit: str, pm: tuple[float, float] | None, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP, resolution=resolution, resolutionunit=unit, metadata=None)
    calibration = open_source(path).calibration
    if pm is None:
        assert not calibration.known
        assert calibration.note == "The file holds no pixel size."
    else:
        assert (calibration.y_pm, calibration.x_pm) == pytest.approx(pm, rel=1e-5)


def test_ome_headers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path,
        np.stack([RAMP, RAMP + 1]),
        metadata={
            "axes": "TYX",
            "PhysicalSizeX": 0.02,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 0.25,
            "PhysicalSizeYUnit": "Å",
        },
    )
    source = open_source(path)
    assert (source.calibration.y_pm, source.calibration.x_pm) == pytest.approx((25, 20))
    assert source.n_frames == 2


def test_absurd_scales_are_refused_with_the_reason(tmp_path: Path) -> None:
    for x, unit, why in (
        (-1.0, "nm", "not positive"),
        (1.0, "", "1 without a unit"),
        (0.0293, "m", "not between 0.5 pm and 1 µm"),
        (0.02, "1/nm", "is not a length"),
        (float("nan"), "nm", "not a number"),
        (12.0, "", "has no unit"),
    ):
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, RAMP, extratags=gatan(unit, x, unit, x))
        calibration = open_source(path).calibration
        assert not calibration.known
        assert why in calibration.note


@pytest.mark.parametrize("compression", ["lzw", "zlib", None])
@pytest.mark.parametrize("dtype", ["float16", "uint32", "float64", "uint16", ">f4", "int8"])
def test_every_type_and_compression_opens(
    compression: str | None, dtype: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    image = (RAMP % 90).astype(dtype)
    tifffile.imwrite(path, image, compression=compression, byteorder=">" if ">" in dtype else "<")
    np.testing.assert_array_equal(open_source(path).frame(0).data, image.astype(np.float32))


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_become_luminance_and_the_note_says_so(
    channels: int, planar: bool, tmp_path: Path
) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (24, 40, channels), dtype=np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.moveaxis(rgb, -1, 0) if planar else rgb,
        photometric="rgb",
        planarconfig="separate" if planar else "contig",
    )
    expected = rgb[..., :3] @ np.array([0.2126, 0.7152, 0.0722])
    frame = open_source(path).frame(0)
    np.testing.assert_allclose(frame.data, expected, rtol=1e-5)
    assert "luminance" in frame.note


def test_grey_stored_as_rgba_png_keeps_its_values(tmp_path: Path) -> None:
    import imageio.v3

    grey = (RAMP % 251).astype(np.uint8)
    rgba = np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1)
    for suffix, image in ((".png", rgba), (".png", grey), (".bmp", rgba[..., :3])):
        path = tmp_path / f"a{suffix}"
        imageio.v3.imwrite(path, image)
        np.testing.assert_array_equal(open_source(path).frame(0).data, grey)


@pytest.mark.parametrize("contiguous", [True, False])
def test_tiff_series_are_lazy_and_in_order(contiguous: bool, tmp_path: Path) -> None:
    stack = np.stack([RAMP + 1000 * i for i in range(5)]).astype(np.uint16)
    path = tmp_path / "a.tif"
    if contiguous:
        tifffile.imwrite(path, stack, imagej=True)
    else:
        tifffile.imwrite(path, stack, compression="zlib", photometric="minisblack")
    source = open_source(path)
    assert isinstance(source.stack, da.Array)
    for index in range(5):
        np.testing.assert_array_equal(source.frame(index).data, stack[index])
    path.unlink()  # nothing holds it, and a lost file is a sentence
    with pytest.raises(UserError, match="could not be read"):
        source.frame(1)


@pytest.mark.parametrize("layout", ["contiguous", "compressed", "planar"])
def test_a_series_in_colours_is_lazy_luminance(layout: str, tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (3, 24, 40, 3), dtype=np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.moveaxis(rgb, -1, 1) if layout == "planar" else rgb,
        photometric="rgb",
        planarconfig="separate" if layout == "planar" else "contig",
        compression="zlib" if layout == "compressed" else None,
    )
    source = open_source(path)
    assert (source.n_frames, source.shape) == (3, (24, 40))
    for index in range(3):
        expected = rgb[index] @ np.array([0.2126, 0.7152, 0.0722])
        np.testing.assert_allclose(source.frame(index).data, expected, rtol=1e-5)


def test_big_imagej_stacks_describe_only_their_first_page(tmp_path: Path) -> None:
    stack = np.stack([RAMP + 1000 * i for i in range(4)]).astype(np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, imagej=True)
    with tifffile.TiffFile(path) as tif:
        page, order = tif.pages.first, tif.byteorder
    data = bytearray(path.read_bytes())
    n_tags = int.from_bytes(
        data[page.offset : page.offset + 2], "big" if order == ">" else "little"
    )
    link = page.offset + 2 + 12 * n_tags
    data[link : link + 4] = bytes(4)  # ImageJ writes no second page beyond 4 GB
    path.write_bytes(data)
    source = open_source(path)
    assert (source.n_frames, source.shape) == (4, (24, 40))
    for index in range(4):
        np.testing.assert_array_equal(source.frame(index).data, stack[index])


def test_a_volume_in_one_page_is_a_series(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).random((32, 32, 48), dtype=np.float32)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, volume, volumetric=True, tile=(16, 16, 16), photometric="minisblack")
    source = open_source(path)
    np.testing.assert_array_equal(source.frame(17).data, volume[17])


def test_channels_and_time_are_frames_in_their_order(tmp_path: Path) -> None:
    stack = np.arange(2 * 3 * 24 * 40, dtype=np.uint16).reshape(2, 3, 24, 40)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TCYX"})
    source = open_source(path)
    assert source.n_frames == 6
    np.testing.assert_array_equal(source.frame(4).data, stack[1, 1])


def test_images_of_several_sizes_in_one_tiff_have_names(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(RAMP[:9, :9])
        writer.write(RAMP)
    assert open_source(path).shape == (24, 40)
    assert [s.dataset for s in list_sources(path)] == ["series 0", "series 1"]
    assert open_source(path, dataset="series 0").shape == (9, 9)


def test_the_tags_of_fei_microscopes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    text = "[Scan]\r\nPixelWidth=2e-11\r\nPixelHeight=2.5e-11\r\n"
    tifffile.imwrite(path, RAMP, extratags=[(34682, "s", 0, text, False)], metadata=None)
    calibration = open_source(path).calibration
    assert (calibration.y_pm, calibration.x_pm) == pytest.approx((25, 20))
    assert "FEI tags" in calibration.note


def test_the_frame_axis_may_be_first_or_last(tmp_path: Path) -> None:
    first = np.random.default_rng(0).normal(size=(5, 24, 40))
    path = tmp_path / "a.npz"
    np.savez(path, first=first, last=np.moveaxis(first, 0, -1), cube=np.zeros((12, 12, 12)) + 1)
    for name in ("first", "last"):
        source = open_source(path, dataset=name)
        assert (source.n_frames, source.shape) == (5, (24, 40))
        np.testing.assert_array_equal(source.frame(3).data, first[3].astype(np.float32))
        assert f"along the {name} axis" in source.metadata["series"]
    assert open_source(path, dataset="last@first").shape == (40, 5)
    said = open_source(path, dataset="cube@last")
    assert said.dataset == "cube@last"
    assert open_source(path, dataset=said.dataset).shape == said.shape


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_the_largest_image_is_the_default_and_tables_are_not_images(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    arrays = {
        "positions": np.zeros((5000, 2)),
        "small": RAMP[:10, :10],
        "deep/image": RAMP + 1,
        "other": RAMP + 2,
        "text": np.array(["no"], dtype="S2"),
        "pixel_size_nm": np.float64(0.02),
    }
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, value in arrays.items():
                file[name] = value
    source = open_source(path)
    assert source.dataset == "deep/image"
    assert source.calibration.x_pm == pytest.approx(20)
    assert {s.dataset for s in list_sources(path)} == {"small", "deep/image", "other"}
    assert open_source(path, dataset="small").shape == (10, 10)
    with pytest.raises(UserError, match=r"no image called 'absent' .*small"):
        open_source(path, dataset="absent")


def test_an_hdf5_series_is_lazy_whichever_axis_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    stack = np.stack([RAMP + 100 * i for i in range(4)])
    with h5py.File(path, "w") as file:
        file["first"] = stack
        file["last"] = np.moveaxis(stack, 0, -1)
        file["nested"] = stack.reshape(2, 2, 24, 40)
    for name in ("first", "last", "nested"):
        source = open_source(path, dataset=name)
        assert isinstance(source.stack, da.Array)
        assert source.stack.chunksize == (1, 24, 40)
        np.testing.assert_array_equal(source.frame(2).data, stack[2])


def test_what_is_no_image_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").touch()
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "a.docx").write_text("x")
    np.savez(tmp_path / "table.npz", xy=np.zeros((90, 2)))
    np.savez(tmp_path / "pickled.npz", xy=np.array([{}, {}], dtype=object))
    np.save(tmp_path / "complex.npy", np.zeros((20, 20), complex))
    np.save(tmp_path / "blank.npy", np.full((20, 20), np.nan))
    for name, sentence in (
        ("absent.tif", "There is no file"),
        ("empty.tif", "is empty"),
        ("folder.tif", "is a folder"),
        ("a.docx", "cannot be read as images"),
        ("table.npz", "holds no image"),
        ("pickled.npz", "holds no image"),
        ("complex.npy", "is no image"),
        ("blank.npy", "no valid pixel"),
    ):
        with pytest.raises(UserError, match=sentence):
            open_source(tmp_path / name)
    with pytest.raises(UserError, match="holds no image"):
        list_sources(tmp_path / "table.npz")


def test_suffixes_count_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "A.TIF"
    tifffile.imwrite(path, RAMP)
    assert open_source(path).shape == (24, 40)
    assert all(s == s.lower() and s.startswith(".") for s in READABLE)


def test_a_given_calibration_wins(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP, extratags=gatan("nm", 0.02, "nm", 0.02))
    mine = Calibration.from_pixel_size(30, origin="user")
    assert open_source(path, calibration=mine).calibration == mine
    assert calibration_from_file(path).x_pm == pytest.approx(20)


def test_layers_become_sources() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (2, 24, 40, 3), dtype=np.uint8)
    source = source_from_array(rgb, "colours")
    assert (source.n_frames, source.shape) == (2, (24, 40))
    assert "luminance" in source.frame(0).note
    lazy = source_from_array(da.from_array(rgb, chunks=-1), "lazy")
    np.testing.assert_array_equal(lazy.frame(1).data, source.frame(1).data)
    series = source_from_array(da.zeros((7, 24, 40), chunks=-1) + 1, "series")
    assert series.stack.chunksize == (1, 24, 40)
    assert source_from_array(RAMP, "one").n_frames == 1
    assert source_from_array(np.zeros((3, 9, 4)) + 1, "not colours").n_frames == 3
    for bad in (np.zeros(5), np.zeros((0, 4)), np.zeros((9, 9), complex)):
        with pytest.raises(UserError):
            source_from_array(bad, "bad")


def test_hashes_tell_contents_not_layout(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    assert content_hash(path).startswith("ba7816bf8f01cfea")
    assert content_hash(RAMP) == content_hash(np.asfortranarray(RAMP))
    assert content_hash(RAMP) == content_hash(RAMP.astype(">f4"))
    stack = np.stack([RAMP, RAMP + 1])
    assert content_hash(stack) == content_hash(da.from_array(stack, chunks=1))
    assert len({content_hash(a) for a in (RAMP, RAMP.T, RAMP + 1, RAMP.astype("f8"))}) == 4
    with pytest.raises(UserError, match="no file"):
        content_hash(tmp_path / "absent")


def test_threads_may_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP)
    shapes: list[tuple[int, int]] = []
    threads = [
        threading.Thread(target=lambda: shapes.append(open_source(path).shape)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shapes == [(24, 40)] * 4
