"""The task that carries the labels of a mean to the frames it was made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_apgan.elements import Polarity
from napari_apgan.io.reference import SourceRef
from napari_apgan.io.tables import save_file
from napari_apgan.regions import Region

from .carry_series import carry
from .process import Job
from .register_file import load_registration
from .series import Average, FramesOf
from .verdict import TransferSettings


class TransferOptions(BaseModel):
    """What the task is asked; the job's own image is the mean, its atoms are the labels.

    Parameters
    ----------
    series : SourceRef
        Where the frames are.
    registration : str
        Path of what the registration of the series left.
    regions : tuple of Region
        Of the mean.
    polarities : mapping
        Element -> whether its atoms are bright or dark.
    settings : TransferSettings
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    series: SourceRef
    registration: str
    regions: tuple[Region, ...] = ()
    polarities: dict[str, Polarity] = Field(default_factory=dict)
    settings: TransferSettings = Field(default_factory=TransferSettings)


def run(job: Job) -> None:
    """Carry labels over: ``atoms``, ``left_out``, ``frames`` (.csv); values: `regions`."""
    asked = job.checked(TransferOptions)
    registration, first, noise = load_registration(Path(asked.registration))
    mean = Average(job.frame(), np.ones(registration.shape, np.float32), noise)
    labels = job.atoms()
    series = job.server.open(asked.series)
    result = carry(
        FramesOf(series, first, first + len(registration)),
        registration,
        mean,
        labels,
        asked.regions,
        polarities=asked.polarities,
        settings=asked.settings,
        progress=job.progress,
        cancelled=job.cancelled,
    )
    job.give_table("atoms", result.transfer.atoms)
    for name, table in (("left_out", result.transfer.left_out), ("frames", result.frames())):
        path = job.out_dir / f"{name}.csv"
        save_file(path, table.to_csv(index=False))
        job.files[name] = str(path)
    regions = job.out_dir / "regions.json"
    save_file(regions, CarriedRegions(frames=result.regions).model_dump_json())
    job.files["regions"] = str(regions)
    job.sentence = result.sentence()


class CarriedRegions(BaseModel):
    """Regions of the frames, by number: a file, since a long series has many."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: dict[int, tuple[Region, ...]]
