"""What a section computes, as a command for the shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_apgan.errors import UserError

from .predict_files import reference_to

if TYPE_CHECKING:
    from napari_apgan.project import Session


def image_words(session: Session) -> list[str]:
    """Name the image of the session, its frame and its pixel size for a command."""
    try:
        reference = reference_to(session.ensure_project(), session.source_id)
    except UserError:
        return ["IMAGE"]
    words = [reference.path]
    if reference.dataset:
        words += ["--dataset", reference.dataset]
    if session.frame_index:
        words += ["--frame", str(session.frame_index)]
    calibration = session.calibration
    if calibration.known and calibration.origin == "user":
        words += ["--pixel-size", f"{calibration.y_pm:g},{calibration.x_pm:g}"]
    return words


def command_of(
    session: Session, options: Mapping[str, Any], presence: float, elements: Mapping[str, str]
) -> str:
    """Return `apgan label lattice` with what was asked for in the window."""
    words = ["apgan", "label", "lattice", *image_words(session), "-o", "atoms.csv"]
    words += ["--polarity", str(options.get("polarity", "bright"))]
    for x, y in options.get("picks") or ():
        words += ["--pick", f"{x:.2f},{y:.2f}"]
    if options.get("structure"):
        zone = ",".join(str(v) for v in options["zone"])
        words += ["--structure", str(options["structure"]), "--zone", zone]
    for polygon in options.get("areas") or ():
        words += ["--area", ",".join(f"{v:.1f}" for corner in polygon for v in corner)]
    if not options.get("grains", True):
        words.append("--one-grain")
    words += ["--presence", f"{presence:.2f}"]
    for name, element in elements.items():
        words += ["--element", f"{name}={element}"]
    return shlex.join(words)
