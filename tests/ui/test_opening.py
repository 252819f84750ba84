"""Opening images: which reader napari takes, and one unit for all layers from the first drawing."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import tifffile
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialog

from napari_apgan.ui.readers import CONTESTED, PLUGIN, prefer_our_readers

pytestmark = pytest.mark.gui


@pytest.fixture
def warned():
    """What napari has told the user since the test began."""
    before = len(notification_manager.records)
    return lambda: [r.message for r in notification_manager.records[before:]]


@pytest.fixture
def files(tmp_path, lattice):
    """A TIFF with a pixel size, one without, and the same pixels as HDF5 and npz."""
    image, _ = lattice()
    with_size = {"imagej": True, "resolution": (50, 50), "metadata": {"unit": "nm"}}
    tifffile.imwrite(tmp_path / "first.tif", image, **with_size)
    tifffile.imwrite(tmp_path / "second.tif", image[::-1].copy(), **with_size)
    tifffile.imwrite(tmp_path / "bare.tif", image)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["image"] = image
    with h5py.File(tmp_path / "data.hdf5", "w") as file:
        file["image"] = image
    np.savez(tmp_path / "data.npz", image=image)
    return tmp_path


def opened(workbench, path) -> None:
    workbench.desk.viewer.open(path, plugin="napari")
    QTest.qWait(60)  # the canvas is drawn


def units(workbench) -> set[str]:
    return {str(unit) for layer in workbench.desk.viewer.layers for unit in layer.units}


def test_a_second_image_has_the_unit_of_the_first_once_its_file_was_read(open_workbench, files):
    workbench = open_workbench()
    opened(workbench, files / "first.tif")
    opened(workbench, files / "second.tif")
    assert workbench.image_layer.name == "second"
    assert workbench.session.calibration.x_pm == pytest.approx(20.0)
    assert workbench.session.calibration.origin == "file"
    assert units(workbench) == {"nanometer"}


@pytest.mark.parametrize("order", [("first.tif", "bare.tif"), ("bare.tif", "first.tif")])
def test_an_image_after_another_one_that_was_removed_never_mixes_units(
    open_workbench, files, warned, order
):
    workbench = open_workbench()
    for name in order:
        opened(workbench, files / name)
        unit = "nanometer" if name == "first.tif" else "pixel"
        assert units(workbench) == {unit}
        workbench.desk.viewer.layers.remove(workbench.image_layer)
        QTest.qWait(60)
        assert not len(workbench.desk.viewer.layers)
    assert not [m for m in warned() if "units" in m]


@pytest.mark.parametrize("order", [("first.tif", "bare.tif"), ("bare.tif", "first.tif")])
def test_an_image_without_a_pixel_size_beside_one_that_has_it_mixes_no_units(
    open_workbench, files, warned, order
):
    workbench = open_workbench()
    for name in order:
        opened(workbench, files / name)
        assert units(workbench) == {"nanometer" if name == "first.tif" else "pixel"}
        assert workbench.session.calibration.known == (name == "first.tif")
    first = workbench.desk.viewer.layers[order[0].removesuffix(".tif")]
    workbench.desk.viewer.layers.selection.active = first
    QTest.qWait(60)
    assert workbench.image_layer is first
    assert units(workbench) == {"nanometer" if order[0] == "first.tif" else "pixel"}
    assert workbench.session.calibration.known == (order[0] == "first.tif")
    assert not [m for m in warned() if "units" in m]


@pytest.mark.parametrize("suffix", [pattern[1:] for pattern in CONTESTED])
def test_a_dropped_data_file_opens_with_ours_and_nothing_is_asked(open_workbench, files, suffix):
    workbench = open_workbench()
    viewer = workbench.desk.viewer
    # What napari does with a drop: the dialog comes only where two readers are left.
    viewer.window._qt_viewer._qt_open([str(files / f"data{suffix}")], stack=False)
    QApplication.processEvents()
    assert not [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isModal()]
    assert workbench.image_layer.source.reader_plugin == PLUGIN
    assert workbench.desk.frame().shape == (96, 128)


def test_a_reader_that_the_user_chose_stays(open_workbench):
    plugins = get_settings().plugins
    before = dict(plugins.extension2reader)
    try:
        plugins.extension2reader = {"*.h5": "someone-elses"}
        prefer_our_readers()
        assert plugins.extension2reader["*.h5"] == "someone-elses"
        assert plugins.extension2reader["*.npz"] == PLUGIN
        assert "*.tif" not in plugins.extension2reader
    finally:
        plugins.extension2reader = before
