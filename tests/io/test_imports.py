"""Labels of other programs come back as they were, and what cannot be known is asked."""

from __future__ import annotations

import contextlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.io.export import export_atoms
from napari_apgan.io.imports import Choices, preview, read

coordinate = st.floats(0, 500, allow_nan=False).map(lambda v: round(v, 6))
atoms_lists = st.lists(
    st.tuples(coordinate, coordinate, st.sampled_from(["Pb", "Ti/O", "A"])),
    min_size=3,
    max_size=30,
    unique_by=lambda a: a[:2],
)


def table_of(rows: list[tuple[float, float, str]]):
    return make_atoms([r[:2] for r in rows], [r[2] for r in rows])


def blobs(xy: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    return sum(np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 6) for x, y in xy)


@pytest.fixture(scope="module")
def seen():
    rng = np.random.default_rng(3)
    gx, gy = np.meshgrid(np.arange(8, 120, 11.0), np.arange(8, 88, 11.0))
    xy = np.column_stack([gx.ravel(), gy.ravel()]) + rng.normal(0, 0.6, (gx.size, 2))
    image = blobs(xy, (96, 128)) + rng.normal(0, 0.1, (96, 128))
    return xy, make_frame(image, Calibration.from_pixel_size(20.0, origin="file"))


@settings(max_examples=15, deadline=None)
@given(atoms_lists)
def test_points_written_for_napari_are_read_back_without_a_question(tmp_path_factory, rows) -> None:
    path = tmp_path_factory.mktemp("n") / "a.points.csv"
    table = table_of(rows)
    export_atoms(table, path, "napari")
    shown = preview(path)
    assert shown.kind == "napari"
    assert shown.certain
    back = read(path, shown.choices)
    np.testing.assert_allclose(positions(back), positions(table), atol=1e-9)
    assert back["element"].to_list() == table["element"].to_list()


@settings(max_examples=8, deadline=None)
@given(atoms_lists)
def test_an_atom_lattice_of_atomap_is_read_back(tmp_path_factory, rows) -> None:
    path = tmp_path_factory.mktemp("a") / "a.hdf5"
    table = table_of(rows)
    export_atoms(table, path, "atomap", elements=make_elements(["Pb", "Ti/O", "A"]))
    shown = preview(path)
    assert set(shown.names) == set(table["element"])
    back = read(path, shown.choices)
    mine = sorted(map(tuple, np.round(positions(table), 9).tolist()))
    assert sorted(map(tuple, np.round(positions(back), 9).tolist())) == mine


@settings(max_examples=25, deadline=None)
@given(
    rows=atoms_lists,
    swapped=st.booleans(),
    origin=st.sampled_from([0.0, 0.5, 1.0]),
    delimiter=st.sampled_from([",", ";", "\t", " "]),
    header=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r\r\n"]),
    unit=st.sampled_from(["px", "nm", "Å"]),
)
def test_any_plain_table_reads_back_once_the_choices_are_made(
    tmp_path_factory, rows, swapped, origin, delimiter, header, end, unit
) -> None:
    table = table_of(rows)
    size = 25.0
    scale = {"px": 1.0, "nm": size / 1e3, "Å": size / 100}[unit]
    xy = (positions(table) + (origin if unit == "px" else 0)) * scale
    first, second = (1, 0) if swapped else (0, 1)
    lines = [
        delimiter.join([repr(float(p[first])), repr(float(p[second])), e])
        for p, e in zip(xy, table["element"], strict=True)
    ]
    if header:
        lines.insert(0, delimiter.join(["one", "two", "kind"]))
    path = tmp_path_factory.mktemp("t") / "a.txt"
    path.write_bytes(end.join(lines).encode())
    choices = Choices(
        x_column=1 if swapped else 0,
        y_column=0 if swapped else 1,
        element_column=2,
        first_pixel=origin,
        unit=unit,
        pixel_size_pm=(size, size),
    )
    back = read(path, choices)
    np.testing.assert_allclose(positions(back), positions(table), atol=1e-6)
    assert back["element"].to_list() == table["element"].to_list()


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("origin", [0.0, 1.0])
def test_the_image_tells_the_order_and_the_first_pixel(tmp_path, seen, swapped, origin) -> None:
    xy, frame = seen
    keep = (xy[:, 0] < 88) & (xy[:, 1] < 88)  # both orders would lie on the image
    written = (xy[keep] + origin)[:, :: -1 if swapped else 1]
    path = tmp_path / "points.txt"
    np.savetxt(path, written)
    shown = preview(path, frame=frame)
    assert (shown.choices.x_column, shown.choices.y_column) == ((1, 0) if swapped else (0, 1))
    assert shown.choices.first_pixel == origin
    assert {q.field for q in shown.questions} == {"element"}
    back = read(path, shown.choices)
    np.testing.assert_allclose(positions(back), xy[keep], atol=1e-6)


