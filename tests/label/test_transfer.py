"""Labels of a mean reach the frames that show the atom, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from napari_apgan.atoms import empty_atoms, make_atoms, positions
from napari_apgan.bench.drifting import Drifting, drifting
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.io import open_source, read_atoms
from napari_apgan.label.register import register
from napari_apgan.label.series import FramesOf, average
from napari_apgan.label.snapping import snap
from napari_apgan.label.transfer import transfer
from napari_apgan.label.verdict import DOUBTFUL, Transfer, TransferSettings


def carried(series: Drifting, **settings: float | bool) -> tuple[Transfer, pd.DataFrame]:
    """Label the mean by snapping near every site, and carry the labels over."""
    found = register(series.frames)
    mean = average(series.frames, found)
    centres = [snap(mean.frame, x, y, radius_px=4) for x, y in series.sites]
    labels = make_atoms([(s.x, s.y) for s in centres], "Pt")
    return transfer(
        series.frames, found, mean, labels, settings=TransferSettings(**settings)
    ), labels


def tell(series: Drifting, result: Transfer) -> tuple[int, int, float]:
    """Count atoms kept that are gone, atoms lost that are there; third, the rms error in px."""
    kept, lost, errors = 0, 0, []
    for t in range(len(series.frames)):
        atoms = positions(result.atoms[result.atoms["frame"] == t])
        distance, site = cKDTree(series.places[t]).query(atoms)
        assert (distance < 4).all()
        kept += int((~series.there[t][site]).sum())
        lost += int(series.there[t].sum() - series.there[t][site].sum())
        errors.append(distance)
    return kept, lost, float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


@pytest.mark.parametrize(("snr", "vanishing"), [(2.35, 0.05), (0.3, 0.05), (1.0, 0.3)])
def test_atoms_that_are_gone_are_left_out_and_the_others_kept(snr: float, vanishing: float) -> None:
    series = drifting(21, snr=snr, vanishing=vanishing)
    result, labels = carried(series)
    gone = int((~series.there).sum())
    assert gone > 5
    kept, lost, error = tell(series, result)
    assert kept <= 0.05 * gone
    assert lost <= 0.01 * series.there.sum()
    assert error < 0.3
    assert len(result.atoms) + len(result.left_out) == len(labels) * len(series.frames)
    assert result.left_out["reason"].str.contains("vanished").sum() >= 0.95 * gone
    assert not result.snapped


def test_positions_are_each_frames_own_where_the_atoms_move() -> None:
    series = drifting(22, snr=2.0, vanishing=0.0, moving=0.7, n_frames=16)
    result, _ = carried(series)
    assert result.snapped
    assert result.moving_px == pytest.approx(0.7, abs=0.15)
    assert tell(series, result)[2] < 0.5 * 0.7 * np.sqrt(2)


def test_an_atom_that_hopped_is_left_out_and_where_it_went_is_said() -> None:
    series = drifting(23, snr=2.0, vanishing=0.0)
    frame, atom = 3, 4
    x, y = series.places[frame][atom]
    yy, xx = np.mgrid[: frame_size(series), : frame_size(series)]

    def peak(px: float, py: float) -> np.ndarray:
        return np.exp(-((xx - px) ** 2 + (yy - py) ** 2) / (2 * 2.2**2))

    data = series.frames[frame].data
    data += (peak(x + 4, y + 2) - peak(x, y)).astype(np.float32)
    result, _ = carried(series)
    lost = result.left_out[(result.left_out["frame"] == frame) & (result.left_out["row"] == atom)]
    assert len(lost) == 1
    assert "moved" in lost["reason"].iloc[0]
    assert np.hypot(lost["x_px"].iloc[0] - x - 4, lost["y_px"].iloc[0] - y - 2) < 1.6


def frame_size(series: Drifting) -> int:
    """Side of the frames in px."""
    return series.frames[0].shape[0]


def test_what_was_not_measured_or_lies_outside_is_said() -> None:
    series = drifting(24, snr=2.0, vanishing=0.0, kind="crystal", step=1.5)
    inside = (np.abs(series.sites - 48) < 46).all(axis=1)
    found = register(series.frames)
    mean = average(series.frames, found)
    labels = make_atoms(series.sites[inside], "Pt")
    middle = int(np.hypot(*(series.sites[inside] - 48).T).argmin())
    x, y = series.places[2][inside][middle].round().astype(int)
    series.frames[2].valid[max(y - 6, 0) : y + 7, max(x - 6, 0) : x + 7] = False
    result = transfer(series.frames, found, mean, labels)
    reasons = result.left_out.set_index(["frame", "row"])["reason"]
    assert reasons[2, middle].startswith("not measured")
    outside = (series.places[:, inside] < -1).any(axis=2) | (series.places[:, inside] > 96).any(
        axis=2
    )
    assert outside.any()
    assert all(reasons[t, i].startswith("outside") for t, i in np.argwhere(outside))


def test_frames_too_noisy_for_one_atom_keep_its_label_marked_or_drop_it_as_asked() -> None:
    series = drifting(25, snr=0.03, n_frames=16, vanishing=0.0)
    kept, _ = carried(series, keep_doubtful=True)
    marked = kept.atoms["flag"] == DOUBTFUL
    assert marked.any()
    dropped, _ = carried(series, keep_doubtful=False)
    assert (dropped.left_out["reason"] == DOUBTFUL).sum() == marked.sum()
    assert dropped.counts()[""] == len(dropped.atoms)


def test_dark_atoms_are_carried_over_as_bright_ones_are() -> None:
    series = drifting(27, snr=1.0)
    dark = [replace(f, data=-f.data) for f in series.frames]
    labels = make_atoms(series.sites, "C")

    def rows(frames: list[Frame], polarity: Polarity) -> list[tuple[int, int]]:
        found = register(frames)
        result = transfer(frames, found, average(frames, found), labels, polarity=polarity)
        return list(zip(result.left_out["frame"], result.left_out["row"], strict=True))

    assert rows(dark, "dark") == rows(series.frames, "bright")
    assert len(rows(dark, "dark")) == int((~series.there).sum())


def test_columns_of_a_particle_that_stray_by_pixels_are_followed(real_data: Path) -> None:
    source = open_source(real_data / "hmm_series/hmm_series.npz", dataset="b")
    truth = read_atoms(real_data / "hmm_series/hmm_series.csv")
    frames = FramesOf(source)
    found = register(frames)
    true = [positions(truth[truth["frame"] == t]) for t in range(len(frames))]
    fixed = true[found.reference]
    near = [place[cKDTree(place).query(fixed)[1]] for place in true]
    labels = make_atoms(np.mean(np.array(near) - found.shift_px[:, None], axis=0), "Pt")
    result = transfer(frames, found, average(frames, found), labels)
    assert np.hypot(*found.shift_px.T).max() < 0.3  # the particle stands still, its columns do not
    assert result.snapped
    assert len(result.atoms) >= 0.97 * len(truth)
    for t, place in enumerate(true):
        kept = positions(result.atoms[result.atoms["frame"] == t])
        distance = cKDTree(place).query(kept)[0]
        assert (distance < 2).all()
        assert np.median(distance) < 0.15


def test_a_mean_without_labels_is_refused() -> None:
    series = drifting(26, n_frames=3)
    found = register(series.frames)
    with pytest.raises(UserError, match="no labels"):
        transfer(series.frames, found, average(series.frames, found), empty_atoms())
