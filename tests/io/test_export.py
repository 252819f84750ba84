"""Atoms for other programs: each file is read back the way its program reads it."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from napari_apgan.atoms import concat, make_atoms
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io import EXPORT_SUFFIXES, export_atoms, open_source, read_atoms

CALIBRATION = Calibration.from_pixel_size(20, 25, origin="user")
ELEMENTS = [Element(name="Ti", color="#FFFF00"), Element(name="A", color="#FF00FF")]


def atoms() -> pd.DataFrame:
    return make_atoms([[0.5, 1], [10, 4], [20.25, 8]], ["A", "Ti", "A"], probability=0.5)


def export(kind: str, folder: Path, **options: object) -> Path:
    path = folder / f"sample{EXPORT_SUFFIXES[kind]}"
    export_atoms(
        atoms(),
        path,
        kind,
        calibration=CALIBRATION,
        elements=ELEMENTS,
        frame_shape=(12, 24),
        **options,  # type: ignore[arg-type]
    )
    return path


def test_csv_holds_the_whole_table_and_its_pixel_size(tmp_path: Path) -> None:
    path = export("csv", tmp_path)
    table = read_atoms(path)
    assert table["x_pm"].to_list() == [10, 200, 405]
    assert table["y_pm"].to_list() == [25, 100, 200]
    assert path.read_text(encoding="utf-8").startswith("# x: column, y: row")


def test_xyz_is_in_angstrom_with_dummies_for_classes(tmp_path: Path) -> None:
    lines = export("xyz", tmp_path).read_text().splitlines()
    assert lines[0] == "3"
    assert "species:S:1:pos:R:3" in lines[1]
    assert lines[2].split() == ["X", "0.100000", "0.250000", "0.000000", "A", "0"]
    assert lines[3].split()[:4] == ["Ti", "2.000000", "1.000000", "0.000000"]


def test_xyz_writes_one_block_a_frame(tmp_path: Path) -> None:
    series = concat([atoms(), make_atoms([[1, 1]], "Ti", frame=4, id=9)])
    export_atoms(series, tmp_path / "a.xyz", "xyz", calibration=CALIBRATION)
    lines = (tmp_path / "a.xyz").read_text().splitlines()
    assert (lines[0], lines[5], len(lines)) == ("3", "1", 8)
    assert "frame=4" in lines[6]


def test_cif_is_the_cell_of_the_field_of_view(tmp_path: Path) -> None:
    text = export("cif", tmp_path).read_text(encoding="ascii")
    values = dict(line.split(maxsplit=1) for line in text.splitlines() if line.startswith("_cell"))
    assert float(values["_cell_length_a"]) == pytest.approx(24 * 0.20)
    assert float(values["_cell_length_b"]) == pytest.approx(12 * 0.25)
    assert float(values["_cell_angle_gamma"]) == 90
    assert "projected 2-D structure" in text
    site = next(line for line in text.splitlines() if line.startswith("Ti1 ")).split()
    assert [float(v) for v in site[2:4]] == pytest.approx([10.5 / 24, 4.5 / 12])


def test_cif_follows_a_sheared_calibration(tmp_path: Path) -> None:
    sheared = Calibration(matrix_pm=((20.0, 5.0), (0.0, 20.0)), origin="user")
    export_atoms(atoms(), tmp_path / "a.cif", "cif", calibration=sheared, frame_shape=(10, 10))
    text = (tmp_path / "a.cif").read_text()
    gamma = float(text.split("_cell_angle_gamma")[1].split()[0])
    assert gamma == pytest.approx(math.degrees(math.atan2(20, 5)))


def test_hspy_opens_with_its_scale_markers_and_table(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((12, 24), dtype=np.float32)
    path = export("hspy", tmp_path, image=image)
    source = open_source(path)
    np.testing.assert_array_equal(source.frame(0).data, image)
    assert (source.calibration.y_pm, source.calibration.x_pm) == pytest.approx((25, 20))
    with h5py.File(path, "r") as file:
        metadata = file["Experiments/sample/metadata"]
        offsets = metadata["Markers/A/kwargs/offsets"][:]
        np.testing.assert_allclose(offsets, [[0.01, 0.025], [0.405, 0.2]])
        assert metadata["Markers/A"].attrs["class"] == "Points"
        np.testing.assert_array_equal(metadata["Atoms/x_px"][:], [0.5, 10, 20.25])


def test_hspy_without_an_image_shows_the_output_map(tmp_path: Path) -> None:
    frame = open_source(export("hspy", tmp_path)).frame(0)
    assert frame.shape == (12, 24)
    assert frame.data[4, 10] == 1
    assert frame.data[11, 0] == 0


def test_atomap_finds_its_layout(tmp_path: Path) -> None:
    with h5py.File(export("atomap", tmp_path), "r") as file:
        assert file.attrs["name"] == "sample"
        groups = [g for g in file if "sublattice" in g]
        assert [file[g].attrs["name"] for g in groups] == ["Ti", "A"]
        # atomap sorts by this index, which must therefore follow the groups' order.
        assert [file[g].attrs["sublattice_index"] for g in groups] == [0, 1]
        group = file[groups[1]]
        np.testing.assert_array_equal(group["atom_positions"][:], [[0.5, 1], [20.25, 8]])
        assert group["modified_image_data"].shape == group["original_image_data"].shape == (12, 24)
        assert len(group["sigma_x"]) == len(group["sigma_y"]) == len(group["rotation"]) == 2
        assert group.attrs["plot_color"] == "#FF00FF"
        assert group.attrs["units"] == "nm"
        assert group.attrs["pixel_size"] == pytest.approx(math.sqrt(20 * 25) / 1000)


def test_napari_gets_rows_before_columns(tmp_path: Path) -> None:
    with export("napari", tmp_path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:3] == ["index", "axis-0", "axis-1"]
    assert [(r["axis-0"], r["axis-1"], r["element"]) for r in rows] == [
        ("1.0", "0.5", "A"),
        ("4.0", "10.0", "Ti"),
        ("8.0", "20.25", "A"),
    ]
    assert rows[0]["probability"] == "0.5"
    series = concat([atoms(), make_atoms([[1, 2]], "Ti", frame=4, id=9)])
    export_atoms(series, tmp_path / "b.csv", "napari")
    assert (tmp_path / "b.csv").read_text().splitlines()[4].startswith("3,4,2.0,1.0,")


@pytest.mark.parametrize("kind", ["xyz", "cif"])
def test_positions_in_angstrom_need_a_pixel_size(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pixel size of these atoms is not known"):
        export_atoms(atoms(), tmp_path / "a", kind)


@pytest.mark.parametrize("kind", ["csv", "hspy", "atomap", "napari"])
def test_the_others_do_without(kind: str, tmp_path: Path) -> None:
    export_atoms(atoms(), tmp_path / "a", kind)
    assert (tmp_path / "a").stat().st_size > 0


@pytest.mark.parametrize("kind", ["cif", "hspy", "atomap"])
def test_formats_of_one_frame_refuse_a_series(kind: str, tmp_path: Path) -> None:
    series = concat([atoms(), make_atoms([[1, 1]], "Ti", frame=4, id=9)])
    with pytest.raises(UserError, match="takes one frame, and these atoms are of 2"):
        export_atoms(series, tmp_path / "a", kind, calibration=CALIBRATION)


def test_an_unknown_kind_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose csv, xyz, cif, hspy, atomap, napari"):
        export_atoms(atoms(), tmp_path / "a", "docx")


@pytest.mark.parametrize("kind", sorted(EXPORT_SUFFIXES))
def test_no_atoms_are_no_error(kind: str, tmp_path: Path) -> None:
    export_atoms(atoms().iloc[:0], tmp_path / "a", kind, calibration=CALIBRATION)
    assert (tmp_path / "a").exists()
