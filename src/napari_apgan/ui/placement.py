"""Where a layer lies in the world, moved, turned or sheared, and what is drawn upon it."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Layer

from napari_apgan.errors import UserError


def leading_shape(layer: Layer) -> tuple[int, ...]:
    """Return the lengths of the axes before the image's own two."""
    pixels = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return tuple(int(n) for n in pixels.shape[: layer.ndim - 2])


def check_flat(layer: Layer) -> None:
    """Refuse a layer whose image axes are turned out of their plane.

    Raises
    ------
    UserError
        When they are mixed with other axes: no position in px has a place on the screen then.
    """
    if layer.ndim < 3:
        return
    matrices = [np.asarray(layer.rotate), np.asarray(layer.affine.linear_matrix)]
    parts = [part for m in matrices for part in (m[:-2, -2:], m[-2:, :-2])]
    mixed = any(np.abs(part).max() > 1e-9 for part in parts)
    if mixed or np.abs(np.asarray(layer.shear)[:-1]).max(initial=0.0) > 1e-9:
        raise UserError(
            f"{layer.name} is turned out of its image plane, so nothing can be drawn upon it: set "
            "its rotation, shear and affine transform back to none."
        )


def placement(layer: Layer) -> dict[str, Any]:
    """Return the keywords of a 2-D layer that lies exactly on the images of a layer."""
    affine = np.asarray(layer.affine.affine_matrix)
    kept = [-3, -2, -1]  # the image axes, and the column of the translation
    return {
        "scale": tuple(layer.scale[-2:]),
        "translate": tuple(layer.translate[-2:]),
        "rotate": np.asarray(layer.rotate)[-2:, -2:],
        "shear": np.asarray(layer.shear)[-1:],
        "affine": affine[np.ix_(kept, kept)],
    }


def place_upon(layer: Layer, image: Layer) -> None:
    """Put a 2-D layer exactly on the images of another."""
    for name, value in placement(image).items():
        _transform(layer, name, value)


def _transform(layer: Layer, name: str, value: Any) -> None:
    """Set a part of a layer's place unless it is so: napari redraws everything after each."""
    now = layer.affine.affine_matrix if name == "affine" else getattr(layer, name)
    if not np.array_equal(now, value):
        setattr(layer, name, value)


def world_per_px(layer: Layer) -> tuple[float, float]:
    """Return how long a pixel is in the world, along y and along x, whatever the transforms."""
    zero = (0.0,) * layer.ndim
    origin = np.asarray(layer.data_to_world(zero))
    sides = []
    for axis in (-2, -1):
        step = np.zeros(layer.ndim)
        step[axis] = 1.0
        sides.append(float(np.linalg.norm(np.asarray(layer.data_to_world(step)) - origin)))
    return sides[0], sides[1]


def stretch(layer: Layer, factors: tuple[float, float]) -> None:
    """Make a layer larger in the world, along y and x, from the world's origin."""
    lead = (1.0,) * (layer.ndim - 2)
    by = np.array([*lead, *factors])
    # The affine transform comes after the others: its own shift is in the world.
    matrix = np.array(layer.affine.affine_matrix)
    matrix[:-1, -1] *= by
    _transform(layer, "scale", np.asarray(layer.scale) * by)
    _transform(layer, "translate", np.asarray(layer.translate) * by)
    _transform(layer, "affine", matrix)


def frame_of(layer: Layer, point: tuple[float, ...]) -> int:
    """Return which frame of a layer is shown at a point of the world; axes in front count along."""
    lead = leading_shape(layer)
    if not lead:
        return 0
    at = np.asarray(layer.world_to_data(point[-layer.ndim :]))[: len(lead)]
    index = np.clip(np.rint(at).astype(int), 0, np.asarray(lead) - 1)
    return int(np.ravel_multi_index(tuple(index.tolist()), lead))


def point_of(layer: Layer, frame: int) -> tuple[float, ...]:
    """Return where in the world, along the axes in front, a frame of a layer is shown."""
    lead = leading_shape(layer)
    index = np.unravel_index(frame, lead)
    world = layer.data_to_world((*(float(n) for n in index), 0.0, 0.0))
    return tuple(float(x) for x in world[: len(lead)])
