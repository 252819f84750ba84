"""Labels and regions of a mean on its frames, and what is said of those left out."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_apgan.atoms import concat, make_atoms, positions
from napari_apgan.bench.drifting import Drifting, drifting
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Source
from napari_apgan.io import read_atoms, write_atoms
from napari_apgan.label import process
from napari_apgan.label.carry_series import Carried, carried_regions, carry, clipped, disc
from napari_apgan.label.protocol import LANGUAGE, SourceRef, TaskRequest
from napari_apgan.label.register import RegisterSettings, register
from napari_apgan.label.register_file import (
    frames_table,
    load_registration,
    registration_sentence,
    save_registration,
)
from napari_apgan.label.series import FramesOf, average
from napari_apgan.label.snapping import snap
from napari_apgan.label.transfer_task import CarriedRegions
from napari_apgan.label.verdict import VANISHED
from napari_apgan.regions import Region, learn_mask

WHOLE = Region.rectangle(20, 20, 76, 76)


def labelled(frame: Frame, series: Drifting) -> pd.DataFrame:
    """Label a mean by snapping near every site."""
    centres = [snap(frame, x, y, radius_px=4) for x, y in series.sites]
    return make_atoms([(c.x, c.y) for c in centres], "Pt")


def carried(series: Drifting, regions: list[Region]) -> Carried:
    found = register(series.frames)
    mean = average(series.frames, found)
    return carry(series.frames, found, mean, labelled(mean.frame, series), regions)


@pytest.fixture(scope="module")
def vanishing() -> tuple[Drifting, Carried]:
    """A series with atoms that come and go, and what was carried to it."""
    series = drifting(21, snr=2.0, vanishing=0.1)
    return series, carried(series, [WHOLE.model_copy(update={"held_out": True})])


def test_regions_go_with_the_drift_and_vanished_atoms_are_background(
    vanishing: tuple[Drifting, Carried],
) -> None:
    series, result = vanishing
    assert sorted(result.regions) == list(range(10))
    gone = 0
    for t, regions in result.regions.items():
        assert regions[0].held_out
        corners = np.asarray(regions[0].polygon)
        expected = np.asarray(WHOLE.polygon) + series.drift[t]
        assert np.abs(corners - np.clip(expected, -0.5, 95.5)).max() < 0.3
        assert [r.id for r in regions] == list(range(len(regions)))
        learned = learn_mask(regions, (96, 96))
        for place in series.places[t][~series.there[t]]:
            if regions[0].contains(place[None])[0]:
                x, y = place.round().astype(int)
                gone += int(learned[y, x])
    assert gone > 10, "where an atom vanished, the frame shows background, and that is learned"


def test_an_atom_that_hopped_is_ignored_where_it_was_and_where_it_went() -> None:
    series = drifting(23, snr=2.0, vanishing=0.0)
    frame = 3
    atom = int(np.hypot(*(series.sites - 48).T).argmin())
    x, y = series.places[frame][atom]
    yy, xx = np.mgrid[:96, :96]

    def peak(px: float, py: float) -> np.ndarray:
        return np.exp(-((xx - px) ** 2 + (yy - py) ** 2) / (2 * 2.2**2))

    series.frames[frame].data[:] += (peak(x + 4, y + 2) - peak(x, y)).astype(np.float32)
    result = carried(series, [WHOLE])
    learned = learn_mask(result.regions[frame], (96, 96))
    assert not learned[round(y), round(x)]
    assert not learned[round(y + 2), round(x + 4)]
    assert learned[round(y), round(x) - 11], "its neighbour is learned from"
    assert "moved" in result.frames().loc[frame, "why"]
    assert all(r.kind == "complete" for r in result.regions[5])


def test_what_vanished_but_for_a_rest_of_its_height_is_ignored() -> None:
    found = register(drifting(21, n_frames=3, snr=2.0).frames)
    places = np.array([(30.0, 30.0), (60.0, 60.0)])
    left_out = pd.DataFrame(
        {
            "row": [0, 1],
            "x_px": places[:, 0],
            "y_px": places[:, 1],
            "height": [-0.2, 0.3],
            "reason": VANISHED,
        }
    )
    learned = learn_mask(
        carried_regions([WHOLE], found, found.reference, left_out, places, 3.0), (96, 96)
    )
    assert learned[30, 30], "gone"
    assert not learned[60, 60], "perhaps a column that has become thinner"


def test_frames_that_could_not_be_placed_get_neither_labels_nor_regions() -> None:
    series = drifting(4, snr=1.0)
    noise = np.random.default_rng(0).normal(size=(96, 96)).astype(np.float32)
    series.frames[2] = Frame(noise, series.frames[2].valid, index=2)
    result = carried(series, [WHOLE])
    assert 2 not in result.regions
    assert result.frames().loc[2, "carried"] == 0
    assert "could not be placed" in result.frames().loc[2, "why"]


def test_what_reached_the_frames_is_told_by_frame_and_in_a_sentence(
    vanishing: tuple[Drifting, Carried],
) -> None:
    result = vanishing[1]
    table = result.frames()
    assert table["frame"].tolist() == list(range(10))
    assert (table["carried"] + table["left_out"]).tolist() == [result.labels] * 10
    share = 100 * len(result.transfer.atoms) / (10 * result.labels)
    assert f"({share:.1f} %) carried to 10 frames" in result.sentence()
    assert "vanished" in result.sentence()


def test_bright_and_dark_elements_are_carried_each_in_their_way() -> None:
    series = drifting(27, snr=2.0, vanishing=0.0)
    near = np.hypot(*(series.sites - 48).T).argsort(kind="stable")
    dark = near[:3]
    yy, xx = np.mgrid[:96, :96]
    for t, frame in enumerate(series.frames):
        for x, y in series.places[t][dark]:
            peak = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 2.2**2))
            frame.data[:] -= (2 * peak).astype(np.float32)
    rest = np.setdiff1d(np.arange(len(series.sites)), dark)
    atoms = concat([make_atoms(series.sites[rest], "Pt"), make_atoms(series.sites[dark], "O")])
    found = register(series.frames)
    result = carry(
        series.frames,
        found,
        average(series.frames, found),
        atoms,
        polarities={"O": "dark", "Pt": "bright"},
    )
    counts = result.transfer.atoms["element"].value_counts()
    assert counts["O"] >= 0.95 * 3 * 10
    assert counts["Pt"] >= 0.95 * len(rest) * 10
    assert result.transfer.atoms["id"].is_unique
    assert result.transfer.atoms["frame"].is_monotonic_increasing
    assert set(result.transfer.left_out["row"]) <= set(range(len(atoms)))


def test_polygons_are_cut_to_the_frame() -> None:
    square = np.array([(-10.0, -10.0), (30.0, -10.0), (30.0, 5.0), (-10.0, 5.0)])
    inside = clipped(square, (40, 20))
    assert inside is not None
    assert set(inside) == {(-0.5, -0.5), (19.5, -0.5), (19.5, 5.0), (-0.5, 5.0)}
    assert clipped(square - 100, (40, 20)) is None
    assert clipped(square + np.array([0, 48.9]), (40, 20)) is None, "a sliver holds nothing"
    ring = disc(np.array([10.0, 10.0]), 3.0)
    assert (
        Region(id=0, polygon=tuple(map(tuple, ring)))
        .contains(np.array([[12.9, 10.0], [10.0, 7.1]]))
        .all()
    )


def test_without_a_complete_region_a_frame_is_not_for_training() -> None:
    series = drifting(21, n_frames=3, snr=2.0)
    found = register(series.frames)
    left_out = pd.DataFrame({"row": [], "x_px": [], "y_px": [], "height": [], "reason": []})
    only_ignored = [WHOLE.model_copy(update={"kind": "ignore"})]
    assert carried_regions(only_ignored, found, 0, left_out, np.empty((0, 2)), 3.0) == ()
    assert VANISHED.startswith("vanished")


@pytest.mark.parametrize("nonrigid", [False, True])
def test_a_registration_comes_back_from_its_file(tmp_path: Path, nonrigid: bool) -> None:
    series = drifting(5, n_frames=4)
    found = register(series.frames, RegisterSettings(nonrigid=nonrigid, control_px=32))
    save_registration(tmp_path / "r.npz", found, first=7, noise=0.25)
    again, first, noise = load_registration(tmp_path / "r.npz")
    assert (first, noise, again.reason, again.shape) == (7, 0.25, found.reason, found.shape)
    for t in range(4):
        np.testing.assert_array_equal(again.moved(series.sites, t), found.moved(series.sites, t))
    assert frames_table(again, first)["frame"].tolist() == [7, 8, 9, 10]
    assert registration_sentence(found).startswith("4 of 4 frames lie on each other")


def test_a_file_that_holds_no_registration_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        load_registration(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="holds no registration"):
        load_registration(tmp_path / "other.npz")


def do(server: process.Server, replies: io.BytesIO, request: TaskRequest) -> Any:
    server._answer(request)
    return LANGUAGE.replies().feed(replies.getvalue())[-1]


def test_the_tasks_register_a_part_of_a_series_and_carry_its_labels(tmp_path: Path) -> None:
    series = drifting(31, n_frames=8, snr=2.0)
    np.save(tmp_path / "series.npy", np.stack([f.data for f in series.frames]))
    there = SourceRef(path=str(tmp_path / "series.npy"), missing="none")
    replies = io.BytesIO()
    server = process.Server(io.BytesIO(), replies)
    out = str(tmp_path / "out")
    made = do(
        server,
        replies,
        TaskRequest(
            id="a",
            task="register_series",
            source=there,
            options={"first": 2, "stop": 7, "settings": {"nonrigid": False}},
            out_dir=out,
        ),
    )
    assert made.values["frames"] == made.values["used"] == 5
    assert pd.read_csv(made.files["frames"])["frame"].tolist() == [2, 3, 4, 5, 6]
    mean = np.load(made.files["mean"])
    by_hand = average(
        FramesOf(Source("s", np.load(there.path), missing="none"), 2, 7),
        register(FramesOf(Source("s", np.load(there.path), missing="none"), 2, 7)),
    )
    np.testing.assert_allclose(mean[by_hand.frame.valid], by_hand.frame.data[by_hand.frame.valid])
    np.save(tmp_path / "mean.npy", mean)
    write_atoms(labelled(by_hand.frame, series), tmp_path / "labels.csv")
    done = do(
        server,
        replies,
        TaskRequest(
            id="b",
            task="transfer_labels",
            source=SourceRef(path=str(tmp_path / "mean.npy"), missing="nan"),
            atoms=str(tmp_path / "labels.csv"),
            options={
                "series": there.model_dump(mode="json"),
                "registration": made.files["registration"],
                "regions": [WHOLE.model_dump(mode="json")],
            },
            out_dir=out,
        ),
    )
    atoms = read_atoms(done.files["atoms"])
    assert sorted(atoms["frame"].unique()) == [2, 3, 4, 5, 6]
    assert len(positions(atoms)) >= 0.9 * 5 * len(series.sites)
    text = Path(done.files["regions"]).read_text(encoding="utf-8")
    assert sorted(CarriedRegions.model_validate_json(text).frames) == [2, 3, 4, 5, 6]
    assert "carried to 5 frames" in done.sentence
