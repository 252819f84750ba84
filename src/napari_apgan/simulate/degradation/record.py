"""What was drawn and measured when a frame was degraded."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from .settings import Loss


class DegradationRecord(BaseModel):
    """Everything drawn and measured for one frame; plain numbers, ready for JSON.

    Parameters
    ----------
    snr : float, optional
        var(signal) / var(noise) over the material, measured on this frame. The signal is the
        specimen's own image (no background, no contamination) behind the scan, the camera's MTF
        and the binning; the noise is what counting and readout add. None without noise.
    snr_expected : float, optional
        The same ratio with the noise's expected variance.
    std_ratio : float, optional
        std(signal) / std(noise), the square root of `snr`.
    dose_e_per_a2 : float, optional
        Electrons per Å² in the incident beam; None where nothing was counted.
    electrons_per_px : float
        Mean expected number over the frame's pixels (relative intensity where nothing was counted).
    pixel_size_pm : float
    jitter_rms_pm : float
        Of this frame's rows.
    jitter_memory : float, optional
        Correlation of neighbouring rows' shifts in this frame; None without jitter.
    flyback_px : int
    drift_pm : (float, float)
        Shift x, y of the specimen between the first and the last row.
    drift_bend_pm : (float, float)
        How far the drift's path departs from a straight line at mid-frame.
    shear : (float, float)
        x shift per y, and y shift per x.
    background_ratio : float
        std(background) / std(signal) over the frame.
    contaminated_fraction : float
    saturated_fraction : float
    dead_pixels : int
        Single pixels that read nothing.
    dead_rows : tuple of int
    loss : {"none", "random", "trajectory"}
    lost_fraction : float
        Lost pixels (without dead ones) over all pixels.
    unseen_fraction : float
        Pixels that drift or shear carried beyond what was simulated; invalid.
    missing_fraction : float
        All pixels without a measurement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    snr: float | None
    snr_expected: float | None
    std_ratio: float | None
    dose_e_per_a2: float | None
    electrons_per_px: float
    pixel_size_pm: float
    jitter_rms_pm: float = 0.0
    jitter_memory: float | None = None
    flyback_px: int = 0
    drift_pm: tuple[float, float] = (0.0, 0.0)
    drift_bend_pm: tuple[float, float] = (0.0, 0.0)
    shear: tuple[float, float] = (0.0, 0.0)
    background_ratio: float = 0.0
    contaminated_fraction: float = 0.0
    saturated_fraction: float = 0.0
    dead_pixels: int = 0
    dead_rows: tuple[int, ...] = ()
    loss: Loss = "none"
    lost_fraction: float = 0.0
    unseen_fraction: float = 0.0
    missing_fraction: float = 0.0
