"""How the microscope makes an image of a scene."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Mode = Literal["hrtem", "haadf", "adf", "abf"]
Engine = Literal["fast", "abtem"]


class Aberrations(BaseModel):
    """Coherent aberrations of the image-forming (HRTEM) or probe-forming (STEM) lens.

    Parameters
    ----------
    c1_nm : float
        Defocus in nm; negative is underfocus (Scherzer's side for positive Cs). abTEM's
        ``defocus`` is -C1 and its ``C10`` is C1.
    a1_nm, a1_deg : float
        Twofold astigmatism (Krivanek C12) in nm and its azimuth in degrees.
    b2_nm, b2_deg : float
        Axial coma (Krivanek C21 = 3 B2) in nm and its azimuth.
    a2_nm, a2_deg : float
        Threefold astigmatism (Krivanek C23 = A2) in nm and its azimuth.
    c3_um : float
        Spherical aberration (Cs, Krivanek C30) in µm.
    s3_um, s3_deg : float
        Star aberration (Krivanek C32 = 4 S3) in µm and its azimuth.
    a3_um, a3_deg : float
        Fourfold astigmatism (Krivanek C34 = A3) in µm and its azimuth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    c1_nm: float = 0.0
    a1_nm: float = Field(default=0.0, ge=0)
    a1_deg: float = 0.0
    b2_nm: float = Field(default=0.0, ge=0)
    b2_deg: float = 0.0
    a2_nm: float = Field(default=0.0, ge=0)
    a2_deg: float = 0.0
    c3_um: float = 0.0
    s3_um: float = Field(default=0.0, ge=0)
    s3_deg: float = 0.0
    a3_um: float = Field(default=0.0, ge=0)
    a3_deg: float = 0.0


class ImagingSettings(BaseModel):
    """The microscope.

    Parameters
    ----------
    mode : {"hrtem", "haadf", "adf", "abf"}
    engine : {"fast", "abtem"}
        ``fast``: phase object and contrast transfer, or a probe and tables; ``abtem``: multislice.
    voltage_kv : float
    aberrations : Aberrations
    focal_spread_nm : float
        HRTEM and STEM: standard deviation of the defocus by chromatic aberration, in nm.
    angular_spread_mrad : float
        HRTEM: standard deviation of the illumination's half-angle, in mrad.
    aperture_mrad : float
        HRTEM: objective aperture (half-angle) in mrad; STEM: convergence semi-angle of the probe.
    inner_mrad, outer_mrad : float, optional
        STEM: detector angles; empty: usual ones for the mode.
    source_size_pm : float
        STEM: standard deviation of the effective source in the specimen plane, in pm.
    phonons : int
        abTEM: frozen-phonon configurations averaged; 0 takes resting atoms.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = "hrtem"
    engine: Engine = "fast"
    voltage_kv: float = Field(default=80.0, ge=20, le=1500)
    aberrations: Aberrations = Aberrations()
    focal_spread_nm: float = Field(default=3.0, ge=0)
    angular_spread_mrad: float = Field(default=0.0, ge=0)
    aperture_mrad: float = Field(default=40.0, gt=0, le=300)
    inner_mrad: float | None = Field(default=None, ge=0)
    outer_mrad: float | None = Field(default=None, gt=0)
    source_size_pm: float = Field(default=35.0, ge=0)
    phonons: int = Field(default=4, ge=0)
