"""A network's answer on its own pixels, and the way of its maps and atoms to the frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import with_calibration
from napari_apgan.frames import Frame
from napari_apgan.measure import refine as refine_atoms
from napari_apgan.measure.kernels import Kernel, Profile
from napari_apgan.models.card import ModelCard

from .prediction import Box
from .resample import maps_to_frame

#: Pixel sizes that differ by less than this part are one.
SAME_SCALE = 1e-3


@dataclass(frozen=True, slots=True)
class Answer:
    """Maps on the network's own pixels, and where these lie on the frame.

    `maps` begins at the pixel `origin` (x, y) of the resampled frame, of which `factors` (y, x)
    pixels make one of the frame; `box` is the part of the frame that was asked for.
    """

    maps: NDArray[np.float32]
    valid: NDArray[np.bool_]
    origin: tuple[int, int]
    factors: tuple[float, float]
    box: Box

    @property
    def resampled(self) -> bool:
        """Whether its pixels are not the frame's."""
        return self.factors != (1.0, 1.0)

    def on_frame(self) -> NDArray[np.float32]:
        """Return the maps on the frame's pixels."""
        if not self.resampled:
            return self.maps
        return maps_to_frame(self.maps, self.origin[::-1], self.box, self.factors)

    def to_frame(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Bring (N, 2) positions x, y on the maps to px of the frame."""
        moved: NDArray[np.float64] = (xy + np.array(self.origin) + 0.5) / self.factors[::-1] - 0.5
        return moved


def on_frame(atoms: pd.DataFrame, answer: Answer, shape: tuple[int, int]) -> pd.DataFrame:
    """Bring atoms from the maps to the frame; resampled maps reach a little beyond it."""
    atoms = atoms.copy()
    xy = answer.to_frame(atoms[["x_map_px", "y_map_px"]].to_numpy(np.float64))
    atoms[["x_map_px", "y_map_px"]] = xy
    atoms[["x_px", "y_px"]] = xy
    inside = ((xy >= -0.5) & (xy < np.array(shape[::-1]) - 0.5)).all(axis=1)
    return atoms.iloc[np.flatnonzero(inside)].reset_index(drop=True)


def refined(frame: Frame, atoms: pd.DataFrame, box: Box, card: ModelCard) -> pd.DataFrame:
    """Refine atoms on the part of the raw frame that was predicted."""
    x0, y0, x1, y1 = box
    part = Frame(
        frame.data[y0:y1, x0:x1],
        frame.valid[y0:y1, x0:x1],
        frame.calibration,
        frame.name,
        frame.index,
    )
    positions = ["x_px", "y_px", "x_map_px", "y_map_px"]
    offset = np.array([x0, y0, x0, y0], dtype=np.float64)
    moved = atoms.copy()
    moved[positions] -= offset
    polarity = {e.name: e.polarity for e in card.elements}
    prior = kernel_for(frame, card, set(moved["element"]))
    fitted = refine_atoms(part, moved, polarity=polarity, prior=prior)
    fitted[positions] += offset
    return fitted


def kernel_for(frame: Frame, card: ModelCard, elements: set[str]) -> Kernel | None:
    """Return the usual kernel of a model on a frame's pixels; None where it does not know all."""
    usual = card.kernel
    if usual is None or not elements <= set(usual.blur_px2):
        return None
    profile = Profile(usual.step_px, usual.reach_px)
    kernel = Kernel(profile, np.array(usual.weights), usual.blur_px2)
    size_pm = frame.calibration.mean_pm
    if size_pm is None or card.pixel_size_pm is None:
        return kernel
    scale = card.pixel_size_pm / size_pm
    if abs(scale - 1) < SAME_SCALE:
        return kernel
    return kernel.on(Profile(usual.step_px * scale, max(round(usual.reach_px * scale), 4)), scale)


def finish(atoms: pd.DataFrame, frame: Frame, wanted: Box | None) -> pd.DataFrame:
    """Keep the atoms of the box, number them, and give positions in pm."""
    if wanted is not None:
        xy = atoms[["x_map_px", "y_map_px"]].to_numpy(np.float64) + 0.5
        inside = ((xy >= wanted[:2]) & (xy < wanted[2:])).all(axis=1)
        atoms = atoms.iloc[np.flatnonzero(inside)].reset_index(drop=True)
    atoms = atoms.assign(frame=frame.index, id=np.arange(len(atoms)))
    return with_calibration(atoms, frame.calibration)