def test_without_an_image_order_and_first_pixel_are_asked(tmp_path, seen) -> None:
    path = tmp_path / "points.txt"
    np.savetxt(path, seen[0] + 1.0)
    asked = {q.field for q in preview(path).questions}
    assert {"order", "unit", "first_pixel", "element"} <= asked


def test_a_wide_image_tells_the_order_by_its_shape_alone(tmp_path, seen) -> None:
    path = tmp_path / "points.csv"
    np.savetxt(path, seen[0][:, ::-1], delimiter=",")
    shown = preview(path, frame_shape=(96, 128))
    assert (shown.choices.x_column, shown.choices.y_column) == (1, 0)
    assert "order" not in {q.field for q in shown.questions}


def test_lengths_are_told_from_pixels_by_the_pixel_size(tmp_path, seen) -> None:
    xy, frame = seen
    path = tmp_path / "Results.csv"
    lines = [
        " ,X,Y",
        *(f"{k + 1},{x * 0.02!r},{y * 0.02!r}" for k, (x, y) in enumerate(xy.tolist())),
    ]
    path.write_text("\n".join(lines))
    shown = preview(path, frame=frame)
    assert shown.choices.unit == "nm"
    back = read(path, shown.choices)
    np.testing.assert_allclose(positions(back), xy, atol=1e-6)


