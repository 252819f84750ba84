"""A registration as a file, so that labels can be carried over on another day."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_apgan.errors import UserError
from napari_apgan.io.tables import save_file

from .register import Registration


def save_registration(
    path: Path, registration: Registration, *, first: int = 0, noise: float = 0.0
) -> None:
    """Write a registration as ``.npz``, atomically.

    Parameters
    ----------
    path : Path
    registration : Registration
    first : int
        Number, in its source, of the first frame that was registered.
    noise : float
        Standard deviation of the noise of one frame, see :class:`~.series.Average`.

    Raises
    ------
    UserError
        When it cannot be written.
    """
    arrays: dict[str, Any] = {
        "shift_px": registration.shift_px,
        "correlation": registration.correlation,
        "matched": registration.matched,
        "sure": registration.sure,
        "reason": np.array(registration.reason, dtype=np.str_),
        "shape": np.array(registration.shape),
        "reference": np.array(registration.reference),
        "points": np.array(registration.points),
        "first": np.array(first),
        "noise": np.array(noise),
    }
    if registration.field_px is not None:
        arrays["field_px"] = registration.field_px
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    save_file(path, buffer.getvalue())


def load_registration(path: Path) -> tuple[Registration, int, float]:
    """Read what :func:`save_registration` wrote: the registration, `first` and `noise`.

    Raises
    ------
    UserError
        When the file is missing or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        rows, columns = (int(n) for n in held["shape"])
        down, across = (int(n) for n in held["points"])
        return (
            Registration(
                held["shift_px"],
                held["correlation"],
                held["matched"],
                held["sure"],
                tuple(str(reason) for reason in held["reason"]),
                (rows, columns),
                int(held["reference"]),
                held.get("field_px"),
                (down, across),
            ),
            int(held["first"]),
            float(held["noise"]),
        )
    except FileNotFoundError:
        raise UserError(
            f"The registration {path.name} is missing: register the series again."
        ) from None
    except Exception as error:  # a file of others may raise anything
        raise UserError(
            f"{path.name} holds no registration ({error}): register the series again."
        ) from error


def frames_table(registration: Registration, first: int = 0) -> pd.DataFrame:
    """Return a row for each frame: `frame`, `dx_px`, `dy_px`, `correlation`, `used`, `reason`."""
    return pd.DataFrame(
        {
            "frame": first + np.arange(len(registration)),
            "dx_px": registration.shift_px[:, 0].round(3),
            "dy_px": registration.shift_px[:, 1].round(3),
            "correlation": registration.correlation.round(3),
            "used": registration.matched,
            "reason": list(registration.reason),
        }
    )


def registration_sentence(registration: Registration) -> str:
    """Say how a registration went."""
    number, used = len(registration), int(registration.matched.sum())
    drift = np.hypot(*np.ptp(registration.shift_px[registration.matched], axis=0))
    parts = [f"{used} of {number} frames lie on each other; they drift by {drift:.1f} px."]
    if used < number:
        parts.append(f"{number - used} could not be placed and are left out.")
    unsure = int((registration.matched & ~registration.sure).sum())
    if unsure:
        parts.append(
            f"In {unsure} the lattice repeats, so they are taken as nearest to their neighbours."
        )
    return " ".join(parts)
