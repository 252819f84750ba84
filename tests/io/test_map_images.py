"""Output maps go out as pictures and come back as the same atoms."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io import open_source, write_maps
from napari_apgan.io.map_images import (
    find_colors,
    read_output_map,
    read_picture,
    unmix,
    write_channel_files,
    write_rgb_map,
)
from napari_apgan.label.from_maps import atoms_from_map, disc_radius_px
from napari_apgan.maps import output_map, rgb_map

NAMES = ["Pb", "Sr", "Ti"]
ELEMENTS = make_elements(NAMES, palette="paper")


@pytest.fixture
def labelled():
    rng = np.random.default_rng(5)
    gx, gy = np.meshgrid(np.arange(10, 120, 14.0), np.arange(10, 90, 14.0))
    xy = np.column_stack([gx.ravel(), gy.ravel()]) + rng.uniform(-2, 2, (gx.size, 2))
    atoms = make_atoms(xy, [NAMES[k % 3] for k in range(len(xy))])
    return atoms, output_map(atoms, NAMES, (96, 128), 3.4)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_papers_picture_gives_back_the_atoms(tmp_path, labelled, suffix) -> None:
    atoms, maps = labelled
    path = tmp_path / f"map{suffix}"
    write_rgb_map(path, maps, ELEMENTS, Calibration.from_pixel_size(29.0, origin="user"))
    back = atoms_from_map(path, ELEMENTS)
    assert len(back) == len(atoms)
    for name in NAMES:
        a = positions(atoms[atoms["element"] == name])
        b = positions(back[back["element"] == name])
        apart = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1)).min(axis=1)
        assert apart.max() < 0.05


def test_a_coloured_tiff_carries_its_pixel_size(tmp_path, labelled) -> None:
    path = tmp_path / "map.tif"
    write_rgb_map(
        path, labelled[1], ELEMENTS, Calibration.from_pixel_size(29.0, 31.0, origin="user")
    )
    calibration = open_source(path).calibration
    assert calibration.x_pm == pytest.approx(29.0, rel=1e-6)
    assert calibration.y_pm == pytest.approx(31.0, rel=1e-6)


def test_channels_come_back_with_their_names(tmp_path, labelled) -> None:
    atoms, maps = labelled
    path = tmp_path / "maps.tif"
    write_maps(path, maps, NAMES)
    channels, names = read_output_map(path, ())
    assert names == tuple(NAMES)
    np.testing.assert_array_equal(channels, maps)
    assert len(atoms_from_map(path)) == len(atoms)


def test_each_channel_has_a_file_of_its_own(tmp_path, labelled) -> None:
    paths = write_channel_files(tmp_path, "map", labelled[1], ["Pb", "Sr", "Ti/O"])
    assert [p.name for p in paths] == ["map_Pb.tif", "map_Sr.tif", "map_Ti_O.tif"]
    np.testing.assert_allclose(open_source(paths[0]).frame(0).data, labelled[1][0])
    with pytest.raises(UserError, match="one file"):
        write_channel_files(tmp_path, "map", labelled[1], ["Ti/O", "Ti_O", "Sr"])


def test_colours_are_found_and_named_as_in_the_paper(labelled) -> None:
    found = find_colors(rgb_map(labelled[1], ELEMENTS))
    assert {name for _, name, _ in found} == set(NAMES)


def test_the_radius_of_the_discs_is_read_from_the_map(labelled) -> None:
    assert disc_radius_px(labelled[1][0]) == pytest.approx(3.4, abs=0.1)
    assert disc_radius_px(np.zeros((9, 9))) is None


def test_a_picture_in_other_colours_is_refused(tmp_path, labelled) -> None:
    path = tmp_path / "map.png"
    write_rgb_map(path, labelled[1], make_elements(NAMES, palette="safe"))
    with pytest.raises(UserError, match="colours"):
        read_output_map(path, ELEMENTS)


def test_a_photograph_or_a_grey_file_is_no_map(tmp_path) -> None:
    from napari_apgan.io.tiffs import tiff_bytes

    path = tmp_path / "grey.tif"
    path.write_bytes(tiff_bytes(np.ones((9, 9), np.float32), Calibration(), "YX"))
    with pytest.raises(UserError, match="no coloured map"):
        read_picture(path)


def test_elements_of_one_colour_cannot_be_told_apart(labelled) -> None:
    same = [e.model_copy(update={"color": "#FF00FF"}) for e in ELEMENTS]
    with pytest.raises(UserError, match="same colour"):
        unmix(rgb_map(labelled[1], ELEMENTS), same)