def test_a_length_without_a_pixel_size_is_refused(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x(nm),y(nm)\n1,2\n3,4\n")
    shown = preview(path)
    assert shown.choices.unit == "nm"
    assert "pixel_size_pm" in {q.field for q in shown.questions}
    with pytest.raises(UserError, match="pixel size"):
        read(path, shown.choices)


def roi(xy: np.ndarray, *, sub_pixel: bool, frame: int = 0) -> bytes:
    """A point ROI, laid out as ImageJ's documentation of the format says."""
    n = len(xy)
    whole = np.floor(xy).astype(int)
    left, top = whole.min(axis=0)
    head = bytearray(64)
    head[:4] = b"Iout"
    head[4:6] = struct.pack(">h", 227)
    head[6] = 10
    head[8:18] = struct.pack(">hhhhH", top, left, whole[:, 1].max() + 1, whole[:, 0].max() + 1, n)
    head[50:52] = struct.pack(">h", 128 if sub_pixel else 0)
    body = np.concatenate([whole[:, 0] - left, whole[:, 1] - top]).astype(">i2").tobytes()
    if sub_pixel:
        body += np.concatenate([xy[:, 0], xy[:, 1]]).astype(">f4").tobytes()
    head[60:64] = struct.pack(">i", 64 + len(body))
    second = bytearray(64)
    second[8:16] = struct.pack(">ii", 0, frame)
    return bytes(head) + body + bytes(second)


def test_points_between_pixels_in_imagej_begin_at_half_a_pixel(tmp_path) -> None:
    xy = np.array([[3.5, 4.25], [10.0, 20.75]])
    path = tmp_path / "a.roi"
    path.write_bytes(roi(xy, sub_pixel=True))
    back = read(path, preview(path).choices)
    np.testing.assert_allclose(positions(back), xy - 0.5)


def test_a_zip_of_rois_gives_every_point_its_class_and_frame(tmp_path) -> None:
    path = tmp_path / "RoiSet.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("Sr_01.roi", roi(np.array([[3, 4], [8, 9]]), sub_pixel=False))
        packed.writestr("0005-0011.roi", roi(np.array([[6, 7]]), sub_pixel=False, frame=3))
    back = read(path, preview(path).choices)
    assert back["element"].to_list() == ["Sr", "Sr", "unknown"]
    assert back["frame"].to_list() == [0, 0, 2]
    np.testing.assert_allclose(positions(back), [[3, 4], [8, 9], [6, 7]])


@pytest.mark.parametrize("animals", [False, True])
def test_deeplabcut_tables_name_elements_by_body_part(tmp_path, animals) -> None:
    lines = [
        "scorer,me,me,me,me,me,me",
        *(["individuals,a,a,a,a,a,a"] if animals else []),
        "bodyparts,Pb1,Pb1,Pb1,Ti2,Ti2,Ti2",
        "coords,x,y,likelihood,x,y,likelihood",
        "img0.png,,,,,,",
        "img1.png,1.5,2.5,0.99,7,8,0.2",
    ]
    path = tmp_path / "CollectedData_me.csv"
    path.write_text("\n".join(lines))
    shown = preview(path)
    assert shown.kind == "deeplabcut"
    back = read(path, shown.choices)
    assert back["element"].to_list() == ["Pb", "Ti"]
    assert back["frame"].to_list() == [1, 1]
    strict = shown.choices.model_copy(update={"least_likelihood": 0.5})
    assert read(path, strict)["element"].to_list() == ["Pb"]


def test_decimal_commas_and_comments_are_understood(tmp_path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("% written by hand\n1,5;2,25\n3,5;4,75\n")
    back = read(path, Choices())
    np.testing.assert_allclose(positions(back), [[1.5, 2.25], [3.5, 4.75]])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.roi", b"Iout"),
        ("a.roi", b"\x00" * 200),
        ("a.zip", b"PK nothing"),
        ("a.hdf5", b"\x89HDF\r\n\x1a\n" + b"\x00" * 40),
        ("a.csv", b"no,numbers\nat,all\n"),
        ("a.csv", b"\x00\x01\x02"),
        ("a.csv", b""),
    ],
)
def test_broken_files_are_refused_with_a_sentence(tmp_path, name, content) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError):
        preview(path)


@settings(max_examples=60, deadline=None)
@given(
    content=st.binary(min_size=1, max_size=300), suffix=st.sampled_from([".csv", ".roi", ".zip"])
)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, suffix) -> None:
    path: Path = tmp_path_factory.mktemp("b") / f"a{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        read(path, preview(path).choices)


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("graphene_flower/graphene_flower.tif", "graphene_flower/graphene_flower.csv"),
        ("pto_sro/pto_sro_left.hspy", "pto_sro/pto_sro_left.csv"),
        (
            "ptnc_haadf/051_HAADF_15nm_Sample_PtNC_21Oct20.tif",
            "ptnc_haadf/051_HAADF_15nm_Sample_PtNC_21Oct20.csv",
        ),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_real_images_tell_rows_from_columns(real_data, tmp_path, image, labels, swapped) -> None:
    from napari_apgan.io import open_source, read_atoms

    xy = positions(read_atoms(real_data / labels))
    frame = open_source(real_data / image).frame(0)
    path = tmp_path / "points.txt"
    np.savetxt(path, xy[:, ::-1] if swapped else xy)
    shown = preview(path, frame=frame)
    assert (shown.choices.x_column == 1) == swapped
    assert "order" not in {q.field for q in shown.questions}
