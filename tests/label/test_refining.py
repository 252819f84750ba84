"""Labels are refined together; failures stay, say why and are counted."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import concat, make_atoms, positions
from napari_apgan.frames import Frame
from napari_apgan.label.refining import CHANGED, refine_labels
from napari_apgan.simulate import make_sample


@pytest.fixture(scope="module")
def labelled():
    """A frame with labels half a pixel off, one of them on nothing and one beyond the edge."""
    pair = make_sample(seed=6, n_frames=1, shape=(96, 96), snr=12.0)[0]
    rng = np.random.default_rng(0)
    shape = pair.frame.shape
    inner = ((positions(pair.atoms) > 4) & (positions(pair.atoms) < shape[0] - 5)).all(axis=1)
    truth = pair.atoms[inner].reset_index(drop=True)
    labels = truth.copy()
    labels[["x_px", "y_px"]] += rng.normal(0, 0.4, (len(labels), 2))
    labels["flag"] = ""
    edge = make_atoms([[60.0, -0.4]], str(truth["element"].iloc[0]))
    return pair.frame, truth, concat([labels, edge]).assign(id=np.arange(len(labels) + 1) + 10)


def test_labels_are_fitted_and_what_failed_is_counted(labelled):
    frame, truth, labels = labelled
    done = refine_labels(frame, labels)
    assert len(done.table) == len(labels)
    good = (done.table["flag"] == "").to_numpy()
    assert sum(done.failed.values()) == (~good).sum() >= 1
    assert "could not be fitted: " in done.sentence
    assert f"{good.sum()} of {len(labels)} atoms fitted" in done.sentence
    off = positions(done.table)[: len(truth)] - positions(truth)
    before = positions(labels)[: len(truth)] - positions(truth)
    strong = good[: len(truth)] & (truth["element"] != "Ti").to_numpy()
    assert np.abs(off[strong]).mean() < 0.3 * np.abs(before).mean()
    np.testing.assert_array_equal(positions(done.table)[~good], positions(labels)[~good])
    assert np.isfinite(done.table.loc[good, ["sigma_x_pm", "sigma_y_pm"]]).all(axis=None)


def test_a_selection_is_fitted_with_the_help_of_all(labelled):
    frame, _, labels = labelled
    wanted = labels["id"].tolist()[5:9]
    some, every = refine_labels(frame, labels, ids=wanted), refine_labels(frame, labels)
    assert some.table["id"].tolist() == wanted
    same = every.table[every.table["id"].isin(wanted)].reset_index(drop=True)
    np.testing.assert_array_equal(some.table[list(CHANGED)[:2]], same[list(CHANGED)[:2]])


def test_a_label_is_fitted_from_where_it_stands_and_loses_an_old_reason(labelled):
    frame, _, labels = labelled
    stale = labels.assign(x_map_px=3.0, y_map_px=3.0, flag="fit: no solution")
    done, fresh = refine_labels(frame, stale), refine_labels(frame, labels)
    np.testing.assert_array_equal(positions(done.table), positions(fresh.table))
    assert done.table["flag"].tolist() == fresh.table["flag"].tolist()


def test_dark_atoms_are_fitted_by_their_contrast(labelled):
    frame, _, labels = labelled
    turned = Frame(-frame.data, frame.valid, frame.calibration)
    dark = dict.fromkeys(labels["element"].unique(), "dark")
    done, bright = refine_labels(turned, labels, polarity=dark), refine_labels(frame, labels)
    np.testing.assert_allclose(positions(done.table), positions(bright.table), atol=0.05)


def test_a_gaussian_each_is_another_fit(labelled):
    frame, _, labels = labelled
    each, together = refine_labels(frame, labels, shape="gaussian"), refine_labels(frame, labels)
    assert not np.array_equal(positions(each.table), positions(together.table))
    apart = np.hypot(*(positions(each.table) - positions(together.table)).T)
    assert np.median(apart) < 0.3
