"""What the training labels look like, kept with the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_apgan.atoms import empty_atoms
from napari_apgan.errors import UserError
from napari_apgan.io import write_pairs
from napari_apgan.models.modelfile import save_model
from napari_apgan.regions import Region
from napari_apgan.review.batch import reference_of, review_files
from napari_apgan.review.reference import REFERENCE_FILE, load_reference, make_reference
from napari_apgan.simulate import make_sample

from ..predict.trained import PIXEL_PM, trained_model, training_pairs  # noqa: TID252


def test_it_measures_the_labels(reference):
    pairs = training_pairs()
    assert reference.n_pairs == len(pairs)
    assert reference.n_atoms == sum(len(p.atoms) for p in pairs)
    assert set(reference.elements) == {"Pb", "Sr", "Ti"}
    # Half the diagonal of the 390 pm cell lies between A and B sites.
    assert reference.spacing_px * PIXEL_PM == pytest.approx(390 / np.sqrt(2), rel=0.05)
    assert reference.closest_px["Pb|Ti"] < reference.spacing_px < reference.closest_px["Ti|Ti"]
    assert reference.brightness["Pb"].mean > reference.brightness["Ti"].mean


def test_only_complete_regions_count():
    pair = training_pairs()[0]
    half = replace(pair, regions=(Region.rectangle(-0.5, -0.5, 127.5, 255.5),))
    found = make_reference([half])
    assert found.n_atoms == int((pair.atoms["x_px"] < 127.5).sum())


def test_it_does_not_depend_on_the_pixel_size_of_the_pairs():
    fine, coarse = (
        make_reference(make_sample(seed=3, n_frames=2, pixel_size_pm=pm).pairs, pixel_size_pm=25.0)
        for pm in (20.0, 30.0)
    )
    assert fine.spacing_px == pytest.approx(coarse.spacing_px, rel=0.03)
    assert fine.closest_px["Pb|Ti"] == pytest.approx(coarse.closest_px["Pb|Ti"], rel=0.06)


def test_it_is_kept_in_the_run_folder(reference, tmp_path):
    path = reference.save(tmp_path)
    assert path.name == REFERENCE_FILE
    assert load_reference(tmp_path) == reference
    assert load_reference(tmp_path / "best.safetensors") == reference
    path.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="reference"):
        load_reference(tmp_path)


def test_pairs_without_atoms_are_refused():
    pair = replace(training_pairs()[0], atoms=empty_atoms())
    with pytest.raises(UserError, match="at least two atoms"):
        make_reference([pair])


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run folder as a training leaves it: the model and its pairs."""
    folder = tmp_path / "run-001"
    model = trained_model()
    save_model(folder / "best.safetensors", model.network, model.card)
    write_pairs(list(training_pairs()), folder / "pairs")
    return folder


def test_the_reference_of_a_run_is_made_once_from_its_pairs(run_dir):
    made = reference_of(run_dir)
    assert made is not None
    assert (run_dir / REFERENCE_FILE).is_file()
    assert made.radius_px == trained_model().card.radius_px
    assert reference_of(run_dir / "best.safetensors") == made


def test_a_model_without_its_run_has_no_reference(tmp_path):
    model = trained_model()
    save_model(tmp_path / "alone.safetensors", model.network, model.card)
    assert reference_of(tmp_path / "alone.safetensors") is None


def test_files_are_reviewed_worst_first(run_dir, tmp_path):
    images = tmp_path / "images"
    for name, snr in (("good", 3.0), ("bad", 0.12)):
        sample = make_sample(seed=60, n_frames=1, pixel_size_pm=PIXEL_PM, snr=snr, shape=(160, 160))
        write_pairs([replace(sample[0], name=name)], images)
    inputs = sorted(images.glob("*.tif"))
    output = tmp_path / "review.csv"
    ranked = review_files(run_dir, inputs, output, whole_frames=True, device="cpu")
    assert [Path(r.source_id).stem for r in ranked] == ["bad", "good"]
    assert ranked[0].score > 2 * ranked[1].score
    assert output.read_text(encoding="utf-8").count("\n") == 3
    assert (tmp_path / "review_predictions" / "good.atoms.csv").is_file()
    with pytest.raises(UserError, match=r"\.json or \.csv"):
        review_files(run_dir, inputs, tmp_path / "review.txt")
