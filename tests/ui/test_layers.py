"""Any image layer: adopted, known again by its content, and clicked on the right pixel."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import tifffile
from napari.layers import Image
from qtpy.QtWidgets import QApplication

from napari_apgan.atoms import positions
from napari_apgan.elements import Element
from napari_apgan.ui.placement import frame_of, point_of

pytestmark = pytest.mark.gui

TURN = np.array([[0.8, -0.6], [0.6, 0.8]])

#: Where an image may lie among others.
PLACES = {
    "scaled": {"scale": (2.5, 2.5)},
    "of unequal scales": {"scale": (2.0, 3.0)},
    "in nm": {"scale": (0.02, 0.02), "units": ("nm", "nm")},
    "in µm, moved": {"scale": (2e-5, 2e-5), "units": ("um", "um"), "translate": (1e-3, 2e-3)},
    "translated": {"translate": (300.0, -150.0)},
    "translated and scaled": {"translate": (300.0, -150.0), "scale": (0.5, 0.5)},
    "rotated": {"rotate": 33.0},
    "sheared": {"shear": np.array([0.3])},
    "by an affine transform": {"affine": [[1.6, -1.2, 40.0], [1.2, 1.6, 7.0], [0.0, 0.0, 1.0]]},
    "everything": {
        "scale": (2.0, 2.0),
        "translate": (10.0, 20.0),
        "rotate": -20.0,
        "affine": [[0.8, -0.6, 5.0], [0.6, 0.8, -9.0], [0.0, 0.0, 1.0]],
    },
}


@pytest.fixture
def show(open_workbench, hand_on):
    """Show data as a layer in a workbench with an element, and return it with a hand on it."""

    def make(data, **keywords):
        workbench = open_workbench()
        workbench.desk.viewer.add_image(data, name="picture", **keywords)
        QApplication.processEvents()
        workbench.desk.viewer.reset_view()
        QApplication.processEvents()
        if workbench.image_layer is not None:
            workbench.desk.add_element(Element(name="Pb", color="#FF00FF"))
        return workbench, hand_on(workbench)

    return make


def check_click(workbench, canvas, centres, number=10) -> None:
    """Click beside an atom: the label is on it, and drawn where the image shows it."""
    x, y = centres[number]
    before = len(workbench.session.atoms())
    canvas.click(x + 1.5, y - 1.0)
    table = workbench.session.atoms()
    assert len(table) == before + 1
    assert np.abs(positions(table)[-1] - (x, y)).max() < 0.5
    image, atoms = workbench.image_layer, workbench.atoms.layer
    drawn = atoms.data_to_world(atoms.data[-1])
    shown = image.data_to_world((*(0.0,) * (image.ndim - 2), y, x))[-2:]
    px = np.linalg.norm(
        np.subtract(
            image.data_to_world((*(0.0,) * (image.ndim - 2), 0.0, 1.0)),
            image.data_to_world((0.0,) * image.ndim),
        )
    )
    assert np.linalg.norm(np.subtract(drawn, shown)) < 0.7 * px


@pytest.mark.parametrize("where", PLACES)
def test_a_click_lands_on_the_right_pixel_wherever_the_layer_lies(show, lattice, where):
    image, centres = lattice()
    workbench, canvas = show(image, **PLACES[where])
    bare = Image(image, **PLACES[where])
    corners = [bare.data_to_world(c) for c in ((0, 0), (0, 127), (95, 0))]
    check_click(workbench, canvas, centres)
    now = [workbench.image_layer.data_to_world(c) for c in ((0, 0), (0, 127), (95, 0))]
    unit = 1000.0 if "µm" in where else 1.0  # shown in nm from now on
    assert np.allclose(np.multiply(corners, unit), now), "the image stays where it was"
    known = where.startswith("in ")
    assert workbench.session.calibration.known == known
    if known:
        assert workbench.session.calibration.x_pm == pytest.approx(20.0)


def test_a_pixel_size_given_later_stretches_a_turned_layer_and_labels_follow(show, lattice):
    from napari_apgan.frames import Calibration

    image, centres = lattice()
    workbench, canvas = show(image, **PLACES["everything"])
    check_click(workbench, canvas, centres)
    workbench.session.set_calibration(Calibration.from_pixel_size(20.0, 30.0, origin="user"))
    QApplication.processEvents()
    check_click(workbench, canvas, centres, 11)
    layer = workbench.image_layer
    origin = np.asarray(layer.data_to_world((0, 0)))
    sides = [np.linalg.norm(np.asarray(layer.data_to_world(c)) - origin) for c in ((1, 0), (0, 1))]
    assert sides == pytest.approx([0.03, 0.02])
    workbench.desk.undo()
    workbench.desk.undo()
    assert not workbench.session.calibration.known
    assert np.allclose(layer.scale, (2.0, 2.0))
    assert np.allclose(layer.translate, (10.0, 20.0))


def test_labels_follow_when_the_layer_is_moved_or_turned(show, lattice):
    image, centres = lattice()
    workbench, canvas = show(image)
    check_click(workbench, canvas, centres)
    workbench.image_layer.translate = (50.0, -30.0)
    workbench.image_layer.rotate = 25.0
    workbench.desk.viewer.reset_view()
    QApplication.processEvents()
    check_click(workbench, canvas, centres, 11)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")
def test_a_layer_turned_out_of_its_plane_is_refused_in_a_sentence(show, lattice):
    image, _ = lattice()
    workbench, _ = show(np.stack([image, image]), rotate=(0.0, 30.0, 0.0))
    assert workbench.image_layer is None
    assert "out of its image plane" in workbench.messages.text.text()


def test_colours_are_seen_as_brightness(show, lattice):
    image, centres = lattice()
    grey = np.clip(image * 1.6, 0, 255).astype(np.uint8)
    workbench, canvas = show(np.stack([grey, grey, grey], axis=-1), rgb=True)
    assert "its colours become one brightness" in workbench.messages.text.text()
    check_click(workbench, canvas, centres)


def test_a_colour_file_is_known_again_by_its_path(open_workbench, lattice, tmp_path):
    grey = np.clip(lattice()[0] * 1.6, 0, 255).astype(np.uint8)
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, np.stack([grey, grey // 2, grey], axis=-1), photometric="rgb")
    workbench = open_workbench()
    workbench.desk.viewer.open(path, plugin="napari")
    QApplication.processEvents()
    assert workbench.image_layer.rgb
    record = workbench.session.project.record(workbench.session.source_id)
    assert not record.stored
    assert record.absolute_path == str(path)


def test_a_pyramid_is_seen_at_its_finest(show, lattice):
    image, centres = lattice()
    workbench, canvas = show([image, image[::2, ::2]], multiscale=True)
    assert "its finest level is used" in workbench.messages.text.text()
    assert workbench.desk.frame().shape == image.shape
    check_click(workbench, canvas, centres)


def test_a_pyramid_of_a_series_has_frames(show, lattice):
    image, centres = lattice()
    stack = np.stack([image, image[::-1], image])
    workbench, canvas = show([stack, stack[:, ::2, ::2]], multiscale=True)
    workbench.session.go_to(workbench.session.source_id, 2)
    check_click(workbench, canvas, centres)
    assert workbench.session.atoms()["frame"].tolist() == [2]


def test_axes_in_front_count_the_frames(show, lattice):
    image, centres = lattice()
    stack = np.stack([image + n for n in range(6)]).reshape(2, 3, *image.shape)
    workbench, canvas = show(stack, scale=(1.0, 4.0, 1.0, 1.0), translate=(0.0, 8.0, 0.0, 0.0))
    assert "its 2x3 images are taken as a series of 6 frames" in workbench.messages.text.text()
    dims, session = workbench.desk.viewer.dims, workbench.session
    session.go_to(session.source_id, 4)
    assert np.allclose(workbench.desk.frame().data, image + 4)
    shown = np.asarray(workbench.image_layer._slice.image.raw)
    assert np.allclose(shown, image + 4), "the window shows the frame that is labelled"
    check_click(workbench, canvas, centres)
    dims.set_current_step(1, dims.current_step[1] + 1)
    assert session.frame_index == 5
    dims.set_current_step(0, 0)
    assert session.frame_index == 2
    assert len(session.atoms()) == 0
    layer = workbench.image_layer
    assert [frame_of(layer, (*point_of(layer, n), 0.0, 0.0)) for n in range(6)] == list(range(6))


def test_a_lazy_series_is_read_frame_by_frame(show, lattice):
    image, centres = lattice()
    lazy = da.from_array(np.stack([image, image[::-1], image]), chunks=(1, 48, -1))
    workbench, canvas = show(lazy)
    workbench.session.go_to(workbench.session.source_id, 0)
    check_click(workbench, canvas, centres)
    assert workbench.session.project.record(workbench.session.source_id).n_frames == 3


def test_the_same_pixels_are_the_same_source_whatever_the_layer_is_called(show, lattice):
    image, centres = lattice()
    workbench, canvas = show(image)
    check_click(workbench, canvas, centres)
    viewer, source_id = workbench.desk.viewer, workbench.session.source_id
    viewer.layers.remove(workbench.image_layer)
    QApplication.processEvents()
    viewer.add_image(image.copy(), name="another name", translate=(40.0, 0.0))
    QApplication.processEvents()
    assert workbench.session.source_id == source_id
    assert len(workbench.session.atoms()) == 1
    assert "where it lies among other layers is not kept" in workbench.messages.text.text()
