"""Image formation: from a scene to the image an ideal microscope would show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .settings import Aberrations, Engine, ImagingSettings, Mode

if TYPE_CHECKING:
    from napari_apgan.simulate.scene import Scene
    from napari_apgan.simulate.specimen import Floats

__all__ = ["Aberrations", "Engine", "ImagingSettings", "Mode", "image"]


def image(scene: Scene, settings: ImagingSettings, rng: np.random.Generator) -> Floats:
    """Return the noise-free image of a scene.

    Parameters
    ----------
    scene : Scene
    settings : ImagingSettings
    rng : numpy Generator
        Draws the frozen phonons of the engine ``abtem``; the engine ``fast`` draws nothing.

    Returns
    -------
    (Y, X) array
        Of ``scene.shape``. HRTEM: intensity relative to vacuum, which is 1. STEM: fraction of the
        incident electrons that reach the detector.

    Raises
    ------
    UserError
        When the settings ask for what the engine cannot do, or abTEM is not installed.
    """
    # Engines bring tables (and abTEM, seconds of imports), so each loads when it is first used.
    if settings.engine == "abtem":
        from .multislice import multislice_image

        return multislice_image(scene, settings, rng)
    if settings.mode == "hrtem":
        from .hrtem import hrtem_image

        return hrtem_image(scene, settings, rng)
    if settings.mode == "abf":
        from .abf import abf_image

        return abf_image(scene, settings, rng)
    from .haadf import haadf_image

    return haadf_image(scene, settings, rng)
