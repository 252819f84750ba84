"""The engine `fast` held against multislice: thin HRTEM, and HAADF of a thick interface."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from napari_apgan.errors import UserError
from napari_apgan.simulate.imaging import compare as hrtem
from napari_apgan.simulate.imaging import compare_haadf as haadf

from .simulation import machine_with_abtem
from .training import Machine

#: What is asked: correlation of the images; departure of intensity ratios from 1; pm.
LEAST_CORRELATION = 0.98
INTENSITY_WITHIN = 0.15
MEAN_SHIFT_PM = 0.5
RMS_SHIFT_PM = 2.0


class HrtemRow(BaseModel):
    """Graphene under one lens.

    Parameters
    ----------
    scene : str
    lens : str
    correlation : float
        Pearson's, of the images.
    gain : float
        Slope of the reference's contrast against the fast one's.
    mean_shift_pm : float
        Length of the mean shift of the atoms.
    rms_shift_pm : float
    """

    model_config = ConfigDict(frozen=True)

    scene: str
    lens: str
    correlation: float
    gain: float
    mean_shift_pm: float
    rms_shift_pm: float

    @property
    def holds(self) -> bool:
        """Whether the correlation is as asked."""
        return self.correlation >= LEAST_CORRELATION


class HaadfRow(BaseModel):
    """The columns of one element at one thickness and mistilt.

    Parameters
    ----------
    thickness_nm, tilt_mrad : float
    element : str
    intensity_ratio : float
        Of the columns, fast over multislice.
    mean_shift_pm : float
        Length of the mean difference of position.
    rms_shift_pm : float
    seen_pm : float
        How far along the lean multislice shows the columns from their entrance.
    """

    model_config = ConfigDict(frozen=True)

    thickness_nm: float
    tilt_mrad: float
    element: str
    intensity_ratio: float
    mean_shift_pm: float
    rms_shift_pm: float
    seen_pm: float

    def faults(self) -> list[str]:
        """Return what is not as asked, by how much."""
        found = []
        away = self.intensity_ratio - 1
        if abs(away) > INTENSITY_WITHIN:
            found.append(f"intensity {100 * away:+.0f} %")
        if self.mean_shift_pm > MEAN_SHIFT_PM:
            found.append(f"mean shift {self.mean_shift_pm:.2f} pm")
        if self.rms_shift_pm > RMS_SHIFT_PM:
            found.append(f"rms shift {self.rms_shift_pm:.2f} pm")
        return found


class EngineResult(BaseModel):
    """Both comparisons.

    Parameters
    ----------
    hrtem : tuple of HrtemRow
    haadf : tuple of HaadfRow
    passes : int
        Of the HAADF reference: configurations of frozen phonons for each probe position.
    machine : Machine
    """

    model_config = ConfigDict(frozen=True)

    hrtem: tuple[HrtemRow, ...]
    haadf: tuple[HaadfRow, ...]
    passes: int
    machine: Machine

    def report(self) -> str:
        """Return both tables in Markdown, and where they were measured."""
        return f"{self.hrtem_table()}\n\n{self.haadf_table()}\n\n{self.machine}."

    def hrtem_table(self) -> str:
        """Return the rows of HRTEM, with how many hold."""
        lines = [
            "| graphene, 80 kV | lens | correlation | contrast, abtem : fast | mean shift "
            "| rms shift |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {r.scene} | {r.lens} | {r.correlation:.5f} | {r.gain:.3f} "
            f"| {r.mean_shift_pm:.2f} pm | {r.rms_shift_pm:.2f} pm |"
            for r in self.hrtem
        ]
        held = sum(row.holds for row in self.hrtem)
        lines += ["", f"Correlation ≥ {LEAST_CORRELATION:g}: {held} of {len(self.hrtem)} hold."]
        return "\n".join(lines)

    def haadf_table(self) -> str:
        """Return the rows of HAADF, with how many hold."""
        lines = [
            "| thickness | mistilt | columns | intensity, fast : abtem | mean shift | rms shift "
            "| not as asked |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {r.thickness_nm:.1f} nm | {r.tilt_mrad:g} mrad | {r.element} "
            f"| {r.intensity_ratio:.3f} | {r.mean_shift_pm:.2f} pm "
            f"| {r.rms_shift_pm:.2f} pm | {', '.join(r.faults()) or '–'} |"
            for r in self.haadf
        ]
        held = sum(not row.faults() for row in self.haadf)
        lines += [
            "",
            f"Intensity within {100 * INTENSITY_WITHIN:.0f} %, mean shift ≤ {MEAN_SHIFT_PM:g} pm "
            f"and rms shift ≤ {RMS_SHIFT_PM:g} pm: {held} of {len(self.haadf)} rows hold; "
            f"reference of {self.passes} passes.",
        ]
        return "\n".join(lines)


def compare(*, side: int = 128, passes: int = 2, cells: Path | None = None) -> EngineResult:
    """Compare the engines; the HAADF reference takes minutes to hours.

    Parameters
    ----------
    side : int, optional
        Of the HRTEM frames, in px.
    passes : int, optional
        Of the HAADF reference.
    cells : path, optional
        Folder that keeps the images of the HAADF reference, and takes those it finds.

    Raises
    ------
    UserError
        When abTEM is not installed.
    """
    if find_spec("abtem") is None:
        raise UserError(
            'The comparison needs abTEM: install it with pip install "napari-apgan[simulate]".'
        )
    if cells is not None:
        cells.mkdir(parents=True, exist_ok=True)
    return EngineResult(
        hrtem=tuple(hrtem_row(row) for row in hrtem.compare_hrtem(side)),
        haadf=tuple(haadf_row(row) for row in haadf.compare(passes=passes, folder=cells)),
        passes=passes,
        machine=machine_with_abtem(),
    )


def hrtem_row(row: hrtem.Comparison) -> HrtemRow:
    """Return a comparison as a row of the table."""
    return HrtemRow(
        scene=row.scene,
        lens=f"C1 {row.c1_nm:+g} nm, C3 {row.c3_um:+g} µm",
        correlation=row.correlation,
        gain=row.gain,
        mean_shift_pm=math.hypot(*row.shift_pm),
        rms_shift_pm=row.shift_rms_pm,
    )


def haadf_row(row: haadf.Comparison) -> HaadfRow:
    """Return a comparison as a row of the table."""
    return HaadfRow(
        thickness_nm=row.thickness_pm / 1e3,
        tilt_mrad=row.tilt_mrad,
        element=row.element,
        intensity_ratio=row.intensity_ratio,
        mean_shift_pm=math.hypot(*row.mean_shift_pm),
        rms_shift_pm=row.rms_shift_pm,
        seen_pm=row.seen_pm,
    )
