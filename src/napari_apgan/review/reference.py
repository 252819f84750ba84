"""What the training labels look like: the yardstick of a review, stored with the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.models.normalise import normalise
from napari_apgan.predict.resample import network_scale, resample_frame
from napari_apgan.regions import Region, learn_mask
from napari_apgan.settings import write_atomically

from .features import FEATURES, block_features, blocks
from .lattice import nearest_distance

Floats = NDArray[np.float64]

REFERENCE_FILE = "reference.json"
SCHEMA_VERSION = 1

#: Labels jitter: a pair may be this much closer than the closest labelled one.
CLOSE_SLACK = 0.85


class LabelledPair(Protocol):
    """What is needed of a training pair (:class:`napari_apgan.io.Pair` has it)."""

    @property
    def frame(self) -> Frame:
        """The image."""

    @property
    def atoms(self) -> pd.DataFrame:
        """Its labelled atoms."""

    @property
    def regions(self) -> Sequence[Region]:
        """Where the labels are complete."""


class Brightness(BaseModel):
    """How bright the atoms of one element are.

    Parameters
    ----------
    mean, std : float
        Of the normalised image smoothed over a fifth of the spacing, at the labelled atoms.
    n : int
        Labelled atoms.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    std: float
    n: int


class Reference(BaseModel):
    """What the training labels look like. All px are those of `pixel_size_pm`.

    Parameters
    ----------
    schema_version : int
    pixel_size_pm : float, optional
        Of the training pairs; None when they had none.
    elements : tuple of str
    n_pairs, n_atoms : int
    spacing_px : float
        Median distance of an atom to its nearest neighbour.
    isolated_px : float
        Beyond this distance to its nearest neighbour no training atom lay.
    closest_px : mapping
        ``"A|B"`` (sorted) to the smallest distance between labelled atoms of two elements, less
        15 %.
    radius_px : mapping
        Radius of each element's discs.
    density_per_px2 : float
        Labelled atoms per px² in the emptiest quarter of the training blocks.
    brightness : mapping
    feature_names : tuple of str
    feature_mean, feature_std : tuple of float
        Over the blocks of the training regions (:mod:`napari_apgan.review.features`).
    n_blocks : int
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    pixel_size_pm: float | None = None
    elements: tuple[str, ...] = ()
    n_pairs: int = 0
    n_atoms: int = 0
    spacing_px: float = Field(gt=0)
    isolated_px: float = Field(gt=0)
    closest_px: dict[str, float] = Field(default_factory=dict)
    radius_px: dict[str, float] = Field(default_factory=dict)
    density_per_px2: float = 0.0
    brightness: dict[str, Brightness] = Field(default_factory=dict)
    feature_names: tuple[str, ...] = FEATURES
    feature_mean: tuple[float, ...] = ()
    feature_std: tuple[float, ...] = ()
    n_blocks: int = 0

    def save(self, run_dir: str | Path) -> Path:
        """Write it as `reference.json` into a run folder and return the path."""
        path = Path(run_dir) / REFERENCE_FILE
        write_atomically(path, self.model_dump_json(indent=2))
        return path


def load_reference(run_dir: str | Path) -> Reference | None:
    """Read the reference of a run folder (or of a model file's folder); None when it has none.

    Raises
    ------
    UserError
        When the file is damaged.
    """
    folder = Path(run_dir)
    path = (folder if folder.is_dir() else folder.parent) / REFERENCE_FILE
    if not path.is_file():
        return None
    try:
        reference = Reference.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(
            f"{path} cannot be read as the reference of a run: delete it, it is made again from "
            "the training pairs."
        ) from error
    return reference if reference.feature_names == FEATURES else None


def make_reference(
    pairs: Sequence[LabelledPair],
    *,
    pixel_size_pm: float | None = None,
    radius_px: Mapping[str, float] | None = None,
) -> Reference:
    """Describe the training labels and the images they lie on.

    Parameters
    ----------
    pairs : sequence of Pair
    pixel_size_pm : float, optional
        The model's; by default the median of the pairs'.
    radius_px : mapping, optional
        Radius of each element's discs at that pixel size; by default from the spacing.

    Raises
    ------
    UserError
        When the pairs hold fewer than two atoms.
    """
    if pixel_size_pm is None:
        sizes = [s for p in pairs if (s := p.frame.calibration.mean_pm) is not None]
        pixel_size_pm = float(np.median(sizes)) if sizes else None
    seen = [_look(pair, pixel_size_pm) for pair in pairs]
    n_atoms = sum(len(one.xy) for one in seen)
    nearest = np.concatenate([nearest_distance(one.xy) for one in seen]) if seen else np.empty(0)
    nearest = nearest[np.isfinite(nearest)]
    if not len(nearest):
        raise UserError("A review needs training pairs with at least two atoms in a frame.")
    spacing = float(np.median(nearest))
    features = [f for one in seen for f in one.features]
    table = np.array(features).reshape(-1, len(FEATURES))
    densities = [d for one in seen for d in one.densities]
    elements = tuple(dict.fromkeys(str(k) for one in seen for k in one.kinds))
    radius = dict(radius_px or {})
    if not radius:
        usual = float(np.clip(0.25 * spacing, 1.5, 12.0))
        radius = dict.fromkeys(elements, usual)
    return Reference(
        pixel_size_pm=pixel_size_pm,
        elements=elements,
        n_pairs=len(pairs),
        n_atoms=n_atoms,
        spacing_px=spacing,
        isolated_px=float(max(1.3 * np.quantile(nearest, 0.995), 1.8 * spacing)),
        closest_px=_closest(seen, spacing),
        radius_px=radius,
        density_per_px2=float(np.quantile(densities, 0.25)) if densities else 0.0,
        brightness=_brightness(seen, spacing),
        feature_mean=tuple(table.mean(axis=0).tolist()) if len(table) else (),
        feature_std=tuple(table.std(axis=0).tolist()) if len(table) else (),
        n_blocks=len(table),
    )


class _Look:
    """One pair at the reference's pixel size."""

    def __init__(self, frame: Frame, xy: Floats, kinds: NDArray[np.object_]) -> None:
        self.frame = frame
        self.image = normalise(frame)
        self.xy = xy
        self.kinds = kinds
        self.features: list[Floats] = []
        self.densities: list[float] = []


def _look(pair: LabelledPair, pixel_size_pm: float | None) -> _Look:
    scale, _ = network_scale(pair.frame.calibration, pixel_size_pm)
    frame = resample_frame(pair.frame, scale)
    mask = learn_mask(pair.regions, pair.frame.shape)
    if not mask.any():
        mask[:] = True
    xy = positions(pair.atoms)
    column, row = np.rint(xy).astype(int).T if len(xy) else (np.empty(0, int), np.empty(0, int))
    on = (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0])
    on[on] = mask[row[on], column[on]]
    factors = np.array([frame.shape[1] / pair.frame.shape[1], frame.shape[0] / pair.frame.shape[0]])
    kinds = pair.atoms["element"].to_numpy(object)[on]
    one = _Look(frame, (xy[on] + 0.5) * factors - 0.5, kinds)
    learnt = resample_mask(mask, frame.shape)
    for rows, cols in blocks(frame.shape):
        area = learnt[rows, cols]
        if area.mean() < 0.3:
            continue
        features = block_features(one.image[rows, cols], frame.valid[rows, cols] & area)
        if features is not None:
            one.features.append(features)
        inside = _inside(one.xy, rows, cols)
        one.densities.append(float(inside.sum() / area.sum()))
    return one


