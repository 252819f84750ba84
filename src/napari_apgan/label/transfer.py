"""Labels of a series' mean, carried to each of its frames where the frame shows the atom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from napari_apgan.atoms import positions
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Progress
from napari_apgan.serving import Cancelled

from .evidence import Seen, fit_heights, fit_width, in_the_frame, look
from .register import Registration
from .series import Average, check_fits
from .spacing import estimate_scale, flattened
from .verdict import InFrame, Transfer, TransferSettings, judge

Floats = NDArray[np.float64]


def transfer(
    frames: Sequence[Frame],
    registration: Registration,
    mean: Average,
    atoms: pd.DataFrame,
    *,
    polarity: Polarity = "bright",
    settings: TransferSettings | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Transfer:
    """Carry the labels of a mean to the frames it was made of.

    In each frame all atoms are fitted together against the mean. An atom is there when its height
    is more likely drawn from its usual height than from zero, given the noise and the part of atoms
    that is expected to be gone. The usual height is that of the frames which show the atom, since
    the mean of an atom that comes and goes is too low.

    Parameters
    ----------
    frames : sequence of Frame
    registration : Registration
    mean : Average
        From :func:`~.series.average` of the same frames.
    atoms : DataFrame
        Labels of the mean, on its peaks: by how much a label lies beside the peak, it does in
        every frame.
    polarity : {"bright", "dark"}
    settings : TransferSettings, optional
    progress, cancelled : callable, optional

    Returns
    -------
    Transfer

    Raises
    ------
    UserError
        When there are no labels, or the registration belongs to another series.
    Cancelled
        When `cancelled` says so.
    """
    check_fits(frames, registration)
    if not len(atoms):
        raise UserError("The mean has no labels to carry over: label it first.")
    chosen = settings or TransferSettings()
    xy = positions(atoms)
    nearest = _nearest(xy, mean.frame)
    scale = estimate_scale(mean.frame)
    width = float(np.clip(scale.width_px, 0.7, 0.3 * float(np.median(nearest))))
    sign = 1.0 if polarity == "bright" else -1.0
    flat = flattened(mean.frame, max(2.0 * float(np.median(nearest)), 4 * width))
    width = fit_width(flat, mean.frame.valid, xy, width)
    heights = fit_heights(flat, mean.frame.valid, xy, width)
    usual = float(np.median(np.abs(heights)))
    heights = sign * np.maximum(sign * heights, 0.1 * usual)
    limit = chosen.farthest * nearest
    seen: list[InFrame] = []
    for t in range(len(frames)):
        if cancelled is not None and cancelled():
            raise Cancelled
        if progress is not None:
            progress(t, len(frames), "Looking for the labels in each frame")
        frame = frames[t]
        one = None
        beside: dict[int, tuple[float, float, float]] = {}
        if registration.matched[t]:
            one = _look(frame, registration, t, mean, xy, heights, width)
            beside = _beside(one, limit, sign * heights, width, sign)
            one = replace(one, residual=np.empty((0, 0)))  # large, and of no more use
        seen.append(InFrame(frame.index, frame.calibration, one, beside))
    if progress is not None:
        progress(len(frames), len(frames), "")
    return judge(registration, atoms, seen, sign * heights, limit, width, sign, chosen)


def _nearest(xy: Floats, frame: Frame) -> Floats:
    """Return each label's distance to the next one, or what the image suggests for a lone one."""
    if len(xy) > 1:
        distance = np.asarray(cKDTree(xy).query(xy, k=2)[0], dtype=np.float64)
        return np.maximum(distance[:, 1], 2.0)
    scale = estimate_scale(frame)
    return np.array([scale.spacing_px or 6 * scale.width_px])


def _look(
    frame: Frame,
    registration: Registration,
    number: int,
    mean: Average,
    xy: Floats,
    heights: Floats,
    width: float,
) -> Seen:
    """Fit one frame, the mean brought to its brightness and contrast first."""
    expected = in_the_frame(
        mean.frame, lambda there: registration.in_mean(there, number), frame.shape
    )
    both = frame.valid & np.isfinite(expected)
    if int(both.sum()) < 16:
        both = np.zeros(frame.shape, bool)
        gain, offset, noise = 1.0, 0.0, max(mean.noise, 1e-12)
    else:
        model, image = expected[both], frame.data[both].astype(np.float64)
        spread = float(model.var())
        gain = float(np.mean((model - model.mean()) * (image - image.mean()))) / max(spread, 1e-30)
        gain = gain if gain > 0 else 1.0
        offset = float(image.mean() - gain * model.mean())
        off = image - gain * model - offset
        noise = max(1.4826 * float(np.median(np.abs(off - np.median(off)))), 1e-12)
    part = Frame(frame.data / np.float32(gain), both)
    return look(
        part,
        expected + offset / gain,
        registration.moved(xy, number),
        heights,
        width,
        noise / gain,
    )


def _beside(
    one: Seen, limit: Floats, heights: Floats, width: float, sign: float
) -> dict[int, tuple[float, float, float]]:
    """Find the highest peak, in what the atoms do not explain, beside those that seem low."""
    low = np.flatnonzero(sign * one.amplitude < heights)
    smooth = sign * gaussian_filter(one.residual, width)
    expected = one.xy_px - one.moved_px
    reaches = np.broadcast_to(2 * limit, len(expected))
    found: dict[int, tuple[float, float, float]] = {}
    rows, columns = smooth.shape
    for i in low.tolist():
        reach = float(reaches[i])
        x, y = expected[i]
        x0, x1 = max(int(x - reach), 0), min(int(x + reach) + 2, columns)
        y0, y1 = max(int(y - reach), 0), min(int(y + reach) + 2, rows)
        if x1 - x0 < 2 or y1 - y0 < 2:
            continue
        yy, xx = np.ogrid[y0:y1, x0:x1]
        near = (xx - x) ** 2 + (yy - y) ** 2 <= reach**2
        part = np.where(near, smooth[y0:y1, x0:x1], -np.inf)
        row, column = np.unravel_index(int(part.argmax()), part.shape)
        # A peak smoothed by its own width is half as high.
        found[i] = (float(x0 + column), float(y0 + row), 2 * float(part[row, column]))
    return found
