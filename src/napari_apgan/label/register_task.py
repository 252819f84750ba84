"""The task that registers a series and averages it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_apgan.io.tables import save_file

from .process import Job
from .register import RegisterSettings, Registration, register
from .register_file import frames_table, registration_sentence, save_registration
from .series import Average, FramesOf, average


class RegisterOptions(BaseModel):
    """What the task is asked.

    Parameters
    ----------
    first : int
    stop : int, optional
        Only frames from `first` to before `stop`.
    settings : RegisterSettings
        The fixed frame counts from `first`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: int = Field(default=0, ge=0)
    stop: int | None = None
    settings: RegisterSettings = Field(default_factory=RegisterSettings)


def run(job: Job) -> None:
    """Register the series: the image ``mean``, ``registration`` (.npz), ``frames`` (.csv)."""
    asked = job.checked(RegisterOptions)
    frames = FramesOf(job.source(), asked.first, asked.stop)
    registration = register(frames, asked.settings, progress=job.progress, cancelled=job.cancelled)
    mean = average(frames, registration, progress=job.progress, cancelled=job.cancelled)
    job.give_image("mean", mean_pixels(mean))
    path = job.out_dir / "registration.npz"
    save_registration(path, registration, first=asked.first, noise=mean.noise)
    job.files["registration"] = str(path)
    table = job.out_dir / "frames.csv"
    save_file(table, frames_table(registration, asked.first).to_csv(index=False))
    job.files["frames"] = str(table)
    job.values = {
        "frames": len(registration),
        "used": int(registration.matched.sum()),
        "noise": mean.noise,
    }
    job.sentence = said(registration)


def said(registration: Registration) -> str:
    """Say how it went."""
    bent = " Smooth distortions were followed." if registration.field_px is not None else ""
    return registration_sentence(registration) + bent


def mean_pixels(mean: Average) -> NDArray[np.float32]:
    """Return the (Y, X) float32 pixels of a mean, NaN where too few frames measured any."""
    return np.where(mean.frame.valid, mean.frame.data, np.float32(np.nan))