def resample_mask(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Bring a mask to another shape (rows, columns) by the nearest pixel."""
    rows = ((np.arange(shape[0]) + 0.5) * mask.shape[0] / shape[0]).astype(int)
    cols = ((np.arange(shape[1]) + 0.5) * mask.shape[1] / shape[1]).astype(int)
    return mask[np.ix_(rows, cols)]


def _inside(xy: Floats, rows: slice, cols: slice) -> NDArray[np.bool_]:
    x, y = xy[:, 0] + 0.5, xy[:, 1] + 0.5
    inside: NDArray[np.bool_] = (
        (x >= cols.start) & (x < cols.stop) & (y >= rows.start) & (y < rows.stop)
    )
    return inside


def _closest(seen: Sequence[_Look], spacing: float) -> dict[str, float]:
    """Smallest labelled distance of each two elements that ever were neighbours."""
    found: dict[str, list[Floats]] = {}
    for one in seen:
        if len(one.xy) < 2:
            continue
        pairs = cKDTree(one.xy).query_pairs(3.0 * spacing, output_type="ndarray")
        apart = np.hypot(*(one.xy[pairs[:, 0]] - one.xy[pairs[:, 1]]).T)
        names = np.array(["|".join(sorted(map(str, pair))) for pair in one.kinds[pairs]])
        for name in np.unique(names):
            found.setdefault(str(name), []).append(apart[names == name])
    closest: dict[str, float] = {}
    for name, parts in found.items():
        apart = np.sort(np.concatenate(parts))
        # With many labels one doubled click must not excuse every doubled atom after it.
        low = float(apart[min(len(apart) // 200, len(apart) - 1)])
        closest[name] = CLOSE_SLACK * low
    return closest


def brightness_at(
    image: NDArray[np.floating], valid: NDArray[np.bool_], xy: Floats, spacing_px: float
) -> Floats:
    """Read how bright a normalised image, smoothed over a fifth of the spacing, is at positions.

    Parameters
    ----------
    image, valid : (Y, X) arrays
    xy : (N, 2) array
        x, y in px.
    spacing_px : float

    Returns
    -------
    (N,) array
        NaN where nothing is measured.
    """
    sigma = max(0.2 * spacing_px, 0.7)
    weight = gaussian_filter(valid.astype(np.float64), sigma)
    total = gaussian_filter(np.where(valid, image, 0.0).astype(np.float64), sigma)
    column = np.clip(np.rint(xy[:, 0]).astype(int), 0, image.shape[1] - 1)
    row = np.clip(np.rint(xy[:, 1]).astype(int), 0, image.shape[0] - 1)
    w = weight[row, column]
    read: Floats = np.where(w > 0.05, total[row, column] / np.maximum(w, 0.05), np.nan)
    return read


def _brightness(seen: Sequence[_Look], spacing: float) -> dict[str, Brightness]:
    values: dict[str, list[Floats]] = {}
    for one in seen:
        read = brightness_at(one.image, one.frame.valid, one.xy, spacing)
        for name in np.unique(one.kinds.astype(str)):
            values.setdefault(str(name), []).append(read[one.kinds == name])
    out: dict[str, Brightness] = {}
    for name, parts in values.items():
        joined = np.concatenate(parts)
        joined = joined[np.isfinite(joined)]
        if len(joined) >= 10:
            low, middle, high = np.percentile(joined, [16, 50, 84])
            std = max(float(high - low) / 2, 0.05)
            out[name] = Brightness(mean=float(middle), std=std, n=len(joined))
    return out
