"""The score needs no labels, and must still put the truly worse frames first."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from napari_apgan.atoms import concat, make_atoms, positions
from napari_apgan.frames import Frame, make_frame
from napari_apgan.maps import draw_discs
from napari_apgan.measure import find_atoms
from napari_apgan.predict.prediction import Prediction
from napari_apgan.review.batch import write_review
from napari_apgan.review.ranking import ReviewInput, rank

from ..predict.trained import ELEMENTS, trained_model  # noqa: TID252
from .conftest import f1_of


def whole_frames(items, reference=None):
    return rank(items, reference, region_px=None)


def scores(items, reference):
    by_frame = {r.frame: r.score for r in whole_frames(items, reference)}
    return [by_frame[item.frame.index] for item in items]


def test_frames_rank_by_their_true_quality(judged, reference):
    """Real predictions of a trained network over seven noise levels."""
    found = scores([j.item for j in judged], reference)
    rho = spearmanr(found, [1 - j.f1 for j in judged]).statistic
    print(f"Spearman {rho:.2f}")
    assert max(j.f1 for j in judged) > 0.9
    assert min(j.f1 for j in judged) < 0.75
    assert rho > 0.5


def test_frames_rank_without_a_reference(judged):
    found = scores([j.item for j in judged], None)
    rho = spearmanr(found, [1 - j.f1 for j in judged]).statistic
    print(f"Spearman {rho:.2f}")
    assert rho > 0.5


def test_regions_of_frames_rank_by_their_true_quality(judged, reference):
    """One half of a good frame spoilt by noise: that half comes first."""
    (best, *_) = sorted(judged, key=lambda j: -j.f1)
    frame = best.item.frame
    spoilt = best.prediction.maps.copy()
    noise = np.random.default_rng(0).normal(0, 1, spoilt.shape)
    spoilt[:, :, 96:] = np.clip(
        spoilt[:, :, 96:] * 0.5 + 2 * gaussian_filter(noise, (0, 2, 2))[:, :, 96:], 0, 1
    )
    item = ReviewInput("a", frame, read(best.prediction, spoilt))
    ranked = rank([item], reference, region_px=96)
    assert len(ranked) == 4
    assert {r.box[0] for r in ranked[:2]} == {96}
    assert ranked[0].score > 3 * ranked[-1].score


def read(prediction: Prediction, maps: np.ndarray) -> Prediction:
    """Read the atoms of changed maps again, as a prediction does."""
    card = trained_model().card
    atoms = find_atoms(maps, card.element_names, radius_px=card.radius_px, threshold=0.5)
    return replace(prediction, maps=maps.astype(np.float32), atoms=atoms)


def corrupted(prediction: Prediction, kind: str, amount: float, seed: int) -> Prediction:
    """Spoil a share of the discs of a prediction, in the way that networks fail."""
    rng = np.random.default_rng(seed)
    maps = prediction.maps.copy()
    radius = trained_model().card.radius_px["Pb"]
    for atom in prediction.atoms.itertuples():
        if rng.random() > amount:
            continue
        channel = ELEMENTS.index(atom.element)
        disc = draw_discs([(atom.x_px, atom.y_px)], radius + 2, maps.shape[1:]) > 0
        if kind == "missed":
            maps[:, disc] = 0
        elif kind == "faint":
            maps[channel, disc] *= 0.45
        elif kind == "wrong element":
            other = (channel + 1) % 3
            maps[other, disc] = np.maximum(maps[other, disc], maps[channel, disc])
            maps[channel, disc] = 0
        elif kind == "doubled":
            angle = rng.uniform(0, 2 * np.pi)
            ghost = (atom.x_px + 5 * np.cos(angle), atom.y_px + 5 * np.sin(angle))
            maps[channel] = np.maximum(maps[channel], draw_discs([ghost], radius, maps.shape[1:]))
    return read(prediction, maps)


@pytest.mark.parametrize("kind", ["missed", "faint", "wrong element", "doubled"])
def test_every_kind_of_failure_is_seen(good, reference, kind):
    """The more discs of one good frame are spoilt, the higher its score."""
    amounts = np.array([0, 0.02, 0.04, 0.08, 0.12, 0.2, 0.3, 0.4])
    spoilt = [corrupted(good.prediction, kind, a, seed) for seed, a in enumerate(amounts)]
    f1 = [f1_of(p, good.pair) for p in spoilt]
    items = [ReviewInput("a", replace(good.item.frame, index=k), p) for k, p in enumerate(spoilt)]
    rho = spearmanr(scores(items, reference), 1 - np.array(f1)).statistic
    print(f"Spearman {rho:.2f}")
    assert f1[0] - f1[-1] > 0.1
    assert rho > 0.5


def test_reasons_name_what_was_done(good, reference):
    said = {
        "missed": "in the lattice",
        "faint": "too faint to count",
        "wrong element": "element disagrees with intensity",
        "doubled": "too close",
    }
    for kind, words in said.items():
        prediction = corrupted(good.prediction, kind, 0.15, 5)
        (item,) = whole_frames([ReviewInput("a", good.item.frame, prediction)], reference)
        assert any(words in reason for reason in item.reasons), (kind, item.reasons)


def lattice(missing: int | None = None) -> tuple[Frame, Prediction]:
    """A square lattice of one element, 12 px apart, as a perfect prediction."""
    xy = np.array([(x, y) for y in range(10, 190, 12) for x in range(10, 190, 12)], float)
    if missing is not None:
        xy = np.delete(xy, missing, axis=0)
    image = draw_discs(xy, 3.0, (196, 196))
    atoms = make_atoms(xy, "Pb", probability=0.97, x_map_px=xy[:, 0], y_map_px=xy[:, 1])
    frame = make_frame(image + np.random.default_rng(0).normal(0, 0.05, image.shape))
    return frame, Prediction(image[None], atoms, ("Pb",))


def test_a_perfect_prediction_has_nothing_conspicuous():
    (item,) = whole_frames([ReviewInput("a", *lattice())])
    assert item.reasons == ("nothing conspicuous",)
    assert item.score < 0.01
    assert len(item.suspects) == 0


def test_a_hole_in_the_lattice_is_found_where_it_is():
    frame, prediction = lattice(missing=7 * 15 + 7)
    (item,) = whole_frames([ReviewInput("a", frame, prediction)])
    assert item.reasons == ("1 hole in the lattice, centre",)
    np.testing.assert_allclose(item.holes, [(94, 94)], atol=0.5)


def test_the_edge_of_a_crystal_is_no_hole():
    frame, prediction = lattice()
    half = prediction.atoms[prediction.atoms["x_px"] < 100].reset_index(drop=True)
    maps = draw_discs(positions(half), 3.0, frame.shape)[None]
    (item,) = whole_frames([ReviewInput("a", frame, Prediction(maps, half, ("Pb",)))])
    assert len(item.holes) == 0


def test_scattered_atoms_have_no_lattice_and_no_holes(rng):
    xy = rng.uniform(5, 190, (60, 2))
    frame, _ = lattice()
    atoms = make_atoms(xy, "Pt", probability=0.9)
    (item,) = whole_frames(
        [ReviewInput("a", frame, Prediction(np.zeros((1, 0, 0)), atoms, ("Pt",)))]
    )
    assert len(item.holes) == 0


def test_suspect_atoms_carry_their_reason_beside_older_flags():
    frame, prediction = lattice()
    extra = make_atoms([(92.0, 14.0)], "Pb", probability=0.4, flag="cut by the border", id=[900])
    both = concat([prediction.atoms, extra])
    (item,) = whole_frames([ReviewInput("a", frame, replace(prediction, atoms=both))])
    assert item.reasons[0] in {
        "2 atoms too close, top",
        "map is half-bright: undecided pixels 0.0%",
    }
    flags = dict(zip(item.suspects["id"], item.suspects["flag"], strict=True))
    assert flags[900] == "cut by the border; too close to another atom; low probability"
    assert len(flags) == 2
    # The table that was judged stays as it was.
    assert both["flag"].tolist().count("") == len(both) - 1


def test_an_image_of_another_kind_is_called_unfamiliar(good, reference, rng):
    lines = np.sin(np.arange(192) / 1.1)[None] * np.ones((192, 1)) + rng.normal(0, 0.05, (192, 192))
    frame = make_frame(100 + lines, good.item.frame.calibration)
    (item,) = whole_frames([ReviewInput("a", frame, good.prediction)], reference)
    assert "pattern not seen in training" in item.reasons
    (familiar,) = whole_frames([good.item], reference)
    assert "pattern not seen in training" not in familiar.reasons


def test_a_prediction_without_any_atom_is_suspicious_but_vacuum_is_not(good, reference):
    frame = good.item.frame
    empty = read(good.prediction, np.zeros_like(good.prediction.maps))
    (item,) = whole_frames([ReviewInput("a", frame, empty)], reference)
    assert any(reason.startswith("few atoms: 0 where training had") for reason in item.reasons)
    assert item.score > 0.3
    # One bright particle in the corner sets the grey scale; the rest of the frame is vacuum.
    dark = np.random.default_rng(0).normal(0.05, 0.02, (192, 192))
    dark[:60, :60] = frame.data[:60, :60] / frame.data.max()
    vacuum = make_frame(dark, frame.calibration)
    items = rank([ReviewInput("a", vacuum, empty)], reference, region_px=96)
    worst = next(i for i in items if i.box == (96, 96, 192, 192))
    assert worst.parts["empty"] < 0.1


def test_only_the_predicted_box_is_judged(good, reference):
    box = (20, 30, 120, 150)
    xy = positions(good.prediction.atoms) + 0.5
    inside = ((xy >= box[:2]) & (xy < box[2:])).all(axis=1)
    part = replace(
        good.prediction,
        maps=good.prediction.maps[:, 30:150, 20:120],
        atoms=good.prediction.atoms[inside].reset_index(drop=True),
        box=box,
    )
    (item,) = whole_frames([ReviewInput("a", good.item.frame, part)], reference)
    assert item.box == box
    assert item.n_atoms == int(inside.sum())
    assert item.score < 0.15
    asked = ReviewInput("a", good.item.frame, part, boxes=((40, 40, 80, 80),))
    assert [i.box for i in rank([asked], reference)] == [(40, 40, 80, 80)]


def test_reviews_are_written_as_json_and_csv(good, reference, tmp_path):
    items = rank(
        [ReviewInput("a", good.item.frame, corrupted(good.prediction, "doubled", 0.1, 1))],
        reference,
        region_px=96,
    )
    write_review(tmp_path / "r.json", items)
    read_back = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert [r["score"] for r in read_back] == sorted((r["score"] for r in read_back), reverse=True)
    assert read_back[0]["suspects"][0].keys() >= {"id", "x_px", "y_px", "flag"}
    write_review(tmp_path / "r.csv", items)
    table = pd.read_csv(tmp_path / "r.csv")
    assert len(table) == 4
    assert table["reasons"][0] == "; ".join(items[0].reasons)


def test_scatter_of_the_refinement_is_no_fault_of_the_answer(judged, reference):
    one = judged[0].item
    atoms = one.prediction.atoms.copy()
    noise = np.random.default_rng(0).normal(0, 1.5, (len(atoms), 2))
    atoms[["x_px", "y_px"]] = atoms[["x_map_px", "y_map_px"]].to_numpy() + noise
    scattered = replace(one, prediction=replace(one.prediction, atoms=atoms))
    calm, rough = (rank([each], reference, region_px=None)[0] for each in (one, scattered))
    assert rough.score == pytest.approx(calm.score)
