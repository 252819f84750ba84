"""How the microscope makes an image of a scene."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Mode = Literal["hrtem", "haadf", "adf", "abf"]
Engine = Literal["fast", "abtem"]

#: Detector angles that are usual for a mode, as multiples of the convergence angle.
DETECTORS: dict[Mode, tuple[float, float]] = {
    "haadf": (3.2, 9.1),
    "adf": (1.6, 4.55),
    "abf": (0.5, 1.0),
}
#: What differs from the defaults in STEM: a corrected instrument at 200 kV.
USUAL_STEM: dict[str, Any] = {
    "voltage_kv": 200.0,
    "aperture_mrad": 22.0,
    "focal_spread_nm": 0.0,
    "source_size_pm": 35.0,
}
#: Wider probes than this do not exist, and would need a grid that no memory holds.
WIDEST_PROBE_MRAD = 100.0


class Aberrations(BaseModel):
    """Coherent aberrations of the image-forming (HRTEM) or probe-forming (STEM) lens.

    Parameters
    ----------
    c1_nm : float
        Defocus in nm, negative at underfocus; abTEM's ``C10``, and minus its ``defocus``. HRTEM:
        counted from the middle of the specimen; STEM: from its entrance surface.
    a1_nm, a1_deg : float
        Twofold astigmatism (Krivanek C12) in nm and its azimuth in degrees, from the image's x
        towards its y (which points down).
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

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    c1_nm: float = Field(default=0.0, ge=-10_000, le=10_000)
    a1_nm: float = Field(default=0.0, ge=0, le=1000)
    a1_deg: float = 0.0
    b2_nm: float = Field(default=0.0, ge=0, le=10_000)
    b2_deg: float = 0.0
    a2_nm: float = Field(default=0.0, ge=0, le=10_000)
    a2_deg: float = 0.0
    c3_um: float = Field(default=0.0, ge=-10_000, le=10_000)
    s3_um: float = Field(default=0.0, ge=0, le=1000)
    s3_deg: float = 0.0
    a3_um: float = Field(default=0.0, ge=0, le=1000)
    a3_deg: float = 0.0


class ImagingSettings(BaseModel):
    """The microscope.

    Parameters
    ----------
    mode : {"hrtem", "haadf", "adf", "abf"}
    engine : {"fast", "abtem"}
        ``fast``: phase object and contrast transfer, or a probe and tables; ``abtem``: multislice,
        for thick or heavy specimens (slow in STEM).
    voltage_kv : float
        Acceleration voltage in kV.
    aberrations : Aberrations
    focal_spread_nm : float
        Standard deviation of the defocus by chromatic aberration, in nm (abTEM's ``focal_spread``
        is √2 times this).
    angular_spread_mrad : float
        HRTEM: standard deviation of the illumination's angle along each axis, in mrad (abTEM's
        ``angular_spread`` is √2 times this).
    aperture_mrad : float
        HRTEM: objective aperture (half-angle) in mrad; STEM: convergence semi-angle of the probe.
    inner_mrad, outer_mrad : float, optional
        STEM: detector angles in mrad; empty: usual ones for the mode.
    source_size_pm : float
        STEM: standard deviation of the effective source in the specimen plane, in pm.
    phonons : int
        Engine abtem: frozen-phonon configurations averaged; 0 takes resting atoms.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mode: Mode = "hrtem"
    engine: Engine = "fast"
    voltage_kv: float = Field(default=80.0, ge=20, le=1500)
    aberrations: Aberrations = Aberrations()
    focal_spread_nm: float = Field(default=3.0, ge=0, le=100)
    angular_spread_mrad: float = Field(default=0.0, ge=0, le=20)
    aperture_mrad: float = Field(default=40.0, ge=1, le=300)
    inner_mrad: float | None = Field(default=None, ge=0, le=600)
    outer_mrad: float | None = Field(default=None, gt=0, le=600)
    source_size_pm: float = Field(default=35.0, ge=0, le=500)
    phonons: int = Field(default=4, ge=0, le=200)

    @classmethod
    def usual(cls, mode: Mode, engine: Engine = "fast") -> ImagingSettings:
        """Return settings that are usual for a mode, a place to start from."""
        special = {} if mode == "hrtem" else USUAL_STEM
        return cls.model_validate({"mode": mode, "engine": engine, **special})

    @property
    def detector_mrad(self) -> tuple[float, float]:
        """Inner and outer angle of the detector in mrad; the whole aperture in HRTEM.

        Where none are given: HAADF 3.2 to 9.1 times the convergence angle (70 to 200 mrad at 22),
        ADF 1.6 to 4.55 times, ABF its outer half.
        """
        inner, outer = DETECTORS.get(self.mode, (0.0, 1.0))
        inner_mrad = inner * self.aperture_mrad if self.inner_mrad is None else self.inner_mrad
        outer_mrad = outer * self.aperture_mrad if self.outer_mrad is None else self.outer_mrad
        return inner_mrad, outer_mrad

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.mode == "hrtem":
            return self
        if self.aperture_mrad > WIDEST_PROBE_MRAD:
            raise ValueError(
                f"a probe of {self.aperture_mrad:g} mrad is too wide: "
                f"{WIDEST_PROBE_MRAD:g} mrad is the most"
            )
        inner, outer = self.detector_mrad
        if inner >= outer:
            raise ValueError(
                f"the detector must begin inside {outer:g} mrad, where it ends, "
                f"but begins at {inner:g} mrad"
            )
        return self
