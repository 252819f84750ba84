"""The window's end of a helper: a process that works beside the window and dies with it.

The process holds what is heavy; this side only writes and reads lines. It runs at low priority, is
started again after a crash, and is ended with its window.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from napari_apgan.serving import (
    CancelRequest,
    Failed,
    LineDecoder,
    Message,
    Progress,
    QuitRequest,
    WasCancelled,
    encode,
)

#: Crashes within one wish after which no further start is tried by itself.
CRASHES_BORNE = 3
#: The end of what the helper printed that is kept for a report (lines).
LOG_LINES = 60
#: How long the helper may take to end by itself when the window closes (ms).
GRACE_MS = 400


class HelperProcess(QObject):
    """Sends requests to a helper and hands its replies on.

    Requests made before the process is ready wait for it; those under way when it crashes are
    asked again once, since the helper keeps nothing that is lost with it.

    Parameters
    ----------
    name : str
        For messages: ``prediction``.
    command : list of str
        The process to start.
    decoder : callable
        Makes what puts its replies together.
    parent : QObject, optional
    """

    ready = Signal(object)  # the helper's own Ready
    progress = Signal(object)  # Progress
    failed = Signal(object)  # Failed
    cancelled = Signal(object)  # WasCancelled
    restarted = Signal(str, str)  # sentence, details
    busy_changed = Signal(bool)

    def __init__(
        self,
        name: str,
        command: list[str],
        decoder: Callable[[], LineDecoder[Any]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._name, self._command, self._new_decoder = name, command, decoder
        self._process: QProcess | None = None
        self._decoder = decoder()
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._waiting: list[Any] = []
        self._open: dict[str, Any] = {}
        self._retried: set[str] = set()
        self._crashes = 0
        self._ending = False
        self._number = 0
        self.info: Any = None

    # ------------------------------------------------------------------ state

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def busy(self) -> bool:
        """Whether a request is under way or waits."""
        return bool(self._open)

    @property
    def process_id(self) -> int:
        """Its number on this system; 0 when there is none."""
        return int(self._process.processId()) if self._process is not None else 0

    @property
    def log(self) -> str:
        """The end of what the helper printed."""
        return "\n".join(self._log)

    def new_id(self) -> str:
        """Return a name that no request had before."""
        self._number += 1
        return f"{self._name[0]}{self._number}"

    # ------------------------------------------------------------------ requests

    def start(self) -> None:
        """Start the process if it does not run; the window does not wait for it."""
        if self._process is not None or self._ending:
            return
        process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUNBUFFERED", "1")
        environment.insert("PYTHONIOENCODING", "utf-8")
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._read_log)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        process.started.connect(self._on_started)
        self._decoder = self._new_decoder()
        self._process = process
        process.start(self._command[0], self._command[1:])

    def ask(self, request: Message) -> None:
        """Make a request; replies carry its `id`, and the last one ends it."""
        if not self._open:
            self._crashes = 0
        was_busy = self.busy
        self._open[request.id] = request
        self.send(request)
        if not was_busy:
            self.busy_changed.emit(True)

    def cancel(self, request_id: str) -> None:
        """End a request; `cancelled` or, if it was faster, `done` follows."""
        if request_id not in self._open:
            return
        waiting = [r for r in self._waiting if getattr(r, "id", "") == request_id]
        if waiting:  # it was never sent
            self._waiting = [r for r in self._waiting if r not in waiting]
            self._close(request_id)
            self.cancelled.emit(WasCancelled(id=request_id))
            return
        self.send(CancelRequest(id=request_id))

    def cancel_all(self) -> None:
        """End every request."""
        for request_id in list(self._open):
            self.cancel(request_id)

    def stop(self) -> None:
        """End the process with its window; nothing is sent any more afterwards."""
        self._ending = True
        process, self._process = self._process, None
        self._waiting, self._open = [], {}
        if process is None:
            return
        process.blockSignals(True)
        if process.state() == QProcess.ProcessState.Running:
            process.write(encode(QuitRequest()))
            process.closeWriteChannel()
            if not process.waitForFinished(GRACE_MS):
                process.kill()
                process.waitForFinished(2000)
        elif process.state() == QProcess.ProcessState.Starting:
            process.kill()
            process.waitForFinished(2000)
        process.deleteLater()

    def send(self, request: Message) -> None:
        """Write a request for which nobody waits, now or when the process is ready."""
        self.start()
        if self._process is not None and self.info is not None:
            self._process.write(encode(request))
        elif not self._ending:
            self._waiting.append(request)

    # ------------------------------------------------------------------ the process

    def _on_started(self) -> None:
        """Take the helper down in priority: the window comes first."""
        pid = self.process_id
        if not pid:
            return
        if sys.platform == "win32":
            _lower_priority_windows(pid)
            return
        try:
            os.setpriority(os.PRIO_PROCESS, pid, 10)
        except OSError:
            self._log.append("its priority could not be lowered")

    def _read(self) -> None:
        process = self._process
        if process is None:
            return
        for reply in self._decoder.feed(bytes(process.readAllStandardOutput().data())):
            self._hand_on(reply)

    def _read_log(self) -> None:
        process = self._process
        if process is None:
            return
        text = bytes(process.readAllStandardError().data()).decode("utf-8", errors="replace")
        self._log.extend(text.splitlines())

    def _hand_on(self, reply: Any) -> None:
        if reply.event == "ready":
            self.info = reply
            waiting, self._waiting = self._waiting, []
            for request in waiting:
                self.send(request)
            self.ready.emit(reply)
        elif isinstance(reply, Progress):
            self.progress.emit(reply)
        elif isinstance(reply, Failed):
            self._close(reply.id)
            self.failed.emit(reply)
        elif isinstance(reply, WasCancelled):
            self._close(reply.id)
            self.cancelled.emit(reply)
        else:
            self._crashes = 0
            self.take(reply)

    def take(self, reply: Any) -> None:
        """Hand on a reply that this helper alone gives."""
        raise NotImplementedError

    def _close(self, request_id: str) -> None:
        if self._open.pop(request_id, None) is not None and not self._open:
            self.busy_changed.emit(False)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        # Every other error is followed by `finished`.
        if error == QProcess.ProcessError.FailedToStart and not self._ending:
            self._log.append(f"{self._command[0]} could not be started")
            self._fail_all(f"The {self._name} helper could not be started: reinstall napari-apgan.")
            self._forget_process()

    def _on_finished(self, *_: object) -> None:
        if self._ending:
            return
        self._read_log()
        self._forget_process()
        self._crashes += 1
        if self._crashes >= CRASHES_BORNE:
            self._fail_all(
                f"The {self._name} helper keeps stopping, so it is left alone until it is asked "
                "again: copy the details into a report."
            )
            return
        unsent = {r.id for r in self._waiting}
        for request in list(self._open.values()):
            if request.id in self._retried and request.id not in unsent:
                self._close(request.id)
                self.failed.emit(
                    Failed(
                        id=request.id,
                        sentence=f"The {self._name} helper stopped twice at this {self._name}: "
                        "try a smaller one.",
                        details=self.log,
                    )
                )
        self._retried |= {i for i in self._open if i not in unsent}
        rest = [r for r in self._waiting if r.id not in self._open]
        self._waiting = [*rest, *self._open.values()]
        self.restarted.emit(
            f"The {self._name} helper stopped unexpectedly and was started again.", self.log
        )
        # Not from within the dead process's own signal.
        QTimer.singleShot(0, self.start)

    def _forget_process(self) -> None:
        process, self._process = self._process, None
        self.info = None
        if process is not None:
            process.deleteLater()

    def _fail_all(self, sentence: str) -> None:
        self._waiting = []
        for request_id in list(self._open):
            self._close(request_id)
            self.failed.emit(Failed(id=request_id, sentence=sentence, details=self.log))
        if not self._ending and self._crashes >= CRASHES_BORNE:
            self.restarted.emit(sentence, self.log)


def _lower_priority_windows(pid: int) -> None:
    """Set BELOW_NORMAL; a failure costs nothing but fluency."""
    import ctypes

    set_information, below_normal = 0x0200, 0x4000
    kernel = ctypes.windll.kernel32
    handle = kernel.OpenProcess(set_information, False, pid)
    if handle:
        kernel.SetPriorityClass(handle, below_normal)
        kernel.CloseHandle(handle)
