"""The label doctor on everything that was labelled: a project, or a folder of pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_apgan.errors import UserError
from napari_apgan.frames import Progress
from napari_apgan.io import read_pairs
from napari_apgan.maps import disc_radii_px
from napari_apgan.project import Project

from .doctor import DoctorSettings, Report, examine
from .doctor_project import ignored_on


@dataclass(frozen=True, slots=True)
class Examined:
    """The report on one labelled frame."""

    name: str
    frame: int
    report: Report


def examine_all(
    path: str | Path,
    *,
    settings: DoctorSettings | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[Examined]:
    """Examine every labelled frame of a project or pairs folder.

    Parameters
    ----------
    path : path
        ``NAME.apgan``, or a folder of pairs.
    settings : DoctorSettings, optional
    progress : callable, optional
        Called with (done, total, name).
    cancelled : callable, optional
        Asked before each frame.

    Yields
    ------
    Examined

    Raises
    ------
    UserError
        When nothing is labelled, or an image cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: name a project or a folder of pairs.")
    found = _of_project if (folder / "project.json").is_file() else _of_pairs
    yield from found(folder, settings, progress or _say_nothing, cancelled or _go_on)


def _say_nothing(done: int, total: int, what: str) -> None:
    pass


def _go_on() -> bool:
    return False


def _of_project(
    folder: Path,
    settings: DoctorSettings | None,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> Iterator[Examined]:
    with Project.open(folder, read_only=True) as project:
        places = [p for p in project.frames_with_labels() if project.count_atoms(*p)]
        if not places:
            raise UserError(f"{folder.name} has no labels to examine yet.")
        for number, (source_id, frame) in enumerate(places):
            if cancelled():
                return
            name = project.record(source_id).name
            progress(number, len(places), name)
            atoms = project.atoms(source_id, frame)
            report = examine(
                project.source(source_id).frame(frame),
                atoms,
                project.regions(source_id, frame),
                elements=project.elements,
                radius_px=disc_radii_px(project.elements, atoms, project.calibration(source_id)),
                settings=settings,
                ignored=ignored_on(project, source_id, frame),
            )
            yield Examined(name, frame, report)
        progress(len(places), len(places), "")


def _of_pairs(
    folder: Path,
    settings: DoctorSettings | None,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> Iterator[Examined]:
    pairs = read_pairs(folder)
    for number, pair in enumerate(pairs):
        if cancelled():
            return
        progress(number, len(pairs), pair.name)
        report = examine(pair.frame, pair.atoms, pair.regions, settings=settings)
        yield Examined(pair.name, 0, report)
    progress(len(pairs), len(pairs), "")
