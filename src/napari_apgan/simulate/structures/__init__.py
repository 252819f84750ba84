"""Builders: from a few settings to a specimen that covers a circle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from napari_apgan.simulate.specimen import Specimen, displace_columns

from .base import BaseStructure
from .dumbbell import DumbbellSettings, build_dumbbell
from .fromfile import FileSettings, build_file
from .graphene import GrapheneSettings, build_graphene
from .monolayer import MonolayerSettings, build_monolayer
from .multilayer import MultilayerSettings, build_multilayer
from .particle import ParticleSettings, build_particle
from .perovskite import PerovskiteSettings, build_perovskite

#: The settings of any structure; `kind` tells which.
Structure = Annotated[
    GrapheneSettings
    | MonolayerSettings
    | MultilayerSettings
    | PerovskiteSettings
    | ParticleSettings
    | DumbbellSettings
    | FileSettings,
    Field(discriminator="kind"),
]

#: Settings of a structure by its kind.
STRUCTURES: dict[str, type[BaseStructure]] = {
    "graphene": GrapheneSettings,
    "monolayer": MonolayerSettings,
    "multilayer": MultilayerSettings,
    "perovskite": PerovskiteSettings,
    "particle": ParticleSettings,
    "dumbbell": DumbbellSettings,
    "file": FileSettings,
}

_BUILDERS: dict[str, Callable[[Any, np.random.Generator, float], Specimen]] = {
    "graphene": build_graphene,
    "monolayer": build_monolayer,
    "multilayer": build_multilayer,
    "perovskite": build_perovskite,
    "particle": build_particle,
    "dumbbell": build_dumbbell,
    "file": build_file,
}


def build(settings: Structure, rng: np.random.Generator, reach_pm: float) -> Specimen:
    """Build a specimen, and shift its columns at random.

    Parameters
    ----------
    settings : Structure
    rng : numpy Generator
    reach_pm : float
        Radius in pm of the circle about the origin that the specimen covers; particles and
        structures that do not repeat may be smaller.

    Raises
    ------
    UserError
        The settings do not go together, or a file cannot be used.
    """
    specimen = _BUILDERS[settings.kind](settings, rng, reach_pm)
    return displace_columns(specimen, settings.displacement_pm, rng)


__all__ = ["STRUCTURES", "BaseStructure", "Structure", "build"]
