"""A folder of many files as a table: what each is, what it shows, and whether a model fits it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError
from napari_apgan.frames import Progress, Source
from napari_apgan.io import READABLE, content_hash, open_source

from .survey_fit import (
    SurveyReference,
    compare,
    judge,
    lattice_of,
    reference_from_frame,
    reference_from_model,
)
from .survey_image import Shown, likeness, show
from .survey_row import SurveyRow

__all__ = [
    "SeenFiles",
    "SurveyReference",
    "SurveyRow",
    "find_images",
    "reference_from_frame",
    "reference_from_model",
    "survey_file",
    "survey_folder",
]

#: Small pictures more alike than this are of one image, saved again or exposed again.
SAME_PICTURE = 0.97


@dataclass(slots=True)
class SeenFiles:
    """What is kept of the files so far, to know duplicates: 2 kB a file."""

    by_hash: dict[str, Path] = field(default_factory=dict)
    thumbs: list[tuple[Path, tuple[int, int], NDArray[np.float16]]] = field(default_factory=list)


def find_images(folder: str | os.PathLike[str], *, recursive: bool = True) -> list[Path]:
    """Return the files of a folder that may be images, in the order of their names.

    Hidden files, projects (``*.apgan``), and ``.emi`` files beside their ``.ser`` are passed over.

    Raises
    ------
    UserError
        When there is no such folder, or it holds no image.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"There is no folder {root}.")
    found = []
    for here, folders, names in os.walk(root, onerror=None):
        folders[:] = sorted(f for f in folders if recursive and f[0] != "." and f[-6:] != ".apgan")
        stems = [re.sub(r"_\d+$", "", Path(n).stem) for n in names if n.lower().endswith(".ser")]
        for name in sorted(names):
            suffix = Path(name).suffix.lower()
            beside = suffix == ".emi" and Path(name).stem in stems
            if suffix in READABLE and name[0] != "." and not beside:
                found.append(Path(here) / name)
    if not found:
        raise UserError(f"{root} holds no image that can be read.")
    return sorted(found)


def survey_folder(
    folder: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    reference: SurveyReference | None = None,
    recursive: bool = True,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[SurveyRow]:
    """Look at every file of a folder, one row at a time.

    Of each file only its first frame is read, and nothing of it is kept but its hash and a small
    picture.

    Parameters
    ----------
    folder : path, or iterable of paths
    reference : SurveyReference, optional
        The model or the labelled image that the files are to fit.
    recursive : bool
    progress : callable, optional
        Called with (done, total, name) before each file and after the last.
    cancelled : callable, optional
        Asked before each file.

    Yields
    ------
    SurveyRow

    Raises
    ------
    UserError
        When the folder cannot be read; a file that cannot only says so in its row.
    """
    if isinstance(folder, (str, os.PathLike)):
        files = find_images(folder, recursive=recursive)
    else:
        files = [Path(f) for f in folder]
    seen = SeenFiles()
    for number, path in enumerate(files):
        if cancelled is not None and cancelled():
            return
        if progress is not None:
            progress(number, len(files), path.name)
        yield survey_file(path, reference=reference, seen=seen)
    if progress is not None:
        progress(len(files), len(files), "")


def survey_file(
    path: str | os.PathLike[str],
    *,
    reference: SurveyReference | None = None,
    seen: SeenFiles | None = None,
) -> SurveyRow:
    """Look at one file; what is wrong with it stands in the row.

    Parameters
    ----------
    path : path
    reference : SurveyReference, optional
    seen : SeenFiles, optional
        The files before it, which it is compared with and added to.
    """
    begun = time.perf_counter()
    file = Path(path)
    seen = SeenFiles() if seen is None else seen
    try:
        digest = content_hash(file)
        source = open_source(file)
        frame = source.frame(0)
    except UserError as error:
        fits = None if reference is None else False
        spent = time.perf_counter() - begun
        return SurveyRow(file, error=str(error), fits=fits, why=str(error), seconds=spent)
    shown = show(frame)
    duplicate = seen.by_hash.setdefault(digest, file)
    twin, alike = (None, 0.0) if duplicate != file else _twin(seen, frame.shape, shown)
    if duplicate == file and not shown.blank:
        seen.thumbs.append((file, frame.shape, shown.thumb))
    found = lattice_of(frame, shown)
    material, scale = compare(frame, shown, reference)
    fits, why = judge(frame, shown, reference, material, scale)
    pixel = frame.calibration
    finest_pm = (
        shown.finest_px * pixel.mean_pm
        if shown.finest_px is not None and pixel.mean_pm is not None
        else None
    )
    return SurveyRow(
        path=file,
        n_frames=source.n_frames,
        shape=frame.shape,
        dtype=str(source.dtype),
        pixel_size_pm=None
        if pixel.y_pm is None or pixel.x_pm is None
        else (pixel.y_pm, pixel.x_pm),
        pixel_note=pixel.note,
        detector=_detector(source),
        magnification=source.metadata.get("magnification", ""),
        title=source.metadata.get("title", ""),
        details=dict(source.metadata),
        sha256=digest,
        duplicate_of=None if duplicate == file else duplicate,
        looks_like=twin,
        likeness=alike,
        blank=shown.blank,
        lattice=found[0],
        spacing_px=found[1],
        spacing_pm=found[2],
        finest_px=shown.finest_px,
        finest_pm=finest_pm,
        material=material,
        scale=scale,
        fits=fits,
        why=why,
        seconds=time.perf_counter() - begun,
    )


def _twin(seen: SeenFiles, shape: tuple[int, int], shown: Shown) -> tuple[Path | None, float]:
    """Return the earlier file whose small picture is nearly the same, and how nearly."""
    best, most = None, SAME_PICTURE
    for path, other_shape, thumb in seen.thumbs:
        aspect = (shape[0] * other_shape[1]) / max(shape[1] * other_shape[0], 1)
        alike = likeness(shown.thumb, thumb) if 0.98 < aspect < 1.02 else 0.0
        if alike >= most:
            best, most = path, alike
    return best, most if best is not None else 0.0


def _detector(source: Source) -> str:
    """Return the detector that the file or its title names."""
    for key in ("detector", "signal", "signal type"):
        if source.metadata.get(key):
            return source.metadata[key]
    words = f"{source.metadata.get('title', '')} {source.name}"
    found = re.search(
        r"(?<![A-Za-z])(HAADF|LAADF|ADF|ABF|iDPC|DPC|BF|HRTEM|TEM)(?![A-Za-z])", words
    )
    return found[1] if found else ""
