"""What the labelling helper answers about lattices and elements."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.doubts import UNDECIDED, UNSURE, add_doubt, doubtful, without_doubt
from napari_apgan.io import read_atoms, write_atoms, write_pairs
from napari_apgan.label import process
from napari_apgan.label.protocol import LANGUAGE, SourceRef, TaskRequest
from napari_apgan.label.sites import Sites
from napari_apgan.measure import match
from napari_apgan.simulate import EXAMPLES, make_sample, simulate_pair
from napari_apgan.simulate.settings import changed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated frames: PbTiO3/SrTiO3 and graphene."""
    path = tmp_path_factory.mktemp("frames")
    pairs = make_sample(seed=3, n_frames=1, shape=(128, 128), snr=4.0).pairs
    settings = changed(EXAMPLES["graphene"], {"shape": (160, 160)})
    graphene = replace(simulate_pair(settings, seed=2).pair, name="graphene")
    write_pairs([*pairs, graphene], path)
    return path


class Asker:
    """Asks one server after another thing, and keeps it."""

    def __init__(self, out: Path) -> None:
        self._out, self._replies = out, io.BytesIO()
        self.server = process.Server(io.BytesIO(), self._replies)
        self._n = 0

    def __call__(
        self, task: str, image: Path, options: dict[str, Any], atoms: Path | None = None
    ) -> Any:
        self._n += 1
        self._replies.seek(0)
        self._replies.truncate()
        self.server._answer(
            TaskRequest(
                id=str(self._n),
                task=task,
                source=SourceRef(path=str(image)),
                atoms=None if atoms is None else str(atoms),
                options=options,
                out_dir=str(self._out),
            )
        )
        return LANGUAGE.replies().feed(self._replies.getvalue())[-1]


@pytest.fixture
def ask(tmp_path: Path) -> Asker:
    return Asker(tmp_path / "out")


def test_a_lattice_comes_as_sites_that_any_presence_thins(ask, folder):
    done = ask("lattice", folder / "sample_00.tif", {"polarity": "bright"})
    assert done.event == "task_done", done
    sites = Sites.load(Path(done.files["sites"]))
    assert sites.n_grains == 1
    assert sites.sublattices == ("A", "B")
    assert done.sentence.startswith(f"{int(sites.there().sum())} atoms")
    counts = [int(sites.there(p).sum()) for p in (0.0, 0.5, 0.9)]
    assert counts[0] >= counts[1] > counts[2] > 0
    truth = read_atoms(folder / "sample_00.csv")
    table = sites.tables(elements={"A": "Pb", "B": "Ti"}).atoms
    a, b = match(positions(table), positions(truth), 2.0)
    assert len(a) > 0.97 * len(table)
    is_ti = truth["element"].to_numpy()[b] == "Ti"
    assert ((table["element"].to_numpy()[a] == "Ti") == is_ti).mean() > 0.98


def test_a_vacancy_is_missing_and_filled_by_a_low_presence(ask, folder, tmp_path):
    from napari_apgan.frames import make_frame
    from napari_apgan.label.lattice import propose

    rng = np.random.default_rng(0)
    i, j = (g.ravel() * 12.0 + 8.0 for g in np.mgrid[:10, :10])
    xy = np.delete(np.column_stack([i, j]), 44, axis=0)
    yy, xx = np.mgrid[:124, :124]
    image = rng.normal(0, 0.03, (124, 124))
    for x, y in [*xy, (62.0, 86.0)]:
        image += np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 1.8**2))
    sites = propose(make_frame(image)).sites
    again = tmp_path / "sites.npz"
    sites.save(again)
    for held in (sites, Sites.load(again)):
        there = held.there()
        assert np.allclose(held.ideal_px[held.missing(there)], [(i[44], j[44])], atol=0.5)
        assert np.allclose(held.peak_px[held.extra(there)], [(62.0, 86.0)], atol=0.5)
        assert not held.missing(held.there(0.0)).any()


def test_graphene_is_laid_from_three_picks(ask, folder):
    truth = read_atoms(folder / "graphene.csv")
    xy = positions(truth)
    middle = xy[np.linalg.norm(xy - 80, axis=1).argmin()]
    near = xy[np.argsort(np.linalg.norm(xy - middle, axis=1))[1:3]]
    picks = [[float(v) for v in p] for p in (middle, *near)]
    done = ask("lattice", folder / "graphene.tif", {"polarity": "bright", "picks": picks})
    sites = Sites.load(Path(done.files["sites"]))
    found = len(match(positions(sites.tables().atoms), xy, 2.0)[0])
    assert found > 0.9 * len(xy)
    assert any("different kinds" in note for note in done.values["notes"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"picks": [[1, 2], [3, 4]]}, "That cannot be asked for (picks"),
        ({"zone": [0, 0, 0]}, "zone axis needs"),
        ({"picks": [[20, 20], [20, 20], [40, 20]]}, "pick neighbours in two directions"),
    ],
)
def test_what_cannot_be_laid_is_one_sentence(ask, folder, options, said):
    failed = ask("lattice", folder / "sample_00.tif", options)
    assert failed.event == "failed"
    assert said in failed.sentence
    assert failed.details == ""


