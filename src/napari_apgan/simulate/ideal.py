"""From settings to a scene and its ideal image, before anything is recorded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError

from .degradation import margin_px
from .imaging import image
from .scene import Scene, View, draw_view, place, reach_pm
from .settings import SimulationSettings, check_frame, draw_variation
from .specimen import Floats, Specimen
from .structures import build

Bools = NDArray[np.bool_]

#: What lies within this distance (pm) of a column belongs to the material: the middle of a ring of
#: graphene (142 pm) and of a perovskite's cell do, vacuum and holes do not.
MATERIAL_PM = 250.0
#: A view with no column in the frame (a hole, the vacuum beside a particle) is drawn again this
#: many times.
ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Sampling:
    """The grid of the ideal image: finer than the recorded frame, and larger.

    Parameters
    ----------
    binning : int
        Fine pixels a recorded one, along each axis.
    margin_px : int
        Recorded pixels on each side beyond the frame.
    """

    binning: int = 1
    margin_px: int = 0

    def to_frame(self, xy_px: Floats) -> Floats:
        """Turn (N, 2) positions on the fine grid into positions on the frame, both in px."""
        on: Floats = (xy_px + 0.5) / self.binning - 0.5 - self.margin_px
        return on

    def fine_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return (rows, columns) of the ideal image of a frame."""
        rows, columns = ((n + 2 * self.margin_px) * self.binning for n in shape)
        return rows, columns


@dataclass(frozen=True, slots=True)
class Ideal:
    """A scene with its ideal image.

    Parameters
    ----------
    scene : Scene
        On the fine grid of `sampling`.
    image : (Y, X) float64 array
        On the same grid; intensity relative to vacuum, or fraction of the electrons detected.
    material : (Y, X) bool array
        Where the specimen is.
    view : View
    sampling : Sampling
    settings : SimulationSettings
        With the lens and the noise drawn for this frame.
    """

    scene: Scene
    image: Floats
    material: Bools
    view: View
    sampling: Sampling
    settings: SimulationSettings


def sampling_of(settings: SimulationSettings) -> Sampling:
    """Return the grid that the ideal image of some settings needs, however they vary."""
    degradation = settings.degradation
    grow = 1.0 + settings.variety
    widest = degradation.model_copy(
        update={
            "drift_pm": degradation.drift_pm * grow,
            "shear_percent": degradation.shear_percent * grow,
            "jitter_pm": degradation.jitter_pm * grow,
        }
    )
    margin = margin_px(widest, settings.shape, settings.pixel_size_pm)
    return Sampling(degradation.binning, margin)


def draw_specimen(settings: SimulationSettings, rng: np.random.Generator) -> Specimen:
    """Build one specimen, large enough for any view of the frame."""
    check_frame(settings)
    margin = sampling_of(settings).margin_px
    rows, columns = settings.shape
    shape = (rows + 2 * margin, columns + 2 * margin)
    # A mistilt moves what lies deep in a thick specimen.
    thickness = 1000.0 * float(getattr(settings.structure, "thickness_nm", 0.0))
    reach = reach_pm(shape, settings.pixel_size_pm, view=settings.view, thickness_pm=thickness)
    return build(settings.structure, rng, reach)


def draw_scene(
    specimen: Specimen, settings: SimulationSettings, rng: np.random.Generator
) -> tuple[Scene, View]:
    """Put a specimen under the frame in a random view."""
    view = draw_view(settings.view, rng)
    sampling = sampling_of(settings)
    shape = sampling.fine_shape(settings.shape)
    return place(specimen, view, shape, settings.pixel_size_pm / sampling.binning), view


def columns_in_frame(
    scene: Scene, sampling: Sampling, shape: tuple[int, int], margin_px: float = 0.0
) -> Bools:
    """Tell which columns of a scene lie on the undistorted frame."""
    return on_frame(sampling.to_frame(scene.columns.xy_px), shape, margin_px)


def on_frame(xy_px: Floats, shape: tuple[int, int], margin_px: float = 0.0) -> Bools:
    """Tell which (N, 2) positions x, y lie on a frame, or within a margin (px) around it."""
    size = np.array([shape[1], shape[0]])
    low, high = -0.5 - margin_px, size - 0.5 + margin_px
    on: Bools = np.asarray(((xy_px >= low) & (xy_px < high)).all(axis=1))
    return on


def draw_ideal(settings: SimulationSettings, seed: int, number: int) -> Ideal:
    """Simulate frame `number` of the set `seed` up to its ideal image.

    Structure, view, lens and phonons have random streams of their own, so that a change of one
    group of settings leaves the others' draws as they are.

    Raises
    ------
    UserError
        When the settings do not fit together, or no column lies in the frame however it is drawn.
    """
    for attempt in range(ATTEMPTS):
        streams = [np.random.default_rng([seed, number, attempt, k]) for k in range(3)]
        specimen = draw_specimen(settings, streams[0])
        scene, view = draw_scene(specimen, settings, streams[1])
        if columns_in_frame(scene, sampling_of(settings), settings.shape).any():
            drawn = drawn_settings(settings, seed, number)
            return make_ideal(scene, view, drawn, sampling_of(settings), streams[2])
    raise empty_frame(settings)


def empty_frame(settings: SimulationSettings) -> UserError:
    """Return the error of settings whose frames hold no column."""
    rows, columns = settings.shape
    size = settings.pixel_size_pm / 1000
    return UserError(
        f"No atomic column of this {settings.structure.kind} lies in the frame of "
        f"{columns * size:.3g} x {rows * size:.3g} nm: choose a larger frame or pixel size, or a "
        "structure that fills it."
    )


def make_ideal(
    scene: Scene,
    view: View,
    drawn: SimulationSettings,
    sampling: Sampling,
    rng: np.random.Generator,
) -> Ideal:
    """Image a scene."""
    ideal = image(scene, drawn.imaging, rng)
    return Ideal(scene, ideal, find_material(scene, sampling), view, sampling, drawn)


def find_material(scene: Scene, sampling: Sampling) -> Bools:
    """Tell where the specimen is: the fine pixels near a column.

    Distances are taken on the recorded pixels, which is fine enough for a mean over the frame.
    """
    from scipy.ndimage import distance_transform_edt  # not while a window opens

    binning = sampling.binning
    rows, columns = (n // binning for n in scene.shape)
    centre = np.rint((scene.columns.xy_px + 0.5) / binning - 0.5).astype(np.intp)
    inside = (centre >= 0).all(axis=1) & (centre < (columns, rows)).all(axis=1)
    empty = np.ones((rows, columns), dtype=np.bool_)
    empty[centre[inside, 1], centre[inside, 0]] = False
    if empty.all():
        return np.zeros(scene.shape, dtype=np.bool_)
    reach = MATERIAL_PM / (scene.pixel_size_pm * binning)
    near = np.asarray(distance_transform_edt(empty)) <= max(reach, 1.0)
    return near.repeat(binning, axis=0).repeat(binning, axis=1)


def drawn_settings(settings: SimulationSettings, seed: int, number: int) -> SimulationSettings:
    """Return the settings of one frame, with the lens and the noise drawn for it."""
    return draw_variation(settings, np.random.default_rng([seed, number, 0, 3]))
