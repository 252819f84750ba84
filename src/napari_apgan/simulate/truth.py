"""What is known about a simulated frame: its columns, their sites and the empty ones, as tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import make_atoms, with_calibration
from napari_apgan.elements import SYMBOLS
from napari_apgan.frames import Calibration

from .degradation import Distortion
from .ideal import Ideal, on_frame
from .imaging import Mode
from .scene import PURE_SHARE, Z_POWER, Columns
from .specimen import Floats, Strings

Bools = NDArray[np.bool_]

#: HAADF and ADF: a column is not labelled where its ΣZ^1.7 is below this part of that of the
#: strongest column within `NEAR_PM`: it drowns in the tails of its neighbours. Pure oxygen beside
#: Sr (7 %) or Pb (2 %) and nitrogen beside Ga (8 %) are left out; TiO beside Pb (13 %) and S2
#: beside Mo (38 %) are labelled.
FAINTEST = 0.1
#: The same for single atoms of the columns' elements: oxygen stays unseen beside Sr (7.1 %) also
#: where two of it share a column, as along [110]; S beside W (7.4 %) is seen.
FAINTEST_ATOM = 0.072
NEAR_PM = 300.0
#: Columns closer than this in projection (pm) say so in their flag: no microscope parts them.
CLOSE_PM = 70.0
#: Neighbours looked at.
NEIGHBOURS = 12


def visible(columns: Columns, pixel_size_pm: float, mode: Mode) -> Bools:
    """Tell which columns an image of a mode shows.

    HRTEM and ABF show light columns too. Dark-field detectors count about ΣZ^1.7, and columns much
    fainter than their neighbours (:data:`FAINTEST`) cannot be seen beside them.

    Parameters
    ----------
    columns : Columns
    pixel_size_pm : float
        Of the positions in `columns`.
    mode : {"hrtem", "haadf", "adf", "abf"}

    Returns
    -------
    (C,) bool array
    """
    if mode not in ("haadf", "adf") or len(columns) < 2:
        return np.ones(len(columns), dtype=np.bool_)
    near, _ = _neighbours(columns.xy_px, NEAR_PM / pixel_size_pm)
    atom = np.array([(SYMBOLS.index(e) + 1) ** Z_POWER for e in columns.element.tolist()])
    seen: Bools = np.ones(len(columns), dtype=np.bool_)
    for own, least in ((columns.weight, FAINTEST), (atom, FAINTEST_ATOM)):
        seen &= own >= least * np.append(own, 0.0)[near].max(axis=1)
    return seen


def _neighbours(xy_px: Floats, reach_px: float) -> tuple[NDArray[np.intp], Floats]:
    """Return numbers of and distances (px) to the nearest within reach, N and inf where none."""
    from scipy.spatial import cKDTree  # not while a window opens

    count = min(NEIGHBOURS, len(xy_px) - 1)
    distance, index = cKDTree(xy_px).query(
        xy_px, k=list(range(2, count + 2)), distance_upper_bound=reach_px
    )
    return np.asarray(index, dtype=np.intp), np.asarray(distance, dtype=np.float64)


def flags(columns: Columns, pixel_size_pm: float) -> NDArray[np.str_]:
    """Return what is doubtful about each column, empty where nothing is.

    ``mixed: Pb 55 %, Sr 45 %``: no species carries 80 % of ΣZ^1.7, so the element is not scored.
    ``close: 35 pm``: the next column is nearer than :data:`CLOSE_PM`.
    """
    words = [""] * len(columns)
    for k in np.flatnonzero(columns.share < PURE_SHARE).tolist():
        words[k] = "mixed: " + _shares(columns.composition[k])
    if len(columns) > 1:
        _, distance = _neighbours(columns.xy_px, CLOSE_PM / pixel_size_pm)
        nearest = distance[:, 0] * pixel_size_pm
        for k in np.flatnonzero(nearest < CLOSE_PM).tolist():
            words[k] = "; ".join(filter(None, [words[k], f"close: {nearest[k]:.0f} pm"]))
    return np.array(words, dtype=np.str_)


def _shares(composition: dict[str, int]) -> str:
    weight = {s: n * (SYMBOLS.index(s) + 1) ** Z_POWER for s, n in composition.items()}
    total = sum(weight.values())
    ranked = sorted(weight.items(), key=lambda item: -item[1])
    return ", ".join(f"{symbol} {100 * w / total:.0f} %" for symbol, w in ranked)


@dataclass(frozen=True, slots=True)
class Truth:
    """The columns that a recorded frame shows, and what it does not show.

    Parameters
    ----------
    xy_px, site_px : (N, 2) arrays
        Columns and their undisplaced sites on the frame, as recorded.
    columns : Columns
        The same ones; positions there are those of the scene.
    flag : (N,) str array
    vacancy_px : (V, 2) array
    vacancy_element : (V,) str array
    unseen : dict
        Number of columns on the frame that the image does not show, by element.
    """

    xy_px: Floats
    site_px: Floats
    columns: Columns
    flag: Strings
    vacancy_px: Floats
    vacancy_element: Strings
    unseen: dict[str, int]

    def atoms(self, calibration: Calibration) -> pd.DataFrame:
        """Return the atom table of the columns."""
        return self._table(self.xy_px, calibration)

    def undisplaced(self, calibration: Calibration) -> pd.DataFrame:
        """Return the table of their undisplaced sites, row by row."""
        return self._table(self.site_px, calibration)

    def vacancies(self, calibration: Calibration) -> pd.DataFrame:
        """Return the table of the empty sites, with what would stand there."""
        table = make_atoms(self.vacancy_px, self.vacancy_element.tolist(), origin="simulated")
        return with_calibration(table, calibration)

    def _table(self, xy_px: Floats, calibration: Calibration) -> pd.DataFrame:
        table = make_atoms(
            xy_px,
            self.columns.element.tolist(),
            origin="simulated",
            sublattice=self.columns.sublattice,
            grain=self.columns.grain,
            flag=self.flag,
        )
        return with_calibration(table, calibration)


def truth_of(ideal: Ideal, distortion: Distortion) -> Truth:
    """Return what is true of a recorded frame.

    Parameters
    ----------
    ideal : Ideal
    distortion : Distortion
        Moves all positions, as drift and shear moved the image.
    """
    scene, sampling, shape = ideal.scene, ideal.sampling, ideal.settings.shape
    # Neighbours beyond the edge count too, as far as they can matter.
    margin = sampling.margin_px + 2 * NEAR_PM / ideal.settings.pixel_size_pm
    near = on_frame(sampling.to_frame(scene.columns.xy_px), shape, margin)
    columns = take(scene.columns, near)
    xy = distortion.apply(sampling.to_frame(columns.xy_px))
    on = on_frame(xy, shape)
    seen = visible(columns, scene.pixel_size_pm, ideal.settings.imaging.mode)
    shown = np.flatnonzero(on & seen)
    names, counts = np.unique(columns.element[on & ~seen], return_counts=True)
    empty = distortion.apply(sampling.to_frame(scene.vacancy_px))
    empty_on = on_frame(empty, shape)
    return Truth(
        xy[shown],
        distortion.apply(sampling.to_frame(columns.site_px[shown])),
        take(columns, shown),
        flags(columns, scene.pixel_size_pm)[shown],
        empty[empty_on],
        scene.vacancy_element[empty_on],
        dict(zip(names.tolist(), counts.tolist(), strict=True)),
    )


def take(columns: Columns, which: Bools | NDArray[np.intp]) -> Columns:
    """Return some of the columns."""
    rows = np.flatnonzero(which) if which.dtype == np.bool_ else which
    return Columns(
        columns.xy_px[rows],
        columns.entrance_px[rows],
        columns.site_px[rows],
        columns.element[rows],
        columns.share[rows],
        columns.weight[rows],
        columns.n_atoms[rows],
        tuple(columns.composition[k] for k in rows.tolist()),
        columns.sublattice[rows],
        columns.grain[rows],
    )
