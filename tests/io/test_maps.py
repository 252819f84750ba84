"""Maps keep their values and the names of their channels."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io import calibration_from_file, read_maps, write_maps

CALIBRATION = Calibration.from_pixel_size(20, 25, origin="user")


def some_maps(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.mark.parametrize("elements", [["Pb"], ["Pb", "Ti/O"], ["A", "unknown", "β"], list("abcd")])
def test_maps_of_a_frame_read_back(elements: list[str], tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.maps.tif"
    maps = some_maps(len(elements), 20, 30)
    write_maps(path, maps, elements, CALIBRATION)
    read, names = read_maps(path)
    np.testing.assert_array_equal(read, maps)
    assert names == tuple(elements)
    calibration = calibration_from_file(path)
    assert (calibration.y_pm, calibration.x_pm) == pytest.approx((25, 20), rel=1e-6)
    with tifffile.TiffFile(path) as tif:
        assert tif.series[0].axes == ("CYX" if len(elements) > 1 else "YX")


@pytest.mark.parametrize("lazy", [False, True])
def test_maps_of_a_series_are_read_a_frame_at_a_time(lazy: bool, tmp_path: Path) -> None:
    maps = some_maps(4, 2, 20, 30)
    path = tmp_path / "a.maps.zarr"
    for factor in (0.5, 1.0):  # the second replaces the first
        values = maps * np.float32(factor)
        write_maps(path, da.from_array(values, chunks=-1) if lazy else values, ["Pb", "Ti"])
        read, names = read_maps(path)
        assert read.chunksize == (1, 2, 20, 30)
        np.testing.assert_array_equal(read.compute(), values)
        assert names == ("Pb", "Ti")
    assert sorted(p.name for p in tmp_path.iterdir() if "maps" in p.name) == ["a.maps.zarr"]


def test_shapes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for name, shape in (("a.tif", (2, 9, 9)), ("a.tif", (4, 1, 9, 9)), ("a.zarr", (9, 9))):
        with pytest.raises(UserError, match="for 1 elements cannot be written"):
            write_maps(tmp_path / name, some_maps(*shape), ["Pb"])


def test_what_holds_no_maps_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", some_maps(9, 9))
    (tmp_path / "b.tif").write_bytes(b"II*\x00 nonsense")
    (tmp_path / "c.zarr").mkdir()
    for name, sentence in (
        ("a.tif", "no probability maps"),
        ("b.tif", "no probability maps"),
        ("c.zarr", "could not be read"),
        ("d.zarr", "no folder"),
        ("d.tif", "no file"),
    ):
        with pytest.raises(UserError, match=sentence):
            read_maps(tmp_path / name)
