"""The pairs folder: written and read back unchanged; what does not fit is named."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_apgan.atoms import make_atoms, with_calibration
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame, make_frame
from napari_apgan.io import Pair, calibration_from_file, read_pairs, write_atoms, write_pairs
from napari_apgan.regions import Region

SIZES = st.floats(0.5, 1e6)


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    rows, columns = draw(st.integers(8, 20)), draw(st.integers(8, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = rng.normal(size=(rows, columns)).astype(np.float32)
    valid = rng.random(data.shape) >= draw(st.sampled_from([0.0, 0.3]))
    valid[0, 0] = True
    data[rng.random(data.shape) < draw(st.sampled_from([0.0, 0.5]))] = 0  # true zeros stay valid
    data[~valid] = 0
    known = draw(st.booleans())
    calibration = (
        Calibration(
            matrix_pm=((draw(SIZES), 0.0), (0.0, draw(SIZES))),
            relative_error=draw(st.one_of(st.none(), st.floats(0, 1))),
            origin=draw(st.sampled_from(["file", "user"])),
            note="é “note”",
        )
        if known
        else Calibration(note="none")
    )
    n = draw(st.integers(0, 5))
    atoms = make_atoms(rng.random((n, 2)) * (columns - 1, rows - 1), "Ti/O")
    corners = tuple((float(x), float(y)) for x, y in rng.normal(size=(4, 2)) * 30)
    return Pair(
        name=draw(st.sampled_from(["a", "frame 7", "β"])),
        frame=Frame(data, valid, calibration, index=draw(st.integers(0, 99))),
        atoms=with_calibration(atoms, calibration) if known else atoms,
        regions=draw(
            st.sampled_from(
                [
                    (),
                    (Region.whole((rows, columns)),),
                    (
                        Region(id=3, polygon=corners, held_out=True),
                        Region(id=9, kind="ignore", polygon=corners),
                    ),
                ]
            )
        ),
        origin=draw(st.sampled_from(["human", "corrected"])),
        source="movie.dm4",
    )


@settings(max_examples=25, deadline=None)
@given(pair=pairs())
def test_a_pair_reads_back_unchanged(pair: Pair) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_pairs([pair], folder)
        (read,) = read_pairs(folder)
    np.testing.assert_array_equal(read.frame.data, pair.frame.data)
    np.testing.assert_array_equal(read.frame.valid, pair.frame.valid)
    assert read.frame.calibration == pair.frame.calibration
    assert read.frame.index == pair.frame.index
    pd.testing.assert_frame_equal(read.atoms, pair.atoms, check_exact=True)
    assert (read.name, read.regions, read.origin, read.source) == (
        pair.name,
        pair.regions,
        pair.origin,
        pair.source,
    )


def some_pair(name: str = "one", calibration: Calibration | None = None) -> Pair:
    image = np.random.default_rng(0).normal(100, 5, (24, 32))
    atoms = make_atoms([[3.5, 4.5], [20, 9]], "Pb")
    return Pair(name, make_frame(image, calibration, name=name), atoms)


def test_the_image_alone_carries_its_pixel_size(tmp_path: Path) -> None:
    write_pairs(
        [some_pair(calibration=Calibration.from_pixel_size(20, 25, origin="user"))], tmp_path
    )
    calibration = calibration_from_file(tmp_path / "one.tif")
    assert (calibration.y_pm, calibration.x_pm) == pytest.approx((25, 20), rel=1e-6)


def test_a_pair_without_json_counts_as_wholly_complete_and_says_so(tmp_path: Path) -> None:
    write_pairs([some_pair()], tmp_path)
    (tmp_path / "one.json").unlink()
    (pair,) = read_pairs(tmp_path)
    assert pair.regions == (Region.whole((24, 32)),)
    assert "complete on the whole frame" in pair.note
    assert pair.origin == "human"


@pytest.mark.parametrize(
    ("text", "y", "x"),
    [
        ('{"pixel_size_pm": 21.8}', 21.8, 21.8),
        ('{"pixel_size_pm": 20}', 20, 20),
        ('{"pixel_size_pm": [25, 20], "origin": "simulated"}', 25, 20),
    ],
)
def test_a_json_made_by_hand_may_be_short(text: str, y: float, x: float, tmp_path: Path) -> None:
    write_pairs([some_pair()], tmp_path)
    (tmp_path / "one.json").write_text(text)
    (pair,) = read_pairs(tmp_path)
    assert (pair.frame.calibration.y_pm, pair.frame.calibration.x_pm) == (y, x)
    assert pair.atoms["x_pm"].to_list() == pytest.approx([3.5 * x, 20 * x])
    assert pair.regions == (Region.whole((24, 32)),)


def test_a_given_pixel_size_wins_over_the_files(tmp_path: Path) -> None:
    write_pairs([some_pair(calibration=Calibration.from_pixel_size(20, origin="file"))], tmp_path)
    mine = Calibration.from_pixel_size(30, origin="user")
    (pair,) = read_pairs(tmp_path, calibration=mine)
    assert pair.frame.calibration == mine
    assert pair.atoms["x_pm"].to_list() == [3.5 * 30, 600]


def test_every_image_format_may_stand_for_the_tif(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", some_pair().frame.data)
    write_atoms(some_pair().atoms, tmp_path / "b.csv")
    write_pairs([some_pair("c"), some_pair("a")], tmp_path)
    assert [p.name for p in read_pairs(tmp_path)] == ["a", "b", "c"]


def test_what_lacks_its_other_half_is_named(tmp_path: Path) -> None:
    write_pairs([some_pair("a"), some_pair("b"), some_pair("c")], tmp_path)
    (tmp_path / "a.csv").unlink()
    (tmp_path / "b.tif").unlink()
    with pytest.raises(UserError, match=r"a\.tif, b\.csv"):
        read_pairs(tmp_path)


def test_folders_that_are_no_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        read_pairs(tmp_path / "absent")
    with pytest.raises(UserError, match="holds no pairs"):
        read_pairs(tmp_path)
    write_pairs([some_pair()], tmp_path)
    np.save(tmp_path / "one.npy", np.ones((24, 32)))
    with pytest.raises(UserError, match="same name"):
        read_pairs(tmp_path)
    (tmp_path / "one.npy").unlink()
    np.save(tmp_path / "two.npy", np.ones((3, 24, 32)))
    write_atoms(some_pair().atoms, tmp_path / "two.csv")
    with pytest.raises(UserError, match="series of 3 frames"):
        read_pairs(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"regions": [{"id": 0, "polygon": [[0, 0]]}]}',
        '{"pixel_size_pm": "wide"}',
        '{"schema_version": 99}',
        '{"pixel_size_pm": 0.001}',
    ],
)
def test_a_broken_json_is_one_sentence(text: str, tmp_path: Path) -> None:
    write_pairs([some_pair()], tmp_path)
    (tmp_path / "one.json").write_text(text)
    with pytest.raises(UserError, match=r"one\.json") as caught:
        read_pairs(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_table_of_another_image_is_noticed(tmp_path: Path) -> None:
    write_pairs([some_pair()], tmp_path)
    write_atoms(make_atoms([[500, 400], [600, 300]], "Pb"), tmp_path / "one.csv")
    with pytest.raises(UserError, match="lie outside its image"):
        read_pairs(tmp_path)


def test_names_must_be_names_of_files_and_differ(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names must differ"):
        write_pairs([some_pair("a"), some_pair("a")], tmp_path)
    for name in ("", "a/b", "..", "a:b", ".hidden"):
        with pytest.raises(UserError, match="name of a file"):
            write_pairs([some_pair(name)], tmp_path)
