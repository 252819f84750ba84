"""What noise, scan, camera and lost pixels do to an ideal image."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

Loss = Literal["none", "random", "trajectory"]
Noise = Literal["counting", "gaussian"]

#: How messages call each setting, with its unit.
_NAMES = {
    "snr": "SNR",
    "dose": "dose (electrons per Å²)",
    "noise": "kind of noise",
    "readout": "readout noise (electrons)",
    "mtf": "modulation transfer at Nyquist",
    "gain": "gain (grey levels per electron)",
    "offset": "offset (grey levels)",
    "saturation": "saturation (electrons)",
    "whole_levels": "rounding to whole grey levels",
    "jitter_pm": "row jitter (pm)",
    "jitter_memory": "memory of the row jitter",
    "flyback_px": "length of the flyback (px)",
    "drift_pm": "drift (pm)",
    "shear_percent": "shear (percent)",
    "background": "background",
    "contamination": "contaminated fraction",
    "binning": "binning",
    "dead_pixels": "fraction of dead pixels",
    "dead_lines": "number of dead lines",
    "loss": "kind of pixel loss",
    "lost_fraction": "fraction of lost pixels",
}


class DegradationSettings(BaseModel):
    """Everything between the ideal image and the recorded one.

    Parameters
    ----------
    snr : float, optional
        Wanted var(signal) / var(noise) over the material. Give this or `dose`; neither: no
        counting noise.
    dose : float, optional
        Electrons per Å² in the incident beam.
    noise : {"counting", "gaussian"}
        ``counting``: Poisson statistics of the electrons; ``gaussian``: white noise of the same
        mean variance at all pixels, bright or dark.
    readout : float
        Standard deviation of Gaussian readout noise in electrons a pixel.
    mtf : float
        Camera's modulation transfer at Nyquist (applied after counting), 1 for a perfect one.
    gain, offset : float
        Grey levels per electron, and added.
    saturation : float, optional
        Largest electron number that a pixel can hold.
    whole_levels : bool
        Grey levels are whole numbers.
    jitter_pm : float
        Standard deviation of each row's random shift along x.
    jitter_memory : float
        Correlation of a row's shift with that of the row before.
    flyback_px : int
        Length of the distorted start of each row.
    drift_pm : float
        Length of the slow drift over the frame; its direction is random.
    shear_percent : float
        Largest shear of the scan.
    background : float
        Standard deviation of a slowly varying background, relative to that of the signal.
    contamination : float
        Fraction of the frame under blurred patches of contamination.
    binning : int
        The image is made this many times finer and binned.
    dead_pixels : float
        Fraction of pixels that read nothing.
    dead_lines : int
        Rows that read nothing.
    loss : {"none", "random", "trajectory"}
        Pixels never measured: single random ones, or all but a random scan trajectory.
    lost_fraction : float
        Fraction of the pixels lost (0.3: "30 % zeroed"; 0.7: "30 % kept").
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    snr: float | None = Field(default=None, gt=0, le=1e9)
    dose: float | None = Field(default=None, gt=0, le=1e12)
    noise: Noise = "counting"
    readout: float = Field(default=0.0, ge=0)
    mtf: float = Field(default=1.0, ge=0.01, le=1)
    gain: float = Field(default=1.0, gt=0)
    offset: float = 0.0
    saturation: float | None = Field(default=None, gt=0)
    whole_levels: bool = False
    jitter_pm: float = Field(default=0.0, ge=0)
    jitter_memory: float = Field(default=0.7, ge=0, lt=1)
    flyback_px: int = Field(default=0, ge=0)
    drift_pm: float = Field(default=0.0, ge=0)
    shear_percent: float = Field(default=0.0, ge=0, le=20)
    background: float = Field(default=0.0, ge=0)
    contamination: float = Field(default=0.0, ge=0, lt=1)
    binning: int = Field(default=1, ge=1, le=8)
    dead_pixels: float = Field(default=0.0, ge=0, lt=0.5)
    dead_lines: int = Field(default=0, ge=0)
    loss: Loss = "none"
    lost_fraction: float = Field(default=0.3, ge=0, lt=1)

    @field_validator("*", mode="wrap")
    @classmethod
    def _in_words(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        """Refuse a value with one sentence that names it and says what is allowed."""
        try:
            return handler(value)
        except ValidationError as error:
            rule = error.errors()[0]["msg"].removeprefix("Input should be ")
            name = _NAMES.get(info.field_name or "", info.field_name)
            raise ValueError(f"The {name} cannot be {value!r}: it must be {rule}.") from None

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.snr is not None and self.dose is not None:
            raise ValueError(
                f"An SNR of {self.snr:g} and a dose of {self.dose:g} electrons per Å² cannot both "
                "be asked for: give one of them."
            )
        return self
