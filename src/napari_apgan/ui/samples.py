"""Sample data for napari's *Open Sample* menu."""

from __future__ import annotations

from typing import Any

from napari_apgan.frames import Source

from .readers import image_layer


def pto_sto() -> list[Any]:
    """Make a simulated PbTiO3/SrTiO3 multilayer (HAADF), at its true scale."""
    from napari_apgan.simulate import make_sample

    frame = make_sample(seed=7, n_frames=1, shape=(384, 384)).pairs[0].frame
    source = Source(
        "PbTiO3/SrTiO3 sample",
        frame.data[None],
        frame.calibration,
        metadata={"title": "simulated PbTiO3/SrTiO3 multilayer"},
    )
    return [image_layer(source)]
