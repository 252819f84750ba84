"""The demonstration does the whole main job, on a short budget."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.demo import run_demo, story, user
from napari_apgan.errors import UserError
from napari_apgan.project import Project
from napari_apgan.regions import Region
from napari_apgan.simulate import make_sample


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The demonstration, run once on smaller frames with a few seconds of training."""
    folder, said = tmp_path_factory.mktemp("demo") / "apgan-demo", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(story, "make_sample", partial(make_sample, shape=(160, 160)))
        run_demo(folder, minutes=0.07, say=said.append)
    return folder, said


def test_it_labels_trains_scores_sends_back_and_trains_again(done: tuple[Path, list[str]]) -> None:
    folder, said = done
    result = json.loads((folder / "result.json").read_text())
    for score in (result["first"], result["second"]):
        assert {e["name"] for e in score["elements"]} >= {"Pb", "Sr", "Ti"}
        assert score["overall"]["n_true"] > 600, "not those of all three frames"
        assert score["no_information"]["rmse_pm"]["value"] > 0
    with Project.open(folder / "demo.apgan", read_only=True) as project:
        assert [r.number for r in project.rounds] == [1, 2]
        assert [p.round for p in project.pairs] == [1, 1, 2]
        assert len(project.sources) == 8
    assert all((folder / "figures" / name).is_file() for name in ("frame.png", "errors.png"))
    assert any(result["worst_frame"] in sentence for sentence in said)
    assert said[-1].startswith("Sending the worst frame back: F1")


def test_it_makes_room_for_itself_but_not_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        run_demo(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_clicks_snap_near_the_true_columns() -> None:
    pair = make_sample(seed=9, n_frames=1, shape=(128, 128), snr=10.0)[0]
    clicked = user.click_atoms(pair.frame, pair.atoms, np.random.default_rng(0))
    away = np.hypot(*(positions(clicked) - positions(pair.atoms)).T)
    assert np.median(away) < user.CLICK_SPREAD_PX / 2
    assert clicked["element"].tolist() == pair.atoms["element"].tolist()


def test_a_correction_removes_renames_and_adds() -> None:
    pair = make_sample(seed=9, n_frames=1, shape=(128, 128), snr=10.0)[0]
    true = pair.atoms.iloc[:5].reset_index(drop=True)
    wrong = true.iloc[:4].copy()
    wrong.loc[0, "element"] = "Pb" if wrong.loc[0, "element"] != "Pb" else "Ti"
    # One that is nowhere, and one of which the frame may show a part.
    false = make_atoms([[120.0, 120.0], [0.2, 120.0]], "Ti")
    predicted = user.concat([wrong, false])
    rng = np.random.default_rng(0)
    corrected, acts = user.correct(pair.frame, predicted, true, 2.0, rng)
    assert acts == {"removed": 1, "renamed": 1, "added": 1}
    assert len(corrected) == 6
    assert sorted(corrected["element"]) == sorted([*true["element"], "Ti"])
    assert set(corrected["origin"]) == {"predicted", "corrected", "human"}


def test_only_atoms_of_the_region_are_labelled() -> None:
    atoms = make_atoms([[1.0, 1.0], [50.0, 50.0]], "Pb")
    assert len(user.inside_of(atoms, Region.rectangle(0, 0, 10, 10))) == 1