def test_labels_are_named_by_their_sites_and_intensities(ask, folder, tmp_path):
    truth = read_atoms(folder / "sample_00.csv")
    bare = tmp_path / "labels.csv"
    write_atoms(truth.assign(element="unknown", id=np.arange(len(truth)) + 5), bare)
    done = ask("elements", folder / "sample_00.tif", {}, bare)
    assert done.event == "task_done", done
    assert done.values["classes"] == ["A1", "A2", "B"]
    named = read_atoms(done.files["atoms"])
    becomes = {"A1": "Pb", "A2": "Sr", "B": "Ti"}
    exact = dict(zip(np.arange(len(truth)) + 5, truth["element"], strict=True))
    right = [becomes[c] == exact[i] for c, i in zip(named["element"], named["id"], strict=True)]
    assert len(named) > 0.93 * len(truth)
    assert np.mean(right) > 0.97
    # Saying that there are two kinds on B, where there is one, parts it, and doubts follow.
    again = ask("elements", folder / "sample_00.tif", {"counts": {"B": 2}}, bare)
    assert again.values["classes"] == ["A1", "A2", "B1", "B2"]
    assert doubtful(read_atoms(again.files["atoms"])).sum() > doubtful(named).sum()


def test_maps_name_the_labels_and_are_aligned_by_those_that_have_names(ask, folder, tmp_path):
    truth = read_atoms(folder / "sample_00.csv")
    yy, xx = np.mgrid[:64, :64]
    rng = np.random.default_rng(0)
    maps = {}
    for name in ("Pb", "Sr", "Ti"):
        image = np.full((64, 64), 0.3)
        for x, y in positions(truth[truth["element"] == name]):
            at = (np.array([x, y]) + 0.5) / 2 - 0.5 + (0.9, -0.6)
            image += 6 * np.exp(-((xx - at[0]) ** 2 + (yy - at[1]) ** 2) / (2 * 1.0**2))
        np.save(tmp_path / f"{name}.npy", rng.poisson(image).astype(np.float32))
        maps[name] = {"path": str(tmp_path / f"{name}.npy"), "missing": "none"}
    labels = tmp_path / "labels.csv"
    write_atoms(truth, labels)
    done = ask("elements", folder / "sample_00.tif", {"maps": maps, "align": True}, labels)
    assert done.event == "task_done", done
    assert any("shifted by" in note for note in done.values["notes"])
    named = read_atoms(done.files["atoms"])
    exact = dict(zip(truth["id"], truth["element"], strict=True))
    sure = named[~doubtful(named)]
    right = [e == exact[i] for e, i in zip(sure["element"], sure["id"], strict=True)]
    assert np.mean(right) > 0.95


def test_what_stands_between_is_found(ask, folder, tmp_path):
    truth = read_atoms(folder / "sample_00.csv")
    first = tmp_path / "first.csv"
    write_atoms(truth[truth["element"] != "Ti"], first)
    done = ask("between", folder / "sample_00.tif", {"element": "Ti"}, first)
    found = read_atoms(done.files["atoms"])
    titanium = positions(truth[truth["element"] == "Ti"])
    assert len(match(positions(found), titanium, 2.0)[0]) > 0.97 * len(found) > 30
    assert set(found["sublattice"]) == {"B"}
    none = ask("between", folder / "sample_00.tif", {"first": "Xx"}, first)
    assert none.event == "failed"
    assert "at least four" in none.sentence


def test_doubts_come_and_go_without_other_flags():
    flag = add_doubt("placed by the lattice", f"{UNSURE} (0.63)")
    assert flag == "placed by the lattice; element unsure (0.63)"
    assert add_doubt(flag, UNDECIDED) == "placed by the lattice; the maps do not decide"
    assert without_doubt(flag) == "placed by the lattice"
    assert without_doubt("") == without_doubt(UNDECIDED) == ""


def test_the_a_sites_of_a_real_frame_are_found_and_named(ask, real_data, tmp_path):
    image, labels = (real_data / f"pto_sro/pto_sro_left.{s}" for s in ("hspy", "csv"))
    done = ask("lattice", image, {})
    atoms = Sites.load(Path(done.files["sites"])).tables().atoms
    truth = positions(read_atoms(labels))
    a, _ = match(positions(atoms), truth, 4.0)
    on_a = (atoms["sublattice"].to_numpy()[a] == "A").sum()
    assert on_a >= 0.98 * len(truth)
    kept = tmp_path / "kept.csv"
    write_atoms(atoms, kept)
    named = ask("elements", image, {}, kept)
    assert {c[0] for c in named.values["classes"]} == {"A", "B"}
    table = read_atoms(named.files["atoms"])
    a, _ = match(positions(table), truth, 4.0)
    assert all(c.startswith("A") for c in table["element"].to_numpy()[a])
