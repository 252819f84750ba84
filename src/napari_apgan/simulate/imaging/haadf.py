"""Fast HAADF and ADF: columns under a probe, with brightness and place from tables.

In thin specimens each atom has the cross-section of a phase object for the detector's angles, under
the wave-optical probe; the tables make single light atoms some 4 % too bright, single atoms of gold
up to 16 %. Thick crystals follow the tables of :mod:`.tables`, made at 200 kV and 22 mrad with the
probe focused on the entrance; ``docs/benchmarks.md`` holds them against multislice under that beam.
Other voltages, apertures and foci change the probe exactly, and the channelling only by the clock
of the voltage: how far that holds has not been measured.
"""

from __future__ import annotations

import numpy as np

from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import Scene
from napari_apgan.simulate.specimen import Floats

from .column_signals import Signals, column_signals
from .crosssections import cross_section_pm2
from .incoherent import draw, margin_pm
from .settings import ImagingSettings
from .tables import Detector, load_tables

#: Inner angles (mrad) of the tables of both detectors.
ADF_INNER_MRAD = 35.0
HAADF_INNER_MRAD = 70.0


def haadf_image(scene: Scene, settings: ImagingSettings, rng: np.random.Generator) -> Floats:
    """Return the HAADF or ADF image of a scene.

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
        When the detector begins inside the probe's aperture.
    """
    inner, outer = settings.detector_mrad
    if inner < settings.aperture_mrad:
        raise UserError(
            f"The engine 'fast' knows dark-field detectors that begin outside the probe's aperture "
            f"({settings.aperture_mrad:g} mrad), not at {inner:g} mrad: choose a larger inner "
            "angle, or the engine 'abtem'."
        )
    species = np.unique(scene.number).tolist()
    units = {z: cross_section_pm2(z, settings.voltage_kv, inner, outer) for z in species}
    margin = margin_pm(settings)
    high = (inner - ADF_INNER_MRAD) / (HAADF_INNER_MRAD - ADF_INNER_MRAD)
    high = min(max(high, 0.0), 1.0)
    shares: list[tuple[Detector, float]] = [("haadf", high), ("adf", 1.0 - high)]
    parts = [
        column_signals(
            scene,
            load_tables(),
            name,
            {z: share * unit for z, unit in units.items()},
            voltage_kv=settings.voltage_kv,
            margin_pm=margin,
        )
        for name, share in shares
        if share > 0
    ]
    signals = Signals(
        np.concatenate([part.xy_pm for part in parts]),
        np.concatenate([part.weight for part in parts], axis=1),
        parts[0].softer_pm2,
    )
    image = draw(signals, scene.shape, scene.pixel_size_pm, settings)
    dark: Floats = np.maximum(image, 0.0)
    return dark
