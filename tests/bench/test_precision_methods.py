"""The methods of the precision bench answer in the same words, each by its own means."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_apgan.atoms import positions
from napari_apgan.bench.counting import count
from napari_apgan.bench.precision.bumps import Tuning, filled, log_peaks, refined_by_gaussians
from napari_apgan.bench.precision.cases import CASES, CaseData, adapted, elements_of, load_case
from napari_apgan.bench.precision.methods.atomai import AtomAIMethod, inputs, located, masks
from napari_apgan.bench.precision.methods.atomap import AtomapMethod
from napari_apgan.bench.precision.methods.by_name import ATOMAI, ATOMAP, make_method
from napari_apgan.bench.precision.methods.lattice import LatticeMethod
from napari_apgan.bench.precision.methods.log_gaussian import LogGaussianMethod
from napari_apgan.bench.precision.methods.method import (
    MAP,
    OFFERED,
    ONLY,
    READ,
    SECONDS,
    Lesson,
    Method,
)
from napari_apgan.bench.precision.methods.others import peer_versions
from napari_apgan.bench.precision.methods.preset import PresetMethod
from napari_apgan.bench.precision.tasks import Budget, Numbers, Task
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, make_frame
from napari_apgan.simulate.settings import changed

SHAPE = (64, 64)
CASE = adapted(CASES["graphene-2.35"], engine="fast", shape=SHAPE)
#: Brighter than usual: the finder is what is asked here.
MULTILAYER = adapted(CASES["pto-sto-10"], shape=(96, 96))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ideal")


@pytest.fixture(scope="module")
def data(cache: Path) -> CaseData:
    return load_case(CASE, cache=cache, n_train=2, n_validation=1, n_test=1, n_probes=0)


@pytest.fixture(scope="module")
def layers(cache: Path) -> CaseData:
    return load_case(MULTILAYER, cache=cache, n_train=2, n_validation=1, n_test=1, n_probes=0)


def bumps(xy: np.ndarray, width: float = 1.5, shape: tuple[int, int] = (48, 56)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 3.0 + sum(
        2.0 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * width**2)) for a, b in xy.tolist()
    )


def lesson(data: CaseData, folder: Path = Path(), seed: int = 0) -> Lesson:
    return Lesson(data.train, data.validation, seed, folder)


# What needs no training ---------------------------------------------------------------------------


def test_the_lattice_answers_the_undisplaced_sites_of_the_truth(data: CaseData) -> None:
    made = data.test[0]
    method: Method = LatticeMethod()
    assert method.fit(lesson(data)) == 0.0
    ((label, table),) = method.predict(made.pair.frame, made)
    assert label == ONLY
    sites = {tuple(p) for p in positions(made.undisplaced).tolist()}
    assert {tuple(p) for p in positions(table).tolist()} <= sites
    assert len(table) > 0.9 * len(sites)
    with pytest.raises(UserError, match="truth"):
        method.predict(made.pair.frame)


def test_gaussians_find_where_lone_bumps_are() -> None:
    true = np.array([[10.3, 12.8], [30.6, 11.1], [20.2, 33.4], [44.9, 36.0]])
    tuning = Tuning(1.5, 0.3, 5.0, window_px=4.0, spacing_px=10.0)
    image = bumps(true)
    start, height = log_peaks(image, tuning)
    assert len(start) == 4
    np.testing.assert_allclose(height, 1.0, atol=0.1)
    found = refined_by_gaussians(image, start, tuning)
    nearest = np.abs(found[:, None] - true).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-3
    # A bump half outside of the frame is fitted with what there is of it.
    edge = np.array([[0.2, 20.4]])
    np.testing.assert_allclose(
        refined_by_gaussians(bumps(edge), np.array([[0.0, 20.0]]), tuning), edge, atol=0.01
    )


def test_a_fit_that_runs_away_leaves_the_peak_where_it_was() -> None:
    tuning = Tuning(1.5, 0.3, 5.0, window_px=3.0, spacing_px=8.0)
    start = np.array([[20.0, 20.0]])
    slope = np.add.outer(np.zeros(48), np.arange(56.0))
    moved = refined_by_gaussians(slope, start, tuning)
    assert np.abs(moved - start).max() < 3.0


def test_missing_pixels_are_filled_from_around_and_dark_atoms_turned_bright() -> None:
    image = gaussian_filter(np.random.default_rng(0).normal(0, 30, (40, 40)), 3) + 5.0
    valid = np.random.default_rng(1).random(image.shape) > 0.3
    frame = Frame(np.where(valid, image, 0).astype(np.float32), valid)
    whole = filled(frame, "bright")
    np.testing.assert_allclose(whole[valid], image[valid], rtol=1e-5)
    assert np.abs(whole - image)[~valid].mean() < 0.5 * image.std()
    np.testing.assert_allclose(filled(frame, "dark"), -whole)


def test_tuned_peaks_tell_elements_apart_and_beat_their_untuned_start(layers: CaseData) -> None:
    method = LogGaussianMethod(MULTILAYER)
    with pytest.raises(UserError, match="fit it first"):
        method.predict(layers.test[0].pair.frame)
    assert method.fit(lesson(layers)) > 0
    assert method.tuning is not None
    made = layers.test[0]
    ((label, table),) = method.predict(made.pair.frame, made)
    truth = made.pair.atoms
    assert label == ONLY
    assert table.attrs[SECONDS] > 0
    assert count(positions(table), positions(truth), 4.0).f1 > 0.8
    for name in ("Pb", "Ti"):
        ours = positions(table[table["element"] == name])
        assert count(ours, positions(truth[truth["element"] == name]), 4.0).f1 > 0.7


# Ours ---------------------------------------------------------------------------------------------


def test_elements_carry_the_polarity_and_the_radius_of_the_case() -> None:
    (carbon,) = elements_of(CASE)
    assert (carbon.name, carbon.polarity, carbon.radius_pm) == ("C", "bright", None)
    names = [e.name for e in elements_of(MULTILAYER)]
    assert names == ["Pb", "Sr", "Ti"]


def test_presets_are_named_by_where_they_start() -> None:
    starts = [("fast", "scratch"), ("fcn1", "scratch"), ("fast", "bundled")]
    tasks = [
        Task(case=CASE.name, method=m, seed=0, numbers=Numbers(), budget=Budget(init=init))
        for m, init in starts
    ]
    names = [make_method(task, CASE).name for task in tasks]
    assert names == ["fast", "fcn1", "fast from the bundled start"]


def test_a_run_is_taken_again_only_for_the_very_same_pairs(data: CaseData) -> None:
    same = lesson(data).digest("seed 0")
    assert same == lesson(data).digest("seed 0")
    others = [
        lesson(data).digest("seed 1"),
        Lesson(data.train[:1], data.validation, 0, Path()).digest("seed 0"),
        Lesson([*data.train, *data.validation], [], 0, Path()).digest("seed 0"),
    ]
    assert same not in others
    assert len(set(others)) == 3


def test_a_preset_is_trained_in_its_own_process_and_gives_both_positions(
    data: CaseData, tmp_path: Path
) -> None:
    method = PresetMethod(CASE, "fast", Budget(steps=2, threads=1))
    with pytest.raises(UserError, match="fit it first"):
        method.predict(data.test[0].pair.frame)
    seconds = method.fit(lesson(data, tmp_path))
    assert method.steps == 2
    again = PresetMethod(CASE, "fast", Budget(steps=2, threads=1))
    # The kept run has the very seconds of the first.
    assert again.fit(lesson(data, tmp_path)) == seconds
    assert len(list(tmp_path.iterdir())) == 1
    answers = again.predict(data.test[0].pair.frame)
    assert [label for label, _ in answers] == [MAP, OFFERED]
    for _, table in answers:
        assert table.attrs[SECONDS] > 0
        assert set(table["element"]) <= {"C"}
    assert len(answers[0][1]) == len(answers[1][1])


# Others' ------------------------------------------------------------------------------------------


def test_inputs_of_others_lie_between_0_and_1_and_lost_pixels_are_0(cache: Path) -> None:
    case = adapted(CASES["graphene-zeroed"], engine="fast", shape=SHAPE)
    frame = (
        load_case(case, cache=cache, n_train=0, n_validation=0, n_test=1, n_probes=0)
        .test[0]
        .pair.frame
    )
    (image,) = inputs([frame])
    assert image[frame.valid].min() == 0.0
    assert image.max() == 1.0
    assert not image[~frame.valid].any()
    # Levels are stretched over the valid pixels, not over 0 and them.
    assert image[frame.valid].std() > 0.1


def test_masks_of_others_are_our_discs(data: CaseData, layers: CaseData) -> None:
    made = data.train[0]
    (mask,) = masks([made], ("C",), 1.5)
    assert mask.shape == (1, *SHAPE)
    assert set(np.unique(mask)) == {0.0, 1.0}
    inner = positions(made.pair.atoms)
    inner = inner[((inner > 3) & (inner < 60)).all(axis=1)]
    x, y = np.rint(inner).astype(int).T
    assert mask[0, y, x].all()
    assert mask.sum() == pytest.approx(len(made.pair.atoms) * np.pi * 1.5**2, rel=0.1)
    (classes,) = masks([layers.train[0]], MULTILAYER.elements, 2.0)
    atoms = layers.train[0].pair.atoms
    inside = ((positions(atoms) > 3) & (positions(atoms) < 92)).all(axis=1)
    for name, x, y in atoms.loc[inside, ["element", "x_px", "y_px"]].itertuples(index=False):
        assert classes[round(y), round(x)] == MULTILAYER.elements.index(name)
    assert (classes == len(MULTILAYER.elements)).mean() > 0.3


def test_what_others_find_is_row_column_and_class(layers: CaseData) -> None:
    frame = layers.test[0].pair.frame
    table = located(np.array([[10.5, 20.25, 2.0], [3.0, 4.0, 0.0]]), MULTILAYER.elements, frame)
    np.testing.assert_array_equal(positions(table), [[20.25, 10.5], [4.0, 3.0]])
    assert table["element"].tolist() == ["Ti", "Pb"]
    assert table["x_pm"][0] == pytest.approx(20.25 * 29.0)
    assert len(located(np.empty((0, 3)), MULTILAYER.elements, frame)) == 0


def test_only_installed_programs_of_others_are_asked() -> None:
    for name in (ATOMAI, ATOMAP):
        task = Task(case=CASE.name, method=name, seed=0, numbers=Numbers())
        if peer_versions()[name] is None:
            with pytest.raises(UserError, match="not installed"):
                make_method(task, CASE)
        else:
            assert make_method(task, CASE).name


def test_a_program_that_is_not_installed_says_so(data: CaseData, tmp_path: Path) -> None:
    if importlib.util.find_spec("atomai") is not None:
        pytest.skip("AtomAI is installed")
    with pytest.raises(UserError, match="atomai is not installed"):
        AtomAIMethod(CASE).fit(lesson(data, tmp_path))


def test_atomai_learns_from_our_pairs(data: CaseData, layers: CaseData, tmp_path: Path) -> None:
    pytest.importorskip("atomai", reason="AtomAI is not installed")
    for case, frames in ((CASE, data), (MULTILAYER, layers)):
        method = AtomAIMethod(case, cycles=2, batch=2, threads=1)
        seconds = method.fit(lesson(frames, tmp_path))
        (label, table), (read, other) = method.predict(frames.test[0].pair.frame)
        assert (label, read) == (MAP, READ)
        assert set(other["element"]) <= set(case.elements)
        assert set(table["element"]) <= set(case.elements)
        again = AtomAIMethod(case, cycles=2, batch=2, threads=1)
        assert again.fit(lesson(frames, tmp_path)) == pytest.approx(seconds, abs=1e-3)
        kept = again.predict(frames.test[0].pair.frame)[0][1]
        np.testing.assert_array_equal(positions(kept), positions(table))
        frame = frames.test[0].pair.frame
        np.testing.assert_allclose(again.maps(frame), method.maps(frame), atol=1e-6)


def test_atomap_refines_the_peaks_of_the_tuned_finder(cache: Path) -> None:
    pytest.importorskip("atomap", reason="atomap is not installed")
    clear = changed(MULTILAYER.settings, {"degradation": {"snr": 1000.0, "jitter_pm": 0.0}})
    case = adapted(MULTILAYER, shape=(64, 64))
    case = type(case)(**{f: getattr(case, f) for f in case.__slots__} | {"settings": clear})
    data = load_case(case, cache=cache, n_train=1, n_validation=0, n_test=1, n_probes=0)
    method = AtomapMethod(case)
    method.fit(lesson(data))
    made = data.test[0]
    ((label, table),) = method.predict(made.pair.frame)
    assert label == ONLY
    assert count(positions(table), positions(made.pair.atoms), 2.0).f1 > 0.8


def test_frames_without_peaks_give_empty_tables() -> None:
    tuning = Tuning(1.5, 0.3, 5.0)
    method = LogGaussianMethod(CASE, tuning=tuning)
    ((_, table),) = method.predict(make_frame(np.full((48, 48), 7.0)))
    assert len(table) == 0
