"""The filters of clean views: their names, what they are good for, and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .fourier import Gain


class FilterSettings(BaseModel):
    """What every filter's settings share."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BackgroundSettings(FilterSettings):
    """Settings of the Wiener and the average-background-subtraction filter."""

    strength: float = Field(
        1.0,
        ge=0.1,
        le=10,
        title="Strength",
        description="By how much the noise found is multiplied: more is smoother.",
    )
    smallest_px: float = Field(
        2.5,
        ge=0,
        le=50,
        title="Finest detail (px)",
        description="Periods below this are taken away; 0 keeps all.",
    )


class NonlinearSettings(BackgroundSettings):
    """Settings of the non-linear filter."""

    kind: Gain = Field(
        "wiener", title="Inner filter", description="Which filter each cycle applies."
    )
    cycles: int = Field(
        8, ge=1, le=100, title="Cycles", description="More cycles leave less of the noise."
    )
    cutoff: float = Field(
        0.12,
        gt=0,
        le=1,
        title="Low-pass",
        description="What varies slower than this part of the finest frequency always passes.",
    )


class GaussianSettings(FilterSettings):
    """Settings of the Gaussian filter."""

    narrow_px: float = Field(
        1.2,
        ge=0,
        le=50,
        title="Smooth by (px)",
        description="Standard deviation of the smoothing; 0 for none.",
    )
    wide_px: float = Field(
        0.0,
        ge=0,
        le=500,
        title="Flatten by (px)",
        description="Takes away what varies slower than this; 0 keeps the background.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if 0 < self.wide_px <= self.narrow_px:
            raise ValueError("flatten by more than is smoothed")
        return self


class BandpassSettings(FilterSettings):
    """Settings of the Fourier band-pass."""

    smallest_px: float = Field(
        4.0,
        ge=0,
        le=500,
        title="Shortest period (px)",
        description="Finer detail than this is taken away; 0 keeps it.",
    )
    largest_px: float = Field(
        60.0,
        ge=0,
        le=5000,
        title="Longest period (px)",
        description="Slower variation than this is taken away; 0 keeps it.",
    )
    softness: float = Field(
        0.2, ge=0.02, le=1, title="Softness", description="Hard edges make ripples around atoms."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if 0 < self.largest_px <= self.smallest_px:
            raise ValueError("the longest period must be longer than the shortest")
        return self


class StackedSettings(BackgroundSettings):
    """Settings of the stacked filter for series."""

    strength: float = Field(
        2.0,
        ge=0.1,
        le=10,
        title="Strength",
        description="More is smoother, and hides what is seen in few frames.",
    )
    frames: int = Field(
        32,
        ge=2,
        le=512,
        title="Frames together",
        description="How many frames one after the other are filtered as one block.",
    )


FilterName = Literal["wiener", "absf", "nonlinear", "gaussian", "bandpass", "stacked"]


@dataclass(frozen=True, slots=True)
class FilterKind:
    """What a form needs to offer a filter.

    Parameters
    ----------
    name : str
    title : str
    sentence : str
        What it does and when to use it, for the tooltip.
    settings : type
        Pydantic model of its settings; the default is a good start.
    series : bool
        Whether it takes a whole series (:func:`.filters.filter_series`) and not one frame.
    """

    name: FilterName
    title: str
    sentence: str
    settings: type[FilterSettings]
    series: bool = False


FILTERS: Mapping[FilterName, FilterKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            FilterKind(
                "gaussian",
                "Gaussian",
                "Smooths, and flattens the background if asked; invents nothing.",
                GaussianSettings,
            ),
            FilterKind(
                "bandpass",
                "Fourier band-pass",
                "Keeps the periods between two lengths; ripples appear beside defects.",
                BandpassSettings,
            ),
            FilterKind(
                "wiener",
                "Wiener",
                "Takes away what looks the same in all directions of the diffractogram: noise and "
                "amorphous support (Kilaas 1998); it can show a lattice where there is none.",
                BackgroundSettings,
            ),
            FilterKind(
                "absf",
                "Background subtraction",
                "As Wiener, but subtracts amplitudes: stronger on weak spots (Kilaas 1998); it can "
                "show a lattice where there is none.",
                BackgroundSettings,
            ),
            FilterKind(
                "nonlinear",
                "Non-linear",
                "Repeats the Wiener filter on the fine detail alone, which keeps defects and edges "
                "better (Du 2015).",
                NonlinearSettings,
            ),
            FilterKind(
                "stacked",
                "Stacked, for series",
                "Filters many frames of a series as one block: what stays from frame to frame "
                "passes, noise does not (Huang 2022); align drifting series first.",
                StackedSettings,
                series=True,
            ),
        )
    }
)
