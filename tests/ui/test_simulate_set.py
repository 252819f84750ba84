"""Simulated pairs in a project: one row of the list, in and out of the training set as one."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame, Source
from napari_apgan.io import Pair
from napari_apgan.project import Project
from napari_apgan.regions import Region
from napari_apgan.ui.simulate_set import (
    add_labels,
    add_series,
    free_seed,
    labels_of,
    removing,
    series_of,
    simulated_in,
)
from napari_apgan.ui.train_set import set_pairs, training_rows


def pairs(n: int = 3, seed: int = 0) -> list[Pair]:
    """Return pairs of a few atoms, with a missing pixel each."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        valid = np.ones((32, 40), dtype=bool)
        valid[number, 5] = False
        frame = Frame(
            rng.normal(size=(32, 40)).astype(np.float32),
            valid,
            Calibration.from_pixel_size(20.0, origin="file"),
            f"graphene_{number:04d}",
        )
        atoms = make_atoms(rng.uniform(4, 28, (5 + number, 2)), "C", origin="simulated")
        region = Region.whole((32, 40))
        found.append(Pair(frame.name, frame, atoms, (region,), origin="simulated"))
    return found


def add(project: Project, made: list[Pair], seed: int = 0):
    source_id = add_series(project, series_of(made, "graphene", "{}", seed))
    record = project.record(source_id)
    return add_labels(project, labels_of(made, source_id, record.next_id, record.next_region_id))


@pytest.fixture
def project(tmp_path):
    with Project.create(tmp_path / "p.apgan") as project:
        yield project


def test_pairs_come_back_as_they_were_made(project):
    made = pairs()
    group = add(project, made)
    assert (group.words, group.atoms) == ("3 simulated pairs · graphene", 18)
    back = project.training_pairs()
    assert [p.origin for p in back] == ["simulated"] * 3
    for a, b in zip(made, back, strict=True):
        assert np.array_equal(a.frame.valid, b.frame.valid)
        assert np.array_equal(a.frame.data[a.frame.valid], b.frame.data[b.frame.valid])
        assert np.allclose(a.atoms[["x_px", "y_px"]], b.atoms[["x_px", "y_px"]])
        assert b.frame.calibration.x_pm == 20.0
    ids = [i for p in back for i in p.atoms["id"]]
    assert len(set(ids)) == len(ids), "an id is used once in a source"


def test_they_are_one_row_beside_the_labelled_frames(project):
    image = np.random.default_rng(1).normal(size=(32, 40)).astype(np.float32)
    mine = project.add_source(Source("mine", image[None]))
    project.add_atoms(mine, 0, make_atoms([[5.0, 6.0]], "C"))
    group = add(project, pairs())
    rows = {row.text: row for row in training_rows(project)}
    assert set(rows) == {"mine · 1 atom · 0 regions", "3 simulated pairs · graphene"}
    simulated = rows["3 simulated pairs · graphene"]
    assert simulated.removable
    assert simulated.ticked
    assert not rows["mine · 1 atom · 0 regions"].removable
    set_pairs(project, group.source_id, chosen=False)
    assert project.pairs == []
    assert not training_rows(project)[-1].ticked, "it stays in the list, without its tick"
    set_pairs(project, group.source_id, chosen=True)
    assert len(project.pairs) == 3


def test_removing_is_one_edit_and_undone_as_one(project):
    group = add(project, pairs())
    project.apply(removing(project, group.source_id))
    assert simulated_in(project) == []
    assert project.pairs == []
    project.undo()
    assert [g.words for g in simulated_in(project)] == ["3 simulated pairs · graphene"]
    project.undo()
    assert project.pairs == [], "adding them was one edit, too"
    assert project.elements == []


def test_the_same_pairs_twice_are_refused_and_new_ones_get_another_seed(project):
    assert free_seed(project) == 0
    add(project, pairs())
    assert free_seed(project) == 1
    with pytest.raises(UserError, match="choose another seed"):
        add(project, pairs())
    add(project, pairs(2, seed=1), seed=1)
    assert [g.words[:1] for g in simulated_in(project)] == ["3", "2"]
