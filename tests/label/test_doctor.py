"""The doctor finds what is wrong with labels, leaves right ones alone, and puts it right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from napari_apgan.atoms import concat, make_atoms, next_id, positions
from napari_apgan.frames import Calibration, Frame, make_frame
from napari_apgan.label.doctor import (
    DoctorSettings,
    Report,
    apply_fix,
    diagnose,
    examine,
    measure_labels,
)
from napari_apgan.label.doctor_radii import bond_length_pm, limits_px
from napari_apgan.regions import Region
from napari_apgan.simulate import simulate_pair
from napari_apgan.simulate.examples import EXAMPLES

A = 16.0


def perovskite(
    *, seed: int = 0, noise: float = 0.12, light: float = 0.45
) -> tuple[Frame, pd.DataFrame]:
    """Sr on the corners and Ti in the middle of square cells, 160 px wide, with noise."""
    rng = np.random.default_rng(seed)
    gx, gy = (v.ravel() for v in np.meshgrid(np.arange(8, 156, A), np.arange(8, 156, A)))
    sr = np.column_stack([gx, gy]) + 0.4
    ti = sr[(gx < 148) & (gy < 148)] + A / 2
    xy = np.concatenate([sr, ti]) + rng.normal(0, 0.15, (len(sr) + len(ti), 2))
    kinds = ["Sr"] * len(sr) + ["Ti"] * len(ti)
    yy, xx = np.mgrid[:160, :160]
    image = rng.normal(2, noise, (160, 160))
    for (x, y), kind in zip(xy, kinds, strict=True):
        height = 1.0 if kind == "Sr" else light
        image += height * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 2.2**2))
    frame = make_frame(image, Calibration.from_pixel_size(24.4, origin="user"), missing="none")
    return frame, make_atoms(xy, kinds)


WHOLE = (Region.whole((160, 160)),)


def kinds_of(report: Report) -> set[str]:
    return {s.kind for s in report.suspects}


def inner(atoms: pd.DataFrame, kind: str) -> int:
    """Row of an atom of that element near the middle."""
    apart = np.hypot(*(positions(atoms) - 80).T) + 1e4 * (atoms["element"] != kind).to_numpy()
    return int(apart.argmin())


def n_suspect(report: Report) -> int:
    """Count the atoms that are suspects, each by itself."""
    return len({i for s in report.suspects if s.region_id is None for i in s.ids})


def test_right_labels_are_left_alone() -> None:
    frame, atoms = perovskite()
    report = examine(frame, atoms, WHOLE)
    assert report.suspects == ()
    assert report.sentence() == f"{len(atoms)} labels examined: nothing suspicious."


@pytest.mark.parametrize("snr", [8.0, 2.35])
@pytest.mark.parametrize("name", ["graphene", "pto-sto"])
def test_at_most_one_per_cent_of_simulated_atoms_are_suspect(name: str, snr: float) -> None:
    settings = EXAMPLES[name]
    settings = settings.model_copy(
        update={
            "degradation": settings.degradation.model_copy(update={"snr": snr}),
            "shape": (128, 128),
        }
    )
    pair = simulate_pair(settings, seed=21).pair
    report = examine(pair.frame, pair.atoms, pair.regions)
    assert n_suspect(report) <= max(1, 0.01 * len(pair.atoms))


def test_a_doubled_atom_is_found_and_deleted() -> None:
    frame, atoms = perovskite()
    k = inner(atoms, "Sr")
    double = make_atoms(positions(atoms)[k] + (1.5, 1.0), "Sr", id=next_id(atoms["id"]))
    (suspect,) = examine(frame, concat([atoms, double]), WHOLE).suspects
    assert suspect.kind == "too close"
    assert "px" in suspect.reason
    assert "pm" in suspect.reason
    fixed = apply_fix(suspect.fix, concat([atoms, double]), WHOLE)
    assert len(fixed.atoms) == len(atoms)
    assert examine(frame, fixed.atoms, WHOLE).suspects == ()


@pytest.mark.parametrize("part", [0.25, 0.4])
def test_an_atom_beside_its_peak_is_moved_onto_it(part: float) -> None:
    frame, atoms = perovskite()
    k = inner(atoms, "Ti")
    place = positions(atoms)[k]
    shifted = atoms.copy()
    shifted.loc[k, ["x_px", "y_px"]] = place + part * 11.3 * np.array([0.8, 0.6])
    suspects = [s for s in examine(frame, shifted, WHOLE).suspects if k in s.ids]
    assert suspects[0].fix.act == "move"
    fixed = apply_fix(suspects[0].fix, shifted).atoms
    assert np.hypot(*(positions(fixed)[k] - place)) < 1.0
    assert fixed.loc[k, "origin"] == "corrected"


def test_a_missed_atom_is_added_with_the_element_of_its_site() -> None:
    frame, atoms = perovskite()
    for kind in ("Sr", "Ti"):
        k = inner(atoms, kind)
        rest = atoms.drop(index=k).reset_index(drop=True)
        (suspect,) = examine(frame, rest, WHOLE).suspects
        assert suspect.kind == "missed"
        new = apply_fix(suspect.fix, rest).atoms.iloc[-1]
        assert new["element"] == kind
        assert np.hypot(new["x_px"] - atoms["x_px"][k], new["y_px"] - atoms["y_px"][k]) < 1.0


def test_a_filled_vacancy_is_found() -> None:
    frame, atoms = perovskite()
    k = inner(atoms, "Sr")
    x, y = positions(atoms)[k]
    yy, xx = np.mgrid[:160, :160]
    without = frame.data - np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 2.2**2))
    emptied = make_frame(without, frame.calibration, missing="none")
    (suspect,) = examine(emptied, atoms, WHOLE).suspects
    assert suspect.kind in ("nothing there", "wrong element")
    assert suspect.ids == (k,)
    right = atoms.drop(index=k)
    assert examine(emptied, right, WHOLE).suspects == ()  # and the empty site is no missed atom


def test_exchanged_elements_are_found_by_height_and_sublattice() -> None:
    frame, atoms = perovskite()
    for k, other in ((inner(atoms, "Sr"), "Ti"), (inner(atoms, "Ti"), "Sr")):
        wrong = atoms.copy()
        wrong.loc[k, "element"] = other
        (suspect,) = examine(frame, wrong, WHOLE).suspects
        assert suspect.kind == "wrong element"
        fixed = apply_fix(suspect.fix, wrong).atoms
        assert fixed.loc[k, "element"] == atoms.loc[k, "element"]


def test_an_atom_far_from_all_others_is_found() -> None:
    frame, atoms = perovskite()
    left = atoms[atoms["x_px"] < 80].reset_index(drop=True)
    far = make_atoms([(130.0, 70.0)], "Sr", id=next_id(left["id"]))
    found = examine(frame, concat([left, far])).suspects
    assert "no neighbour" in {s.kind for s in found if int(far["id"].iloc[0]) in s.ids}


def test_an_incomplete_region_is_completed_by_one_fix() -> None:
    frame, atoms = perovskite()
    gone = atoms["y_px"].between(60, 90) & atoms["x_px"].between(40, 110)
    rest = atoms[~gone].reset_index(drop=True)
    report = examine(frame, rest, WHOLE)
    (whole,) = [s for s in report.suspects if s.kind == "incomplete region"]
    fixed = apply_fix(whole.fix, rest).atoms
    apart = cKDTree(positions(fixed)).query(positions(atoms[gone]))[0]
    assert (apart < 1.0).mean() > 0.9


def test_labels_in_ignored_areas_are_named_and_contamination_hides_peaks() -> None:
    frame, atoms = perovskite()
    dirt = Region.rectangle(40, 40, 70, 70, id=3, kind="ignore")
    inside = dirt.contains(positions(atoms))
    report = examine(frame, atoms, (*WHOLE, dirt))
    assert {i for s in report.suspects if s.kind == "in ignored area" for i in s.ids} == set(
        atoms["id"][inside]
    )
    assert examine(frame, atoms[~inside], (*WHOLE, dirt)).suspects == ()


def test_labels_in_vacuum_are_named() -> None:
    frame, atoms = perovskite()
    vacuum = Region.rectangle(40, 40, 70, 70, id=3, kind="vacuum")
    report = examine(frame, atoms, (*WHOLE, vacuum))
    named = [s for s in report.suspects if s.kind == "in ignored area"]
    assert len(named) == vacuum.contains(positions(atoms)).sum() > 0
    assert "marked “vacuum”: delete it" in named[0].reason


def test_a_region_is_extended_to_labels_just_outside() -> None:
    frame, atoms = perovskite()
    region = Region.rectangle(3, 3, 100, 150, id=5)
    some = atoms[atoms["x_px"] < 108].reset_index(drop=True)
    (suspect,) = [s for s in examine(frame, some, [region]).suspects if s.kind == "outside region"]
    (grown,) = apply_fix(suspect.fix, some, [region]).regions
    assert grown.id == 5
    assert grown.contains(positions(some)).all()


def test_discs_that_touch_get_a_radius_that_fits() -> None:
    frame, atoms = perovskite()
    patient = measure_labels(frame, atoms)
    assert patient is not None
    assert "discs touch" not in kinds_of(diagnose(patient, WHOLE, radius_px=4.0))
    (suspect,) = diagnose(patient, WHOLE, radius_px={"Sr": 6.5, "Ti": 6.0}).suspects
    assert suspect.kind == "discs touch"
    fits = apply_fix(suspect.fix, atoms).radius_px
    assert diagnose(patient, WHOLE, radius_px=fits).suspects == ()


def test_light_atoms_that_drown_in_noise_are_an_area_to_leave_out() -> None:
    frame, atoms = perovskite(noise=0.05, light=0.3)
    rng = np.random.default_rng(4)
    data = frame.data.astype(np.float64)
    yy, xx = np.mgrid[:160, :160]
    thick = 1 / (1 + np.exp(-(xx - 95) / 6.0))
    ti = atoms[(atoms["element"] == "Ti") & (atoms["x_px"] > 95)]
    for x, y in positions(ti):  # thick: the light columns fade and the noise grows
        data -= 0.2 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 2.2**2))
    data += 6 * thick + rng.normal(0, 1, data.shape) * 0.45 * thick
    noisy = make_frame(data, frame.calibration, missing="none")
    (area,) = [s for s in examine(noisy, atoms, WHOLE).suspects if s.kind == "doubtful area"]
    assert "background" in area.reason
    assert "thin" in area.reason
    assert atoms.set_index("id").loc[list(area.ids), "x_px"].min() > 80
    regions = apply_fix(area.fix, atoms, WHOLE).regions
    assert [r.kind for r in regions] == ["complete", "ignore"]
    assert len({r.id for r in regions}) == 2


def test_a_suspect_that_was_left_stays_left() -> None:
    frame, atoms = perovskite()
    rest = atoms.drop(index=inner(atoms, "Sr")).reset_index(drop=True)
    (suspect,) = examine(frame, rest, WHOLE).suspects
    assert examine(frame, rest, WHOLE, ignored=[suspect.key]).suspects == ()


def test_sensitivity_changes_how_much_is_suspect() -> None:
    frame, atoms = perovskite(noise=0.4, seed=3)
    patient = measure_labels(frame, atoms)
    assert patient is not None
    counts = [
        len(
            diagnose(patient, WHOLE, radius_px=3.0, settings=DoctorSettings(sensitivity=s)).suspects
        )
        for s in (0.5, 1.0, 3.0)
    ]
    assert counts[0] <= counts[1] <= counts[2]
    assert counts[2] > counts[0]


def test_too_few_labels_and_cancelling_say_so() -> None:
    frame, atoms = perovskite()
    assert "3 labels" in examine(frame, atoms.iloc[:2]).note
    assert "cancelled" in examine(frame, atoms, cancelled=lambda: True).note


@pytest.mark.parametrize("n", [3, 5, 12])
def test_few_labels_are_no_error(n: int) -> None:
    frame, atoms = perovskite()
    examine(frame, atoms.iloc[:n], WHOLE)
    on_a_line = make_atoms(np.column_stack([np.arange(n) * 9.0, np.full(n, 20.0)]), "C")
    examine(frame, on_a_line)


def test_missing_pixels_are_no_suspects() -> None:
    frame, atoms = perovskite(noise=0.05)
    keep = np.random.default_rng(1).random(frame.shape) > 0.5
    sparse = Frame(np.where(keep, frame.data, 0).astype(np.float32), keep, frame.calibration)
    assert n_suspect(examine(sparse, atoms, WHOLE)) <= 2


def test_bonds_raise_the_limit_only_where_they_are_seen() -> None:
    assert bond_length_pm("C", "C") == 152
    assert bond_length_pm("C", "A") is None
    gx, gy = (v.ravel() for v in np.meshgrid(np.arange(0, 100, 10.0), np.arange(0, 100, 10.0)))
    xy, kinds = np.column_stack([gx, gy]), np.array(["C"] * 100, dtype=object)
    plain = limits_px(xy, kinds, ["C"], 10.0, None)["C", "C"]
    assert plain == pytest.approx(6.2)
    assert limits_px(xy, kinds, ["C"], 10.0, 15.2)["C", "C"] == pytest.approx(6.6)  # 10 px: a bond
    assert limits_px(xy, kinds, ["C"], 10.0, 7.6)["C", "C"] == plain  # columns in projection


def test_real_labels_are_mostly_unsuspected(real_data) -> None:
    from napari_apgan.io import open_source, read_atoms

    frame = open_source(real_data / "pto_sro/pto_sro_left.hspy").frame(0)
    atoms = read_atoms(real_data / "pto_sro/pto_sro_left.csv")
    report = examine(frame, atoms)
    assert n_suspect(report) < 0.03 * len(atoms)
