"""A proposed lattice stands on the atoms, ends where they end, and says what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import make_frame
from napari_apgan.io import open_source, read_atoms
from napari_apgan.label.landscape import survey
from napari_apgan.label.lattice import propose
from napari_apgan.label.pick import pick_cell
from napari_apgan.measure import match
from napari_apgan.simulate import EXAMPLES, make_sample, simulate_pair
from napari_apgan.simulate.settings import changed

from .images import LATTICES


def draw(atoms, shape, sigma=1.8, noise=0.05, seed=0):
    """Gaussians at (x, y, height) on noise."""
    image = np.random.default_rng(seed).normal(0, noise, shape)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    for x, y, height in atoms:
        image += height * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * sigma**2))
    return make_frame(image)


def square(a, n, turn=0.0, centre=(0.0, 0.0)):
    """(n², 2) nodes of a square lattice about a point."""
    i, j = (g.ravel() - (n - 1) / 2 for g in np.mgrid[:n, :n])
    c, s = np.cos(turn), np.sin(turn)
    return np.column_stack([i, j]) * a @ np.array([[c, s], [-s, c]]) + centre


def found_of(found, truth, tolerance=2.0):
    return len(match(positions(found), truth, tolerance)[0])


def test_two_sublattices_are_told_apart_by_their_places_alone():
    strong = square(14.0, 13, 0.2, (64, 64))
    weak = (
        strong
        + square(14.0, 2, 0.2).mean(axis=0)
        + np.array([7.0, 7.0]) @ np.array([[np.cos(0.2), np.sin(0.2)], [-np.sin(0.2), np.cos(0.2)]])
    )
    atoms = [(x, y, 1.0) for x, y in strong] + [(x, y, 0.5) for x, y in weak]
    frame = draw(atoms, (128, 128))
    proposal = propose(frame)
    (lattice,) = proposal.lattices
    assert np.allclose(lattice.cell.lengths_px, 14.0, atol=0.1)
    assert abs(lattice.cell.angle_deg - 90) < 1
    table = proposal.tables(elements={"A": "Pb", "B": "Ti"}).atoms
    inside = lambda xy: xy[((xy > 3) & (xy < 124)).all(axis=1)]  # noqa: E731
    for name, truth in (("Pb", strong), ("Ti", weak)):
        mine = table[table["element"] == name]
        assert found_of(mine, inside(truth)) == len(inside(truth))
        assert found_of(mine, truth) == len(mine)


def test_an_empty_site_is_missing_and_an_atom_beside_the_sites_is_extra():
    nodes = square(11.0, 13, 0.1, (64, 64))
    gone = [60, 100]
    atoms = [(x, y, 1.0) for k, (x, y) in enumerate(nodes) if k not in gone]
    beside = nodes[85] + np.array([5.2, 5.6])
    proposed = propose(draw([*atoms, (*beside, 1.0)], (128, 128))).tables()
    assert found_of(proposed.missing, nodes[gone], 1.0) == 2 == len(proposed.missing)
    assert found_of(proposed.extra, beside[None], 1.5) == 1 == len(proposed.extra)
    assert found_of(proposed.atoms, nodes[gone], 2.0) == 0
    # The threshold decides: at 0 every site is filled.
    everything = propose(draw(atoms, (128, 128))).tables(presence=-1.0)
    assert found_of(everything.atoms, nodes[gone], 2.0) == 2


def test_the_lattice_ends_at_vacuum():
    nodes = square(11.0, 7, 0.1, (64, 64))
    proposed = propose(draw([(x, y, 1.0) for x, y in nodes], (128, 128))).tables()
    assert found_of(proposed.atoms, nodes) == len(nodes) == len(proposed.atoms)
    assert len(proposed.missing) == 0


def test_two_grains_get_a_lattice_each():
    left, right = square(10.0, 22, 0.0, (80, 64)), square(10.0, 22, 0.4, (80, 64))
    nodes = np.concatenate([left[left[:, 0] < 76], right[right[:, 0] > 84]])
    proposal = propose(draw([(x, y, 1.0) for x, y in nodes], (128, 160)))
    assert len(proposal.lattices) == 2
    atoms = proposal.tables().atoms
    inside = nodes[((nodes > 3) & (nodes < [156, 124])).all(axis=1)]
    assert found_of(atoms, inside) > 0.95 * len(inside)
    assert found_of(atoms, nodes) > 0.98 * len(atoms)
    for x_low, x_high in ((0, 66), (94, 160)):
        side = atoms[(atoms["x_px"] > x_low) & (atoms["x_px"] < x_high)]
        assert side["grain"].nunique() == 1


def test_strain_is_followed():
    nodes = square(10.0, 24, 0.1, (64, 64))
    bent = nodes + 0.0006 * (nodes - 64) ** 2 * [1.0, -0.5]
    proposed = propose(draw([(x, y, 1.0) for x, y in bent], (128, 128))).tables()
    inside = bent[((bent > 3) & (bent < 124)).all(axis=1)]
    assert found_of(proposed.atoms, inside, 1.0) == len(inside)


def test_picks_give_the_cell():
    nodes = square(12.0, 11, 0.3, (64, 64))
    landscape = survey(draw([(x, y, 1.0) for x, y in nodes], (128, 128)))
    cell, note = pick_cell(landscape, nodes[60] + 0.8, nodes[61] - 0.7, nodes[71] + 0.5)
    assert not note
    assert np.allclose(cell.lengths_px, 12.0, atol=0.1)
    proposed = propose(landscape, cell).tables()
    assert found_of(proposed.atoms, nodes[36:85]) == 49
    with pytest.raises(UserError, match="on one line"):
        pick_cell(landscape, nodes[60], nodes[61], nodes[62])


def test_picks_of_another_sublattice_are_put_right_and_said():
    pair = simulate_pair(changed(EXAMPLES["graphene"], {"degradation": {"snr": 10.0}, "shape": (128, 128), "structure": {"lines": "none", "holes": 0}})).pair  # fmt: skip  # noqa: E501
    xy = positions(pair.atoms)
    atom = xy[np.hypot(*(xy - 64).T).argmin()]
    near = xy[np.argsort(np.hypot(*(xy - atom).T))[1:3]]
    landscape = survey(pair.frame, sigma_px=1.85)
    cell, note = pick_cell(landscape, atom, *near)
    assert "different kinds" in note
    assert np.allclose(cell.lengths_px, 246 / 23, rtol=0.03)
    assert len(cell.atoms) == 2


def test_a_lattice_below_the_resolution_is_refused_in_a_sentence():
    image = gaussian_filter(np.random.default_rng(0).normal(size=(96, 96)), 2.5)
    landscape = survey(make_frame(image))
    with pytest.raises(UserError, match="shows columns closer than"):
        pick_cell(landscape, (40, 40), (40.4, 44), (44, 40))


def test_where_nothing_repeats_it_says_so():
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(96, 96)), 1.5)
    proposal = propose(make_frame(noise))
    assert not proposal.lattices
    assert "Nothing repeats" in proposal.notes[0]
    proposed = proposal.tables()
    assert len(proposed.atoms) == len(proposed.missing) == len(proposed.extra) == 0
    with pytest.raises(UserError, match="too small"):
        propose(make_frame(np.ones((12, 12))))


def test_unresolved_dumbbells_are_mentioned():
    nodes = square(14.0, 9, 0.1, (64, 64))
    pairs = [(x + d, y, 1.0) for x, y in nodes for d in (-1.7, 1.7)]
    proposal = propose(draw(pairs, (128, 128)))
    assert any("times as long as wide, along 0°" in note for note in proposal.notes)
    round_ones = propose(draw([(x, y, 1.0) for x, y in nodes], (128, 128)))
    assert not round_ones.notes


def test_resolved_dumbbells_are_two_sites():
    pair = simulate_pair(changed(EXAMPLES["si-110"], {"shape": (160, 160)})).pair
    proposal = propose(pair.frame)
    assert len(proposal.lattices[0].cell.atoms) == 2
    truth = positions(pair.atoms)
    inside = truth[((truth > 3) & (truth < 156)).all(axis=1)]
    assert found_of(proposal.tables().atoms, inside) == len(inside)


def test_an_area_bounds_the_proposal():
    nodes = square(11.0, 13, 0.1, (64, 64))
    frame = draw([(x, y, 1.0) for x, y in nodes], (128, 128))
    area = np.zeros(frame.shape, bool)
    area[:, :64] = True
    atoms = propose(frame, area=area).tables().atoms
    assert len(atoms) > 40
    assert atoms["x_px"].max() < 66
    with pytest.raises(UserError, match="another image"):
        propose(frame, area=np.ones((5, 5), bool))


def test_a_multilayer_is_one_lattice_with_both_sublattices():
    pair = make_sample(seed=3, n_frames=1, shape=(128, 128), snr=4.0)[0]
    proposal = propose(pair.frame)
    assert len(proposal.lattices) == 1
    atoms = proposal.tables().atoms
    truth = positions(pair.atoms)
    inside = truth[((truth > 2) & (truth < 125)).all(axis=1)]
    assert found_of(atoms, inside) > 0.95 * len(inside)
    assert found_of(atoms, truth) > 0.98 * len(atoms)
    a, b = match(positions(atoms), truth, 2.0)
    is_ti = pair.atoms["element"].to_numpy()[b] == "Ti"
    assert ((atoms["sublattice"].to_numpy()[a] == "B") == is_ti).mean() > 0.99


@pytest.mark.parametrize(("name", "at_least"), [("pto_sro", 0.97), ("srtio3_ser", 0.97)])
def test_real_lattices_are_covered(real_data, name, at_least):
    image, labels, polarity = LATTICES[name]
    frame = open_source(real_data / image).frame(0)
    truth = positions(read_atoms(real_data / labels))
    proposal = propose(frame, polarity=polarity)
    atoms = proposal.tables().atoms
    assert found_of(atoms, truth, 4.0) > at_least * len(truth)
    assert atoms["sublattice"].isin(["A", "B"]).all()
