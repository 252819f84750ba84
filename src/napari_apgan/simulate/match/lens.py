"""The lens of an HRTEM frame: from labelled graphene, an amorphous region, or its sign alone."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, map_coordinates, median

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.simulate.imaging.settings import ImagingSettings
from napari_apgan.simulate.imaging.transfer import wavelength_pm
from napari_apgan.simulate.settings import SimulationSettings

from .harmonics import FEWEST_ATOMS, Floats, fit_honeycomb
from .hrtem_fit import fit_lens
from .thon import fit_thon

#: Half the side of a patch of graphene, in bond lengths.
PATCH_BONDS = 7.0
#: A corrected microscope at the focus that shows atoms bright or dark with the best contrast.
USUAL_C1_NM = 6.0
USUAL_C3_UM = -15.0
#: A spectrum whose strongest spot is less than so many times its ring's median holds no crystal:
#: in noise alone the largest of tens of thousands is 16 to 25 times that.
AMORPHOUS_BELOW = 35.0
#: Rings of the spectrum, a cycle per px wide over this.
RINGS = 100
SMALLEST_FILM_PX = 128


def match_lens(
    frame: Frame, atoms: pd.DataFrame | None, settings: SimulationSettings
) -> tuple[ImagingSettings, list[str]]:
    """Find what can be found of the lens, and say how.

    Parameters
    ----------
    frame : Frame
    atoms : DataFrame, optional
        Labelled atoms.
    settings : SimulationSettings
        What is known.

    Returns
    -------
    imaging : ImagingSettings
        With the aberrations found.
    sentences : list of str
    """
    imaging = settings.imaging
    lens = imaging.aberrations
    if not lens.c1_nm and not lens.c3_um:
        # In focus without aberrations a thin specimen has no contrast.
        lens = lens.model_copy(update={"c1_nm": USUAL_C1_NM, "c3_um": USUAL_C3_UM})
    xy = None if atoms is None or len(atoms) < FEWEST_ATOMS else positions(atoms)
    words: list[str] = []
    if xy is not None:
        bright = _atoms_are_bright(frame, xy)
        words.append(f"The labelled atoms are {'bright' if bright else 'dark'}.")
        # At Cs below 0, overfocus shows atoms bright and underfocus dark.
        lens = lens.model_copy(update={"c1_nm": abs(lens.c1_nm) * (1 if bright else -1)})
    imaging = imaging.model_copy(update={"aberrations": lens})
    if xy is not None and settings.structure.kind == "graphene":
        patch = best_patch(xy)
        if patch is None:
            words.append("No labelled patch of perfect graphene was found to read the lens from.")
            return imaging, words
        try:
            fit = fit_lens(frame, patch, imaging)
        except UserError as error:
            return imaging, [*words, str(error)]
        return imaging.model_copy(update={"aberrations": fit.aberrations}), [*words, fit.sentence]
    return _from_film(frame, imaging, words)


def _from_film(
    frame: Frame, imaging: ImagingSettings, words: list[str]
) -> tuple[ImagingSettings, list[str]]:
    """Read the Thon rings of the quadrant that looks amorphous, where there is one."""
    box = amorphous_box(frame)
    if box is None or not frame.calibration.known:
        return imaging, [*words, "The aberrations are usual ones, not measured on this frame."]
    lens = imaging.aberrations
    try:
        fit = fit_thon(
            frame, wavelength_pm=wavelength_pm(imaging.voltage_kv), c3_um=lens.c3_um, box=box
        )
    except UserError:
        return imaging, [*words, "The aberrations are usual ones: no Thon rings are visible."]
    found = lens.model_copy(update={"c1_nm": fit.c1_nm, "a1_nm": fit.a1_nm, "a1_deg": fit.a1_deg})
    return imaging.model_copy(update={"aberrations": found}), [*words, fit.sentence]


def _atoms_are_bright(frame: Frame, xy: Floats) -> bool:
    """Whether labelled atoms are brighter than the places half-way to their neighbours' mean."""
    smooth = gaussian_filter(np.where(frame.valid, frame.data, 0.0).astype(np.float64), 0.8)
    weight = gaussian_filter(frame.valid.astype(np.float64), 0.8)
    level = smooth / np.maximum(weight, 1e-6)
    at = map_coordinates(level, xy.T[::-1], order=1, mode="nearest")
    local = gaussian_filter(level, 6.0)
    around = map_coordinates(local, xy.T[::-1], order=1, mode="nearest")
    return bool(np.median(at - around) > 0)


def best_patch(xy: Floats) -> Floats | None:
    """Return the atoms of the square patch that fit one honeycomb best; None where none does.

    Parameters
    ----------
    xy : (N, 2) array
        Atoms in px.
    """
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(xy).query(xy, k=2)
    half = PATCH_BONDS * float(np.median(np.asarray(distance)[:, 1]))
    low, high = xy.min(axis=0) + half, xy.max(axis=0) - half
    spots = [
        np.linspace(a, b, 5) if b > a else [(a + b) / 2] for a, b in zip(low, high, strict=True)
    ]
    best: tuple[float, Floats] | None = None
    for x, y in itertools.product(*spots):
        inside = (np.abs(xy - [x, y]) <= half).all(axis=1)
        try:
            lattice = fit_honeycomb(xy[inside])
        except UserError:
            continue
        relative = lattice.rms_px / lattice.constant_px
        if best is None or relative < best[0]:
            best = relative, xy[inside]
    return None if best is None else best[1]


def amorphous_box(frame: Frame) -> tuple[int, int, int, int] | None:
    """Return the quadrant (x0, y0, x1, y1) whose spectrum shows no spots; None where none is."""
    rows, columns = frame.shape[0] // 2, frame.shape[1] // 2
    if min(rows, columns) < SMALLEST_FILM_PX:
        return None
    best: tuple[float, tuple[int, int, int, int]] | None = None
    for top, left in itertools.product((0, rows), (0, columns)):
        part = frame.data[top : top + rows, left : left + columns].astype(np.float64)
        spots = _spottiness(part)
        if spots < AMORPHOUS_BELOW and (best is None or spots < best[0]):
            best = spots, (left, top, left + columns, top + rows)
    return None if best is None else best[1]


def _spottiness(part: Floats) -> float:
    """Return the largest power over the median of its ring, far from the origin."""
    window = np.outer(np.hanning(part.shape[0]), np.hanning(part.shape[1]))
    power = np.abs(np.fft.fft2((part - part.mean()) * window)) ** 2
    k = np.hypot(np.fft.fftfreq(part.shape[0])[:, None], np.fft.fftfreq(part.shape[1])[None])
    used = (k > 0.04) & (k < 0.45)
    ring = (k * RINGS).astype(int)
    # The median of a ring knows nothing of the few spots on it.
    level = median(power, ring, np.arange(RINGS))
    return float((power / np.maximum(level[ring], 1e-300))[used].max())
