"""The figures of the demonstration, drawn without a screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_apgan.atoms import positions
from napari_apgan.elements import Element
from napari_apgan.io import Pair
from napari_apgan.maps import rgb_map
from napari_apgan.measure import Score, match
from napari_apgan.predict.prediction import Prediction


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=130)
    return path


def _scale_bar(axes: Axes, shape: tuple[int, int], pixel_pm: float) -> None:
    """Draw a bar of 1 nm in the corner."""
    length = 1000 / pixel_pm
    y = shape[0] - 10
    axes.plot([10, 10 + length], [y, y], color="white", linewidth=3, solid_capstyle="butt")
    axes.text(10 + length / 2, y - 5, "1 nm", color="white", ha="center", va="bottom", fontsize=9)


def draw_frame(path: Path, pair: Pair, prediction: Prediction, elements: Sequence[Element]) -> Path:
    """Draw a frame, its probability map in the elements' colours, and the atoms found on it."""
    figure = Figure(figsize=(12, 4.3), layout="constrained")
    image, painted, found = figure.subplots(1, 3)
    low, high = np.percentile(pair.frame.data, [0.5, 99.5])
    shown = {e.name: e for e in elements}
    for axes, title in (
        (image, "Frame not seen in training"),
        (painted, "Probability map"),
        (found, "Atoms found (rings) and true (points)"),
    ):
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    for axes in (image, found):
        axes.imshow(pair.frame.data, cmap="gray", vmin=low, vmax=high)
    painted.imshow(rgb_map(prediction.maps, [shown[name] for name in prediction.elements]))
    for element in elements:
        atoms = prediction.atoms[prediction.atoms["element"] == element.name]
        true = pair.atoms[pair.atoms["element"] == element.name]
        x, y = positions(atoms).T
        found.scatter(x, y, s=34, facecolors="none", edgecolors=element.color, linewidths=0.9)
        x, y = positions(true).T
        found.scatter(x, y, s=2.5, color=element.color, label=f"{element.name} ({len(true)})")
    found.legend(loc="upper right", fontsize=8, framealpha=0.8)
    found.set_xlim(image.get_xlim())
    found.set_ylim(image.get_ylim())
    if pair.frame.calibration.mean_pm:
        _scale_bar(image, pair.frame.shape, pair.frame.calibration.mean_pm)
    return _save(figure, path)


def draw_errors(
    path: Path,
    frames: Sequence[tuple[Pair, pd.DataFrame, pd.DataFrame]],
    scores: tuple[Score, Score],
    tolerance_px: float,
) -> Path:
    """Draw how far found atoms lie from the true ones, after each of two trainings."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axes, round_number in zip(
        figure.subplots(1, 2, sharex=True, sharey=True), (0, 1), strict=True
    ):
        errors: dict[str, list[float]] = {}
        for pair, *tables in frames:
            atoms = tables[round_number]
            found, true = match(positions(atoms), positions(pair.atoms), tolerance_px)
            away = positions(atoms)[found] - positions(pair.atoms)[true]
            size = np.hypot(*pair.frame.calibration.to_pm(away).T)
            for name, value in zip(pair.atoms["element"].to_numpy()[true], size, strict=True):
                errors.setdefault(str(name), []).append(float(value))
        for name, values in sorted(errors.items()):
            axes.hist(values, bins=np.arange(0, 41, 2), histtype="step", label=name, linewidth=1.4)
        overall = scores[round_number].overall
        f1 = "–" if overall.f1 is None else f"{overall.f1.value:.3f}"
        axes.set_title(f"after training {round_number + 1}: F1 {f1}", fontsize=10)
        axes.set_xlabel("distance from the true position (pm)")
        axes.legend(fontsize=8)
    figure.axes[0].set_ylabel("atoms")
    return _save(figure, path)
