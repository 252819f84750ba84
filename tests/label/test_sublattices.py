"""Elements are suggested by sublattice first, then by intensity within each, never across."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.errors import UserError
from napari_apgan.label.landscape import survey
from napari_apgan.label.mixture import find_kinds
from napari_apgan.label.sublattices import cages, suggest_elements, suggest_second
from napari_apgan.measure import match
from napari_apgan.simulate import make_sample


def grid(n, a=10.0):
    i, j = (g.ravel() for g in np.mgrid[:n, :n])
    return np.column_stack([i, j]) * a + 5.0


@pytest.mark.parametrize("kinds", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_evidence_decides_how_many_kinds_there_are(kinds, seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(1.0 * k, 0.15, 80) for k in range(kinds)])
    mixture = find_kinds(values)
    assert len(mixture.shares) == kinds
    assert (mixture.kind == np.repeat(np.arange(kinds), 80)).mean() > 0.99
    assert np.allclose(mixture.means[:, 0], np.arange(kinds), atol=0.1)
    assert np.allclose(mixture.probability.sum(axis=1), 1.0)


def test_a_skewed_distribution_is_one_kind_and_a_few_dopants_are_another():
    rng = np.random.default_rng(2)
    skewed = np.log(rng.gamma(8.0, size=600))
    assert len(find_kinds(skewed).shares) == 1
    doped = np.concatenate([rng.normal(0, 0.1, 400), rng.normal(0.9, 0.1, 5)])
    mixture = find_kinds(doped)
    assert len(mixture.shares) == 2
    assert set(np.flatnonzero(mixture.kind == 1)) == set(range(400, 405))


def test_width_parts_what_intensity_does_not():
    rng = np.random.default_rng(3)
    values = rng.normal(0, 0.1, (200, 2))
    values[100:, 1] += 0.8
    assert len(find_kinds(values[:, 0]).shares) == 1
    assert len(find_kinds(values).shares) == 2


def test_mixtures_refuse_what_is_no_number():
    with pytest.raises(UserError, match="numbers"):
        find_kinds([1.0, np.nan])
    with pytest.raises(UserError, match="numbers"):
        find_kinds([])
    with pytest.raises(UserError, match="2 kinds"):
        find_kinds([1.0], exactly=2)


def test_cages_of_square_and_triangular_lattices():
    rng = np.random.default_rng(0)
    square = grid(6) + rng.normal(0, 0.15, (36, 2))
    middle = cages(square)
    expected = grid(5) + 5.0
    assert len(middle) == 25 == len(match(middle, expected, 0.6)[0])
    i, j = (g.ravel() for g in np.mgrid[:6, :6])
    triangular = np.column_stack([10 * (i + 0.5 * j), 10 * 0.75**0.5 * j])
    # Two cages a cell: the honeycomb.
    assert len(cages(triangular)) == 50
    with pytest.raises(UserError, match="at least four"):
        cages([[0, 0], [1, 0], [2, 0]])


def test_a_vacancy_is_no_cage():
    nodes = np.delete(grid(7), 24, axis=0)
    assert len(match(cages(nodes), grid(7)[24:25], 2.0)[0]) == 0


def test_titanium_is_found_in_the_cages_of_lead_and_strontium():
    pair = make_sample(seed=3, n_frames=1, shape=(128, 128), snr=4.0)[0]
    first = pair.atoms[pair.atoms["element"] != "Ti"]
    titanium = positions(pair.atoms[pair.atoms["element"] == "Ti"])
    second = suggest_second(survey(pair.frame), first, element="Ti")
    a, _ = match(positions(second), titanium, 2.0)
    assert len(a) > 0.97 * len(second)
    low, high = positions(first).min(axis=0) + 6, positions(first).max(axis=0) - 6
    inner = titanium[((titanium > low) & (titanium < high)).all(axis=1)]
    assert len(match(positions(second), inner, 2.0)[0]) > 0.95 * len(inner)
    assert set(second["sublattice"]) == {"B"}


def two_sublattices(seed=0):
    """A: Sr (38) and Pb (82); B: Ti (22) and Ru (44), which outshines Sr."""
    rng = np.random.default_rng(seed)
    number = np.r_[np.full(60, 82), np.full(60, 38), np.full(60, 22), np.full(60, 44)]
    table = make_atoms(rng.uniform(0, 100, (240, 2)), "unknown", sublattice=np.repeat(["A", "B"], 120))  # fmt: skip  # noqa: E501
    truth = np.repeat(["Pb", "Sr", "Ti", "Ru"], 60)
    return table.assign(intensity=number**1.7 * np.exp(rng.normal(0, 0.08, 240))), truth


def test_elements_are_never_compared_across_sublattices():
    table, truth = two_sublattices()
    suggestion = suggest_elements(table, {"A": ["Sr", "Pb"], "B": ["Ti", "Ru"]})
    assert (suggestion.atoms["element"].to_numpy() == truth).all()
    brightest_ru = table["intensity"][truth == "Ru"].max()
    assert brightest_ru > table["intensity"][truth == "Sr"].min()
    assert len(suggestion.doubtful) <= 2
    assert not suggestion.notes


def test_what_lies_between_two_kinds_is_doubtful():
    table, _ = two_sublattices()
    table.loc[5, "intensity"] = np.sqrt(82.0 * 38.0) ** 1.7
    suggestion = suggest_elements(table, {"A": ["Sr", "Pb"], "B": ["Ti", "Ru"]})
    assert suggestion.doubtful[0] == 5
    assert "element unsure" in suggestion.atoms["flag"][5]
    assert suggestion.atoms["confidence"][5] < 0.9


def test_too_few_kinds_are_said():
    table, truth = two_sublattices()
    only = table[(truth == "Pb") | (truth == "Ti")]
    suggestion = suggest_elements(only, {"A": ["Sr", "Pb"], "B": ["Ti"]})
    assert set(suggestion.atoms["element"]) == {"Pb", "Ti"}
    assert "shows 1 kind of atoms" in suggestion.notes[0]
    free = suggest_elements(table, {})
    assert set(free.atoms["element"]) == {"A1", "A2", "B1", "B2"}
    with pytest.raises(UserError, match="no sublattice"):
        suggest_elements(table.assign(sublattice=""), {})


def test_amplitude_serves_before_a_fit():
    table, truth = two_sublattices()
    unfitted = table.assign(amplitude=table["intensity"], intensity=np.nan)
    suggestion = suggest_elements(unfitted, {"A": ["Sr", "Pb"], "B": ["Ti", "Ru"]})
    assert (suggestion.atoms["element"].to_numpy() == truth).all()
    with pytest.raises(UserError, match="refine them"):
        suggest_elements(table.assign(intensity=np.nan), {})
