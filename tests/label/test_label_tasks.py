"""What the labelling helper answers about lattices and elements."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.io import read_atoms, write_pairs
from napari_apgan.label import process
from napari_apgan.label.protocol import LineDecoder, SourceRef, TaskRequest
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
        return LineDecoder().feed(self._replies.getvalue())[-1]


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
