"""Fast ABF: dark columns, light ones too, on the bright disc of the probe.

An approximation for training data. What a column takes away from the detector comes from tables at
200 kV with a 22 mrad probe focused on the entrance, detected from half the aperture to its edge.
Astigmatism and coma blur the columns as they blur the probe, and a defocus does so too; in truth
it also turns the contrast, which needs the engine ``abtem``.
"""

from __future__ import annotations

import numpy as np

from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import Scene
from napari_apgan.simulate.specimen import Floats

from .column_signals import column_signals
from .incoherent import draw, margin_pm
from .settings import ImagingSettings
from .tables import load_tables
from .transfer import interaction

#: Fraction of the electrons in vacuum on the detector of the tables.
TABLE_BRIGHT = 0.75


def abf_image(scene: Scene, settings: ImagingSettings, rng: np.random.Generator) -> Floats:
    """Return the annular bright-field image of a scene.

    Parameters
    ----------
    scene : Scene
    settings : ImagingSettings
    rng : numpy Generator
        Not used: thermal motion is in the tables.

    Returns
    -------
    (Y, X) array
        Fraction of the incident electrons on the detector.

    Raises
    ------
    UserError
        When the detector lies outside the probe's aperture.
    """
    inner, outer = settings.detector_mrad
    edge = min(outer, settings.aperture_mrad)
    if inner >= edge:
        raise UserError(
            f"An ABF detector that begins at {inner:g} mrad sees no direct electrons: let it begin "
            f"inside the probe's aperture ({settings.aperture_mrad:g} mrad)."
        )
    bright = (edge**2 - inner**2) / settings.aperture_mrad**2
    tables = load_tables()
    # What a column takes away in passing grows with the square of the phase that it gives.
    scale = (interaction(settings.voltage_kv) / interaction(tables.voltage_kv)) ** 2
    scale *= bright / TABLE_BRIGHT
    signals = column_signals(
        scene,
        tables,
        "abf",
        {z: z * scale for z in np.unique(scene.number).tolist()},
        voltage_kv=settings.voltage_kv,
        margin_pm=margin_pm(settings),
    )
    taken = draw(signals, scene.shape, scene.pixel_size_pm, settings)
    image: Floats = np.clip(bright - taken, 0.0, 1.0)
    return image
