"""The tuned finders find what they are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apgan.bench.baselines import DogSearch, DogSettings, dog_peaks, dual
from napari_apgan.bench.counting import Counts, count
from napari_apgan.bench.graphene import LABELLED
from napari_apgan.bench.ptnc import registration
from napari_apgan.io import open_source, read_atoms


def spots(
    xy: NDArray[np.float64], shape: tuple[int, int], sigma: float = 2.0
) -> NDArray[np.float64]:
    """Draw Gaussian peaks of height 1."""
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    peaks = [np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * sigma**2)) for x, y in xy]
    out: NDArray[np.float64] = np.sum(peaks, axis=0)
    return out


def test_peaks_are_found_below_the_pixel() -> None:
    xy = np.array([[20.3, 15.7], [44.6, 40.2]])
    found, height = dog_peaks(spots(xy, (64, 64)), DogSettings(1.0, 4.0, 5.0))
    best = found[np.argsort(-height)[:2]]
    assert np.abs(best[np.argsort(best[:, 0])] - xy).max() < 0.1


def test_the_dual_of_ring_centres_is_the_honeycomb() -> None:
    a = 11.0
    rings = np.array(
        [[a * (i + 0.5 * (j % 2)), a * np.sqrt(3) / 2 * j] for i in range(6) for j in range(6)]
    )
    atoms = dual(rings, 1.2 * a)
    nearest = np.sort(np.linalg.norm(atoms[:, None] - atoms[None], axis=2), axis=1)[:, 1]
    assert np.allclose(nearest, a / np.sqrt(3))
    assert len(atoms) == 2 * 5 * 5
    assert len(dual(rings[:2], 20.0)) == 0


def test_tuning_finds_faint_peaks_on_a_strong_slope() -> None:
    rng = np.random.default_rng(1)
    xy = rng.uniform(10, 118, size=(20, 2))
    xy = xy[[np.all(np.hypot(*(xy[:k] - p).T) > 12) for k, p in enumerate(xy)]]
    ramp = np.linspace(0, 40, 128)[None, :]
    image = 100 + ramp + 10 * spots(xy, (128, 128)) + rng.normal(0, 1.5, (128, 128))
    tuned = DogSearch([image], lambda _k, found: count(found, xy, 3.0)).best([0])
    assert tuned.counts.f1 > 0.95
    assert count(tuned.find(image), xy, 3.0) == tuned.counts
    assert "DoG" in tuned.description


def test_repeated_exposures_are_registered() -> None:
    rng = np.random.default_rng(2)
    scene = 1000 + 200 * spots(rng.uniform(0, 200, (60, 2)), (200, 200), sigma=6.0)
    first = scene[30:158, 40:168] + rng.normal(0, 10, (128, 128))
    second = scene[21:149, 52:180] + rng.normal(0, 10, (128, 128))
    x, y, correlation = registration(first, second)
    # A thing at column 40 of the second lies at column 40 + 52 - 40 of the first.
    assert (x, y) == (12, -9)
    assert correlation > 0.8


def test_the_dual_of_the_published_image_agrees_with_its_labels(real_data: Path) -> None:
    image = open_source(real_data / "graphene_flower" / "graphene_flower.tif").frame(0).data
    labels = read_atoms(real_data / "graphene_flower" / "graphene_flower.csv")
    truth = labels[["x_px", "y_px"]].to_numpy()
    xy, _ = dog_peaks(image, DogSettings(1.0, 2.5, 4.0))
    counted = count(dual(xy, 16.0), truth, 2.0, (128.0, *LABELLED[1:]))
    assert isinstance(counted, Counts)
    assert counted.f1 > 0.99
