"""Ideal images kept in a folder, so that they are simulated once and exposed often. No pickle."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from napari_apgan import __version__
from napari_apgan.errors import UserError
from napari_apgan.settings import write_atomically
from napari_apgan.simulate.ideal import (
    Ideal,
    Sampling,
    draw_ideal,
    drawn_settings,
    sampling_of,
)
from napari_apgan.simulate.scene import Columns, Scene, View
from napari_apgan.simulate.settings import SimulationSettings

from .tilt import with_shift

#: Raised when what the files hold changes.
FORMAT = 2

_COLUMN_ARRAYS = (
    "xy_px",
    "entrance_px",
    "site_px",
    "element",
    "share",
    "weight",
    "n_atoms",
    "sublattice",
    "grain",
)


def cached_ideal(
    settings: SimulationSettings,
    seed: int,
    number: int,
    cache: Path,
    *,
    label: str = "",
    make: Callable[[], Ideal] | None = None,
) -> Ideal:
    """Return an ideal image from the folder, or make it and keep it there.

    The noise, scan and camera of the settings count only as far as the grid and the lens drawn for
    the frame depend on them, so the same structure in the same view is imaged once for all noises.

    Parameters
    ----------
    settings : SimulationSettings
    seed, number : int
        See :func:`napari_apgan.simulate.ideal.draw_ideal`.
    cache : Path
        Made when it does not exist.
    label : str
        Tells images apart that differ in more than these settings (displaced columns).
    make : callable, optional
        Makes the image; `draw_ideal` by default.

    Returns
    -------
    Ideal
        With the columns of its scene, but without the atoms: a thick crystal has 10^5 of them, and
        nothing is asked of them once they are imaged. Its columns are where the image shows them
        (:mod:`.tilt`).

    Raises
    ------
    UserError
        When the settings cannot be simulated, or the folder cannot be written.
    """
    drawn = drawn_settings(settings, seed, number)
    identity = {
        "format": FORMAT,
        "version": __version__,
        "structure": settings.structure.model_dump(mode="json"),
        "view": settings.view.model_dump(mode="json"),
        "imaging": drawn.imaging.model_dump(mode="json"),
        "shape": settings.shape,
        "pixel_size_pm": settings.pixel_size_pm,
        "sampling": asdict(sampling_of(settings)),
        "seed": seed,
        "number": number,
        "label": label,
    }
    text = json.dumps(identity, sort_keys=True)
    path = cache / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"
    if path.is_file():
        kept = _read(path, drawn)
        if kept is not None:
            return kept
    ideal = draw_ideal(settings, seed, number) if make is None else make()
    ideal = with_shift(replace(ideal, scene=_without_atoms(ideal.scene), settings=drawn))
    try:
        cache.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _bytes_of(ideal))
    except OSError as error:
        raise UserError(
            f"The simulated images cannot be kept in {cache} ({error}): choose another folder."
        ) from error
    return ideal


def _without_atoms(scene: Scene) -> Scene:
    none = np.zeros(0)
    return replace(
        scene,
        xyz_pm=np.zeros((0, 3)),
        number=none.astype(np.int_),
        column=none.astype(np.int_),
        thermal_pm=none,
    )


def _bytes_of(ideal: Ideal) -> bytes:
    """Return the content of the file of an ideal image."""
    scene = ideal.scene
    arrays: dict[str, Any] = {f"columns_{k}": getattr(scene.columns, k) for k in _COLUMN_ARRAYS}
    about = {
        "composition": scene.columns.composition,
        "shape": scene.shape,
        "pixel_size_pm": scene.pixel_size_pm,
        "tilt_mrad": scene.tilt_mrad,
        "view": asdict(ideal.view),
        "sampling": asdict(ideal.sampling),
    }
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        allow_pickle=False,
        image=ideal.image,
        material=ideal.material,
        vacancy_px=scene.vacancy_px,
        vacancy_element=scene.vacancy_element,
        about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
        **arrays,
    )
    return stream.getvalue()


def _read(path: Path, drawn: SimulationSettings) -> Ideal | None:
    """Return the kept image; None when the file is broken, so that it is made anew."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        about = json.loads(arrays["about"].tobytes())
        columns = Columns(
            **{k: arrays[f"columns_{k}"] for k in _COLUMN_ARRAYS},
            composition=tuple(about["composition"]),
        )
        image, material = arrays["image"], arrays["material"]
        vacancy_px, vacancy_element = arrays["vacancy_px"], arrays["vacancy_element"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    view = about["view"]
    scene = Scene(
        xyz_pm=np.zeros((0, 3)),
        number=np.zeros(0, dtype=np.int_),
        column=np.zeros(0, dtype=np.int_),
        thermal_pm=np.zeros(0),
        columns=columns,
        vacancy_px=vacancy_px,
        vacancy_element=vacancy_element,
        shape=(about["shape"][0], about["shape"][1]),
        pixel_size_pm=about["pixel_size_pm"],
        tilt_mrad=(about["tilt_mrad"][0], about["tilt_mrad"][1]),
    )
    strain = view["strain"]
    return Ideal(
        scene,
        image,
        material,
        View(
            view["rotation_rad"],
            (view["offset_pm"][0], view["offset_pm"][1]),
            ((strain[0][0], strain[0][1]), (strain[1][0], strain[1][1])),
            (view["tilt_mrad"][0], view["tilt_mrad"][1]),
        ),
        Sampling(**about["sampling"]),
        drawn,
    )
