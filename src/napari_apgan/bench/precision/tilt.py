"""Where the columns of a tilted crystal are: the shift of a whole frame says nothing.

A mistilt moves the upper end of a column against its lower one. The mean of its atoms, half-way
down, is then not what a dark-field image shows: a channelling beam looks near the entrance, and the
whole image is shifted by some 7 pm for each mrad in 20 nm. No method can know that shift, and no
displacement or strain depends on it, so the truth is moved along. What remains, columns of one
element against those of another (about 1 pm a mrad), is an error that a tilt really makes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_apgan.simulate.ideal import Ideal, columns_in_frame
from napari_apgan.simulate.truth import visible

from .bumps import Tuning, refined_by_gaussians

#: Radius (pm) of the discs in which the strongest columns are fitted.
WINDOW_PM = 90.0


def with_shift(ideal: Ideal) -> Ideal:
    """Return the ideal image with its columns, sites and vacancies moved by the tilt's shift."""
    scene = ideal.scene
    if not any(scene.tilt_mrad):
        return ideal
    shift = frame_shift_px(ideal)
    columns = replace(
        scene.columns,
        xy_px=scene.columns.xy_px + shift,
        entrance_px=scene.columns.entrance_px + shift,
        site_px=scene.columns.site_px + shift,
    )
    return replace(
        ideal, scene=replace(scene, columns=columns, vacancy_px=scene.vacancy_px + shift)
    )


def frame_shift_px(ideal: Ideal) -> NDArray[np.float64]:
    """Return by how much the image shows its columns beside the mean of their atoms.

    It is the median over the strongest columns (heavier than the middle between the lightest and
    the heaviest that are seen), whose neighbours' tails matter least.

    Returns
    -------
    (2,) array
        x, y in px of the ideal image; 0 where no such column lies on the frame.
    """
    scene = ideal.scene
    columns = scene.columns
    inner = -WINDOW_PM / ideal.settings.pixel_size_pm
    on = columns_in_frame(scene, ideal.sampling, ideal.settings.shape, inner)
    on &= visible(columns, scene.pixel_size_pm, ideal.settings.imaging.mode)
    if not on.any():
        return np.zeros(2)
    weight = columns.weight[on]
    strong = weight >= 0.5 * (weight.min() + weight.max())
    xy = columns.xy_px[on][strong]
    radius = WINDOW_PM / scene.pixel_size_pm
    tuning = Tuning(1.0, 0.0, 1.0, window_px=radius, spacing_px=3.0 * radius)
    shift: NDArray[np.float64] = np.median(
        refined_by_gaussians(ideal.image, xy, tuning) - xy, axis=0
    )
    return shift
