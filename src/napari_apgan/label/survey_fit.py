"""Whether the frames of a folder fit a model or a labelled image, by lattice and contrast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.models.card import ModelCard
from napari_apgan.predict.resample import LARGEST_RATIO
from napari_apgan.simulate.match.lattice import Peaks, scale_between

from .survey_image import Shown, show, symmetry

Contrast = Literal["bright", "dark", "mixed"]

#: Two lattices are of one material when this part of their peaks agrees.
SAME_LATTICE = 0.45
#: What the same symmetry and spacing are worth.
SAME_CELL = 0.6
#: And their pixel sizes are right when the factor between them is within this.
SCALE_TOLERANCE = 0.06
#: Stored pixel sizes are off by up to this (as a logarithm).
FALSE_SCALE = 0.2
#: Skewness that says clearly which way the contrast is.
CLEAR_SKEWNESS = 0.25


@dataclass(frozen=True, slots=True)
class SurveyReference:
    """What the files are compared with: a model, a labelled image, or both.

    Parameters
    ----------
    name : str
    pixel_size_pm : float, optional
        That the model was trained at.
    contrast : {"bright", "dark", "mixed"}, optional
        None where it is not known.
    peaks : Peaks, optional
        Frequencies of its lattice in cycles per **pm**.
    lattice : str
        Its symmetry, as of a row.
    spacing_pm : float, optional
        Its largest lattice spacing.
    by_contrast : bool
        The model finds atoms of any material, as the bundled one does.
    """

    name: str
    pixel_size_pm: float | None = None
    contrast: Contrast | None = None
    peaks: Peaks | None = None
    lattice: str = ""
    spacing_pm: float | None = None
    by_contrast: bool = False


def lattice_of(frame: Frame, shown: Shown) -> tuple[str, float | None, float | None]:
    """Return the lattice's name and its largest spacing in px and pm."""
    if shown.basis is None:
        return "", None, None
    longest_px = 1 / float(np.linalg.norm(shown.basis, axis=1).min())
    matrix = frame.calibration.matrix_pm
    if matrix is None:
        return symmetry(shown.basis), longest_px, None
    # Frequencies per px become frequencies per pm by the inverse of the matrix of pixels.
    per_pm = shown.basis @ np.linalg.inv(np.asarray(matrix))
    return symmetry(per_pm), longest_px, 1 / float(np.linalg.norm(per_pm, axis=1).min())


def _peaks_per_pm(frame: Frame, shown: Shown) -> Peaks | None:
    matrix = frame.calibration.matrix_pm
    if matrix is None or len(shown.peaks) < 2:
        return None
    per_pm = shown.peaks[:, :2] @ np.linalg.inv(np.asarray(matrix))
    return Peaks(np.hypot(per_pm[:, 0], per_pm[:, 1]), shown.peaks[:, 2])


def compare(
    frame: Frame, shown: Shown, reference: SurveyReference | None
) -> tuple[float | None, float | None]:
    """Return how much of two lattices agrees, and this one's spacing over the reference's."""
    mine = _peaks_per_pm(frame, shown)
    if reference is None or reference.peaks is None or mine is None:
        return None, None
    found = scale_between(mine, reference.peaks)
    share, scale = (0.0, None) if found is None else (found[1], 1 / found[0])
    name, _, spacing = lattice_of(frame, shown)
    if name and name == reference.lattice and spacing and reference.spacing_pm:
        # The same cell with other peaks strong, as another detector or thickness shows it.
        # Which of the two it is, a false pixel size or another material, only the user knows.
        ratio = spacing / reference.spacing_pm
        if abs(math.log(ratio)) < FALSE_SCALE and share < SAME_CELL:
            return SAME_CELL, ratio
    return share, scale


def judge(
    frame: Frame,
    shown: Shown,
    reference: SurveyReference | None,
    material: float | None,
    scale: float | None,
) -> tuple[bool | None, str]:
    """Say whether the reference's model can be applied to a frame, and why not."""
    if reference is None:
        return None, ""
    if shown.blank:
        return False, f"Blank: {shown.blank}."
    size = frame.calibration.mean_pm
    if size is None and reference.pixel_size_pm is not None:
        return False, "Its pixel size is not known: give it, or the field of view."
    if size is not None and reference.pixel_size_pm is not None:
        ratio = size / reference.pixel_size_pm
        if max(ratio, 1 / ratio) > LARGEST_RATIO:
            return False, (
                f"A pixel is {size:.3g} pm, and {reference.name} knows "
                f"{reference.pixel_size_pm:.3g} pm: too far apart."
            )
    if _inverted(shown, reference):
        return False, f"Its contrast is the opposite of what {reference.name} knows."
    return _judge_material(shown, reference, material, scale)


def _inverted(shown: Shown, reference: SurveyReference) -> bool:
    if reference.contrast not in ("bright", "dark") or abs(shown.skewness) < CLEAR_SKEWNESS:
        return False
    return (shown.skewness > 0) != (reference.contrast == "bright")


def _judge_material(
    shown: Shown, reference: SurveyReference, material: float | None, scale: float | None
) -> tuple[bool, str]:
    if reference.peaks is None or reference.by_contrast:
        return True, "" if shown.basis is not None else "No lattice is seen: single atoms, or none."
    if material is None or len(shown.peaks) < 2:
        return False, f"No lattice is seen on it, and {reference.name} has one."
    if material < SAME_LATTICE:
        return False, f"Looks like another material: {material:.0%} of its lattice agrees."
    if scale is not None and abs(math.log(scale)) > SCALE_TOLERANCE:
        return False, (
            f"Its lattice is {scale:.2f} times that of {reference.name}: another material, or a "
            "false pixel size."
        )
    return True, ""


def reference_from_frame(frame: Frame, name: str) -> SurveyReference:
    """Make a reference of a labelled image.

    Raises
    ------
    UserError
        When its pixel size is not known, since lattices are compared in pm.
    """
    if not frame.calibration.known:
        raise UserError(f"The pixel size of {name} is not known: give it before comparing others.")
    shown = show(frame)
    contrast: Contrast | None = None
    if abs(shown.skewness) >= CLEAR_SKEWNESS:
        contrast = "bright" if shown.skewness > 0 else "dark"
    lattice, _, spacing = lattice_of(frame, shown)
    peaks = _peaks_per_pm(frame, shown)
    return SurveyReference(name, frame.calibration.mean_pm, contrast, peaks, lattice, spacing)


def reference_from_model(
    card: ModelCard, name: str, example: Frame | None = None
) -> SurveyReference:
    """Make a reference of a model; an image that it was trained on adds the lattice.

    Parameters
    ----------
    card : ModelCard
    name : str
    example : Frame, optional
        With a pixel size.
    """
    known = None if example is None else reference_from_frame(example, name)
    return SurveyReference(
        name,
        card.pixel_size_pm,
        card.contrast,
        None if known is None else known.peaks,
        "" if known is None else known.lattice,
        None if known is None else known.spacing_pm,
        card.by_contrast,
    )
