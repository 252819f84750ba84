"""The prediction helper: requests in on stdin, replies out on stdout, until stdin closes.

One thread reads requests, so that a cancellation or the end of stdin is heard while another
request runs; the main thread does the work, one request after another in the order they came.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import torch

from napari_apgan import __version__
from napari_apgan.errors import UserError
from napari_apgan.models.card import resolve_model
from napari_apgan.models.modelfile import Model, load_model

from .files import frame_name, open_reference, write_prediction
from .inference import choose_device, predict_frame
from .prediction import Cancelled
from .protocol import (
    MAX_LINE_BYTES,
    CancelRequest,
    Done,
    Failed,
    PredictRequest,
    Progress,
    QuitRequest,
    Ready,
    Reply,
    Request,
    Result,
    Warmed,
    WarmRequest,
    WasCancelled,
    decode_request,
    encode,
)

#: Models kept in memory; the oldest goes first.
MODELS_KEPT = 3
#: Seconds between two progress replies, so that a pipe nobody reads fills late.
PROGRESS_INTERVAL = 0.1
#: Seconds that a running tile may take after stdin has closed, before it is abandoned.
GRACE = 10.0


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


class Server:
    """Answers requests from one stream on another.

    Parameters
    ----------
    requests, replies : binary file
    abandon : callable, optional
        Called when work still hangs some seconds after stdin has closed.
    """

    def __init__(
        self,
        requests: BinaryIO,
        replies: BinaryIO,
        abandon: Callable[[], None] | None = None,
    ) -> None:
        self._abandon = abandon
        self._requests = requests
        self._replies = replies
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[PredictRequest | WarmRequest | None] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        self._known: set[str] = set()
        self._ended = threading.Event()
        self._finished = threading.Event()
        self._models = ModelCache()

    def serve(self) -> None:
        """Say `ready`, then work until stdin closes or `quit` arrives."""
        device = choose_device("auto")
        self._send(Ready(device=str(device), torch=str(torch.__version__), version=__version__))
        threading.Thread(target=self._listen, name="requests", daemon=True).start()
        while (request := self._queue.get()) is not None:
            self._answer(request)
        self._finished.set()

    def _send(self, reply: Reply) -> None:
        with self._lock:
            try:
                self._replies.write(encode(reply))
                self._replies.flush()
            except (OSError, ValueError):
                self._ended.set()  # nobody reads any more; stdin will close too

    def _listen(self) -> None:
        """Read requests until the stream ends; runs in its own thread."""
        while line := self._requests.readline(MAX_LINE_BYTES):
            if not line.strip():
                continue
            try:
                request = decode_request(line)
            except ValueError as error:
                self._send(Failed(id="", sentence=str(error)))
                continue
            if not self._accept(request):
                break
        self._ended.set()
        self._queue.put(None)
        # A tile that hangs (a lost GPU) must not keep the process after its window has gone.
        if not self._finished.wait(GRACE) and self._abandon is not None:
            self._abandon()

    def _accept(self, request: Request) -> bool:
        """Queue or act on a request; False ends the listening."""
        if isinstance(request, QuitRequest):
            return False
        if isinstance(request, CancelRequest):
            if request.id in self._known:
                self._cancelled.add(request.id)
            return True
        if isinstance(request, PredictRequest):
            self._known.add(request.id)
        self._queue.put(request)
        return True

    def _answer(self, request: PredictRequest | WarmRequest) -> None:
        """Do one request; whatever it raises becomes a reply."""
        try:
            if isinstance(request, WarmRequest):
                self._warm(request)
            else:
                self._predict(request)
        except Cancelled:
            self._send(WasCancelled(id=request.id))
        except UserError as error:
            self._send(Failed(id=request.id, sentence=str(error)))
        except Exception as error:  # the helper outlives everything that a request may bring
            self._send(
                Failed(
                    id=request.id,
                    sentence=f"The prediction failed ({type(error).__name__}: {error}). "
                    "Copy the details into a report.",
                    details=traceback.format_exc(),
                )
            )
        finally:
            self._known.discard(request.id)
            self._cancelled.discard(request.id)

    def _warm(self, request: WarmRequest) -> None:
        path = resolve_model(request.model)
        model = self._models.get(path, str(choose_device(request.device)))
        elements = tuple(e.name for e in model.card.elements)
        self._send(Warmed(id=request.id, model=str(path), elements=elements))

    def _predict(self, request: PredictRequest) -> None:
        began = time.perf_counter()
        self._check(request.id)
        path = resolve_model(request.model)
        model = self._models.get(path, str(choose_device(request.device)))
        source = open_reference(request.source)
        frames = range(source.n_frames) if request.frames is None else request.frames
        for position, index in enumerate(frames):
            self._check(request.id)
            frame_began = time.perf_counter()
            prediction = predict_frame(
                model,
                source.frame(index),
                threshold=request.threshold,
                refine=request.refine,
                box=request.box,
                device=request.device,
                tta=request.tta,
                progress=self._progress(request.id, position, len(frames)),
                cancelled=lambda: self._is_cancelled(request.id),
            )
            name = frame_name(index)
            files = write_prediction(request.out_dir, name, prediction, maps=request.maps)
            self._send(
                Result(
                    id=request.id,
                    frame=index,
                    atoms=str(files.atoms),
                    maps=None if files.maps is None else str(files.maps),
                    box=prediction.box,
                    elements=prediction.elements,
                    n_atoms=len(prediction.atoms),
                    notes=prediction.notes,
                    seconds=time.perf_counter() - frame_began,
                )
            )
        seconds = time.perf_counter() - began
        self._send(Done(id=request.id, n_frames=len(frames), seconds=seconds))

    def _progress(self, id: str, position: int, n_frames: int) -> _ProgressReplies:
        return _ProgressReplies(self._send, id, position, n_frames)

    def _is_cancelled(self, id: str) -> bool:
        return self._ended.is_set() or id in self._cancelled

    def _check(self, id: str) -> None:
        if self._is_cancelled(id):
            raise Cancelled


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
