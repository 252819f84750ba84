"""Predict many files: every frame once, results written as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock

from napari_apgan.atoms import concat
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Missing, Progress, Source
from napari_apgan.io import READABLE, open_source, read_atoms, write_atoms

from .files import ATOMS_SUFFIX, describe, file_stem, write_prediction
from .mapstore import MapStore
from .prediction import IsCancelled, Prediction, Uncertainty

if TYPE_CHECKING:
    from napari_apgan.models.modelfile import Model

#: Frames of a series after which its atom table is first written; then each time they double, so
#: that all the writing costs no more than twice the last.
FIRST_SAVE = 25

Shard = tuple[int, int]


def predict_files(
    model_path: str | Path,
    inputs: Sequence[str | Path],
    out_dir: str | Path,
    *,
    maps: bool = False,
    tta: bool = False,
    uncertainty: Uncertainty = "none",
    device: str = "auto",
    shard: Shard | None = None,
    calibration: Calibration | None = None,
    missing: Missing = "auto",
    refine: bool = True,
    threshold: float | None = None,
    polarity: Polarity = "bright",
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
    on_prediction: Callable[[Source, int, Prediction], None] | None = None,
) -> list[Path]:
    """Predict every frame of every input.

    A single image gives ``NAME.atoms.csv`` and, with `maps`, ``NAME.maps.tif``; a series one
    ``NAME.atoms.csv`` with the number of the frame, and ``NAME.maps.zarr``. With an `uncertainty`
    there are the maps' deviations beside them, ``NAME.deviation.tif`` or ``.zarr``.

    Parameters
    ----------
    model_path : path or str
        A model file, a run folder, or ``bundled``.
    inputs : sequence of path
        Images, series, and folders of them.
    out_dir : path
    maps, tta, refine : bool
        Whether to write the maps, to average over eight symmetries, to refine on the raw image.
    uncertainty : {"none", "map", "symmetry"}
        Where the deviations of the maps' pixels come from, see
        :func:`napari_apgan.predict.inference.predict_frame`; the maps are then written too.
    device : str
    shard : (index from 0, count), optional
        Do one part of the work: every count-th single image, a run of frames of each series. The
        table of a series is put together by the part that ends last.
    calibration : Calibration, optional
        Takes the place of what the files say.
    missing : Missing
    threshold : float, optional
        The model's own by default.
    polarity : {"bright", "dark"}
        How the atoms look, for a model that knows them by their contrast alone.
    progress : callable, optional
        Called after each tile with frames done, frames in all, and the name.
    cancelled : callable, optional
    on_prediction : callable, optional
        Called with the source, the number of the frame and its prediction, after each.

    Returns
    -------
    list of Path
        Files written, tables and maps.

    Raises
    ------
    UserError
        When there is nothing to predict, two inputs have one name, or a file or the model cannot
        be used.
    """
    from napari_apgan.models.modelfile import load_model

    from .inference import choose_device

    files = _expand(inputs)
    model = load_model(model_path, device=str(choose_device(device)))
    options = _Options(
        Path(out_dir),
        maps or uncertainty != "none",
        tta,
        uncertainty,
        device,
        refine,
        threshold,
        polarity,
        cancelled,
        on_prediction,
    )
    written: list[Path] = []
    for position, (name, path) in enumerate(files.items()):
        source = open_source(path, missing=missing, calibration=calibration)
        report = _FilesProgress(progress, position, len(files), name)
        if source.n_frames > 1:
            written += _predict_series(model, source, name, options, shard, report)
        elif shard is None or position % shard[1] == shard[0]:
            prediction = options.predict(model, source, 0, report)
            out = write_prediction(options.out_dir, name, prediction, maps=options.maps)
            written += [p for p in (out.atoms, out.maps, out.deviation) if p is not None]
    return written


class _Options:
    """What holds for all frames."""

    def __init__(
        self,
        out_dir: Path,
        maps: bool,
        tta: bool,
        uncertainty: Uncertainty,
        device: str,
        refine: bool,
        threshold: float | None,
        polarity: Polarity,
        cancelled: IsCancelled | None,
        on_prediction: Callable[[Source, int, Prediction], None] | None,
    ) -> None:
        self.out_dir = out_dir
        self.maps = maps
        self._tta, self._device, self._refine = tta, device, refine
        self._uncertainty: Uncertainty = uncertainty
        self._threshold, self._cancelled = threshold, cancelled
        self._polarity: Polarity = polarity
        self._on_prediction = on_prediction

    def predict(
        self, model: Model, source: Source, index: int, progress: _FilesProgress
    ) -> Prediction:
        from .detect import detect_with
        from .inference import predict_frame

        how: dict[str, Any] = {
            "threshold": self._threshold,
            "refine": self._refine,
            "device": self._device,
            "tta": self._tta,
            "uncertainty": self._uncertainty,
            "progress": progress.frame(index, source.n_frames),
            "cancelled": self._cancelled,
        }
        frame = source.frame(index)
        if model.card.by_contrast:
            found = detect_with(model, frame, polarity=self._polarity, **how)
            prediction = found.as_prediction(frame.calibration)
        else:
            prediction = predict_frame(model, frame, **how)
        if self._on_prediction is not None:
            self._on_prediction(source, index, prediction)
        return prediction


class _FilesProgress:
    """Counts in thousandths of a file, since files hold different numbers of frames."""

    def __init__(self, progress: Progress | None, position: int, n_files: int, name: str) -> None:
        self._progress, self._position, self._n_files = progress, position, n_files
        self._name = name

    def frame(self, index: int, n_frames: int) -> Progress:
        """Return what a frame of the file reports its tiles to."""

        def report(done: int, total: int, what: str) -> None:
            if self._progress is not None:
                share = (index + done / max(total, 1)) / n_frames
                steps = round(1000 * (self._position + share))
                self._progress(steps, 1000 * self._n_files, f"{what} {self._name}")

        return report


def _expand(inputs: Sequence[str | Path]) -> dict[str, Path]:
    """Return the files to predict by the name of their results, folders opened."""
    paths: list[Path] = []
    for given in map(Path, inputs):
        if given.is_dir():
            inner = [p for p in given.iterdir() if p.suffix.lower() in READABLE]
            if not inner:
                raise UserError(f"The folder {given} holds no image that can be read.")
            paths += sorted(inner)
        else:
            paths.append(given)
    if not paths:
        raise UserError("There is nothing to predict: name at least one image.")
    files: dict[str, Path] = {}
    for path in paths:
        name = file_stem(path.stem)
        if name in files:
            # Detectors and formats of one name: the suffix tells them apart.
            name = file_stem(path.name.replace(".", "_"))
        if name in files:
            raise UserError(
                f"Two inputs are called {path.name}: predict them into different folders."
            )
        files[name] = path
    return files


def _predict_series(
    model: Model,
    source: Source,
    name: str,
    options: _Options,
    shard: Shard | None,
    progress: _FilesProgress,
) -> list[Path]:
    """Predict a series, or the shard's run of its frames."""
    part, parts = shard or (0, 1)
    frames = range(source.n_frames * part // parts, source.n_frames * (part + 1) // parts)
    table = options.out_dir / f"{name}{ATOMS_SUFFIX}"
    own = table if parts == 1 else _part_path(table, part, parts)
    stores: dict[str, MapStore] = {}
    done: list[pd.DataFrame] = []
    comments: list[str] = []
    next_id, next_save = 0, FIRST_SAVE
    written: list[Path] = []
    for count, index in enumerate(frames, start=1):
        prediction = options.predict(model, source, index, progress)
        if options.maps:
            for what, maps in (("maps", prediction.maps), ("deviation", prediction.deviation)):
                if maps is None:
                    continue
                if what not in stores:
                    path = options.out_dir / f"{name}.{what}.zarr"
                    stores[what] = MapStore(
                        path,
                        (source.n_frames, *maps.shape),
                        prediction.elements,
                        source.calibration,
                        fresh=parts == 1,
                    )
                    written.append(path)
                stores[what].write(index, maps)
        done.append(prediction.atoms.assign(id=prediction.atoms["id"] + next_id))
        next_id += len(prediction.atoms)
        comments += [c for c in describe(prediction) if c not in comments]
        if count == next_save or count == len(frames):
            next_save *= 2
            write_atoms(concat(done), own, comments=comments)
    if parts > 1:
        if not frames:
            write_atoms(concat([]), own)
        _merge_parts(table, parts)
        return [*written, own if own.is_file() else table]
    return [*written, own]


def _part_path(table: Path, part: int, parts: int) -> Path:
    """Name a part's table so that nothing takes it for a whole one."""
    return table.with_name(
        f"{table.name.removesuffix(ATOMS_SUFFIX)}.atoms.part-{part + 1}-of-{parts}.csv"
    )


def _merge_parts(table: Path, parts: int) -> None:
    """Put the parts of a series together, and remove them, once all are there."""
    with FileLock(table.with_name(f".{table.name}.lock")):
        paths = [_part_path(table, k, parts) for k in range(parts)]
        if not all(path.is_file() for path in paths):
            return
        atoms = concat([read_atoms(path) for path in paths])
        write_atoms(atoms.assign(id=range(len(atoms))), table, comments=["predicted atoms"])
        for path in paths:
            path.unlink()
