"""The prediction helper: requests in on stdin, replies out on stdout, until stdin closes.

One thread reads requests, so that a cancellation or the end of stdin is heard while another
request runs; the main thread does the work, one request after another in the order they came.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from napari_apgan import __version__
from napari_apgan.errors import UserError
from napari_apgan.io import write_atoms
from napari_apgan.io.reference import open_reference
from napari_apgan.models.card import resolve_model
from napari_apgan.models.modelfile import Model, load_model
from napari_apgan.names import frame_name
from napari_apgan.serving import PROGRESS_INTERVAL, LineServer

from .detect import detect_with
from .files import ATOMS_SUFFIX, write_prediction
from .inference import choose_device, predict_frame
from .protocol import (
    LANGUAGE,
    Detected,
    DetectRequest,
    Done,
    PredictRequest,
    Progress,
    Ready,
    Reply,
    Request,
    Result,
    Warmed,
    WarmRequest,
)

#: Models kept in memory; the oldest goes first.
MODELS_KEPT = 3


class ModelCache:
    """Loaded models by path, time of change and device."""

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[str, int, str], Model] = OrderedDict()

    def get(self, path: Path, device: str) -> Model:
        """Return the model of a file, loaded again only when the file has changed.

        Raises
        ------
        UserError
            When there is no such file or it is no sound model.
        """
        try:
            key = (str(path.resolve()), path.stat().st_mtime_ns, device)
        except OSError as error:
            raise UserError(f"The model file {path} cannot be read: {error.strerror}.") from error
        if key not in self._models:
            self._models[key] = load_model(path, device=device)
        self._models.move_to_end(key)
        while len(self._models) > MODELS_KEPT:
            self._models.popitem(last=False)
        return self._models[key]


class Server(LineServer):
    """Answers requests to predict; see :class:`napari_apgan.serving.LineServer`."""

    def __init__(
        self,
        requests: BinaryIO,
        replies: BinaryIO,
        abandon: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(requests, replies, abandon)
        self._models = ModelCache()

    def ready(self) -> Ready:
        """Return the first reply."""
        device = choose_device("auto")
        return Ready(device=str(device), torch=str(torch.__version__), version=__version__)

    def decode(self, line: bytes) -> Request:
        """Read a request."""
        return LANGUAGE.request(line)

    def work(self, request: PredictRequest | DetectRequest | WarmRequest) -> None:
        """Do one request."""
        if isinstance(request, WarmRequest):
            self._warm(request)
        elif isinstance(request, DetectRequest):
            self._detect(request)
        else:
            self._predict(request)

    def trouble(self, error: Exception) -> str:
        """Return the sentence for a fault of the program."""
        return (
            f"The prediction failed ({type(error).__name__}: {error}). "
            "Copy the details into a report."
        )

    def _warm(self, request: WarmRequest) -> None:
        path = resolve_model(request.model)
        model = self._models.get(path, str(choose_device(request.device)))
        elements = tuple(e.name for e in model.card.elements)
        self.send(Warmed(id=request.id, model=str(path), elements=elements))

    def _detect(self, request: DetectRequest) -> None:
        began = time.perf_counter()
        self.check(request.id)
        path = resolve_model(request.model)
        model = self._models.get(path, str(choose_device(request.device)))
        frame = open_reference(request.source).frame(request.frame)
        found = detect_with(
            model,
            frame,
            polarity=request.polarity,
            box=request.box,
            threshold=request.threshold,
            element=request.element,
            device=request.device,
            progress=self._progress(request.id, 0, 1),
            cancelled=lambda: self.is_cancelled(request.id),
        )
        table = Path(request.out_dir) / f"{frame_name(request.frame)}{ATOMS_SUFFIX}"
        write_atoms(found.atoms, table, comments=[found.sentence])
        self.send(
            Detected(
                id=request.id,
                frame=request.frame,
                atoms=str(table),
                n_atoms=len(found.atoms),
                spacing_px=found.spacing_px,
                radius_px=found.radius_px,
                sentence=found.sentence,
                notes=found.notes,
                seconds=time.perf_counter() - began,
            )
        )

    def _predict(self, request: PredictRequest) -> None:
        began = time.perf_counter()
        self.check(request.id)
        path = resolve_model(request.model)
        model = self._models.get(path, str(choose_device(request.device)))
        source = open_reference(request.source)
        frames = range(source.n_frames) if request.frames is None else request.frames
        for position, index in enumerate(frames):
            self.check(request.id)
            frame_began = time.perf_counter()
            how: dict[str, Any] = {
                "threshold": request.threshold,
                "refine": request.refine,
                "box": request.box,
                "device": request.device,
                "tta": request.tta,
                "uncertainty": request.uncertainty,
                "progress": self._progress(request.id, position, len(frames)),
                "cancelled": lambda: self.is_cancelled(request.id),
            }
            frame = source.frame(index)
            if model.card.by_contrast:  # it finds out spacing and scale itself
                found = detect_with(
                    model, frame, polarity=request.polarity, element=request.element, **how
                )
                prediction = found.as_prediction(frame.calibration, request.element)
            else:
                prediction = predict_frame(model, frame, **how)
            name = frame_name(index)
            files = write_prediction(request.out_dir, name, prediction, maps=request.maps)
            self.send(
                Result(
                    id=request.id,
                    frame=index,
                    atoms=str(files.atoms),
                    maps=None if files.maps is None else str(files.maps),
                    deviation=None if files.deviation is None else str(files.deviation),
                    box=prediction.box,
                    elements=prediction.elements,
                    n_atoms=len(prediction.atoms),
                    notes=prediction.notes,
                    seconds=time.perf_counter() - frame_began,
                )
            )
        seconds = time.perf_counter() - began
        self.send(Done(id=request.id, n_frames=len(frames), seconds=seconds))

    def _progress(self, id: str, position: int, n_frames: int) -> _ProgressReplies:
        return _ProgressReplies(self.send, id, position, n_frames)


class _ProgressReplies:
    """Turns a frame's progress into that of its whole request, a few times a second."""

    def __init__(
        self, send: Callable[[Reply], None], id: str, position: int, n_frames: int
    ) -> None:
        self._send, self._id = send, id
        self._position, self._n_frames = position, n_frames
        self._last = -PROGRESS_INTERVAL

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if now - self._last < PROGRESS_INTERVAL:
            return
        self._last = now
        self._send(
            Progress(
                id=self._id,
                done=self._position * total + done,
                total=self._n_frames * total,
                what=what,
            )
        )
