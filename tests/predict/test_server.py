"""The helper process, started for real."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io import read_atoms
from napari_apgan.models.modelfile import save_model
from napari_apgan.predict.files import read_prediction
from napari_apgan.predict.protocol import (
    LANGUAGE,
    CancelRequest,
    Detected,
    DetectRequest,
    Done,
    Failed,
    PredictRequest,
    Progress,
    QuitRequest,
    Ready,
    Result,
    SourceRef,
    Warmed,
    WarmRequest,
    WasCancelled,
    encode,
)
from napari_apgan.predict.server import ModelCache, Server

from .client import Helper
from .conftest import PIXEL_PM, make_model

WAIT = 120


@pytest.fixture(scope="module")
def helper():
    with Helper() as running:
        yield running
    assert running.returncode == 0, running.log


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "layer.npy"
    rng = np.random.default_rng(0)
    np.save(path, rng.normal(100, 10, (3, 90, 80)).astype(np.float32))
    return path


def ask(model: Path, image: Path, out: Path, **changes: object) -> PredictRequest:
    calibration = Calibration.from_pixel_size(PIXEL_PM, origin="user")
    request = PredictRequest(
        id="7",
        model=str(model),
        source=SourceRef(path=str(image), calibration=calibration),
        out_dir=str(out),
        refine=False,
        device="cpu",
    )
    return request.model_copy(update=changes)


def test_the_helper_says_what_it_runs_on(helper):
    assert helper.ready.device in {"cpu", "cuda", "mps"}
    assert helper.ready.torch[0].isdigit()


def test_atoms_are_detected_without_a_model_of_ones_own(helper, image, tmp_path):
    request = DetectRequest(
        id="d", source=SourceRef(path=str(image)), frame=1, out_dir=str(tmp_path), polarity="dark"
    )
    replies = list(helper.run(request, WAIT))
    found = replies[-1]
    assert isinstance(found, Detected)
    assert (found.id, found.frame) == ("d", 1)
    table = read_atoms(found.atoms)
    assert len(table) == found.n_atoms
    assert "dark" in found.sentence
    with pytest.raises(ValueError, match="polarity"):
        DetectRequest(id="d", source=SourceRef(path=str(image)), out_dir="o", polarity="grey")


def test_a_series_comes_back_frame_by_frame(helper, model_file, image, tmp_path):
    replies = list(helper.run(ask(model_file, image, tmp_path / "out"), WAIT))
    results = [r for r in replies if isinstance(r, Result)]
    assert [r.frame for r in results] == [0, 1, 2]
    assert isinstance(replies[-1], Done)
    assert replies[-1].n_frames == 3
    for result in results:
        found = read_prediction(tmp_path / "out", f"{result.frame:05d}")
        assert Path(result.atoms).parent == tmp_path / "out"
        assert len(found.atoms) == result.n_atoms
        assert found.maps.shape == (2, 90, 80)
        assert found.elements == result.elements == ("Pb", "Ti")
        assert (found.atoms["frame"] == result.frame).all()
    shares = [r.done / r.total for r in replies if isinstance(r, Progress)]
    assert shares == sorted(shares)


def test_a_region_of_one_frame_without_maps(helper, model_file, image, tmp_path):
    request = ask(model_file, image, tmp_path, frames=(1,), box=(10, 20, 60, 70), maps=False)
    (result,) = [r for r in helper.run(request, WAIT) if isinstance(r, Result)]
    assert result.frame == 1
    assert result.maps is None
    assert result.box == (10, 20, 60, 70)
    assert not list(tmp_path.glob("*.maps.tif"))


def test_deviations_are_files_of_the_result_where_they_are_asked_for(
    helper, model_file, image, tmp_path
):
    request = ask(model_file, image, tmp_path, frames=(0,), uncertainty="map")
    (result,) = [r for r in helper.run(request, WAIT) if isinstance(r, Result)]
    assert Path(result.deviation) == tmp_path / "00000.deviation.tif"
    found = read_prediction(tmp_path, "00000")
    assert found.deviation.shape == found.maps.shape
    (result,) = [
        r
        for r in helper.run(ask(model_file, image, tmp_path, frames=(0,)), WAIT)
        if isinstance(r, Result)
    ]
    assert result.deviation is None
    assert not (tmp_path / "00000.deviation.tif").exists()


def test_the_bundled_network_predicts_under_the_name_it_is_given(helper, image, tmp_path):
    request = ask("bundled", image, tmp_path, frames=(0,), polarity="dark", element="O")
    (result,) = [r for r in helper.run(request, WAIT) if isinstance(r, Result)]
    assert result.elements == ("O",)
    assert "dark" in result.notes[0]
    assert set(read_prediction(tmp_path, "00000").atoms["element"]) <= {"O"}


def test_warming_loads_the_model(helper, model_file):
    (reply,) = helper.run(WarmRequest(id="w", model=str(model_file)), WAIT)
    assert isinstance(reply, Warmed)
    assert reply.elements == ("Pb", "Ti")


def test_bad_requests_get_a_sentence_and_the_helper_lives_on(helper, model_file, image, tmp_path):
    for line in (b"nonsense\n", b'{"op": "fly"}\n', b"\xff\n", b"[1, 2]\n"):
        helper.send_line(line)
        reply = helper.receive(WAIT)
        assert isinstance(reply, Failed)
        assert reply.sentence.startswith("This is no request")
    bad = [
        ask(tmp_path / "none.safetensors", image, tmp_path),
        ask(image, image, tmp_path),
        ask(model_file, tmp_path / "none.tif", tmp_path),
        ask(model_file, image, tmp_path, frames=(5,)),
        ask(model_file, image, tmp_path, device="cuda:99"),
        ask(model_file, image, tmp_path, box=(500, 500, 600, 600)),
    ]
    for request in bad:
        reply = list(helper.run(request, WAIT))[-1]
        assert isinstance(reply, Failed)
        assert reply.details == ""
        assert reply.sentence.endswith(".")
        assert "Traceback" not in reply.sentence
    assert isinstance(list(helper.run(ask(model_file, image, tmp_path), WAIT))[-1], Done)


def test_waiting_and_running_requests_can_be_cancelled(helper, model_file, image, tmp_path):
    stack = np.random.default_rng(0).normal(100, 10, (60, 300, 300)).astype(np.float32)
    np.save(tmp_path / "long.npy", stack)
    helper.send(ask(model_file, tmp_path / "long.npy", tmp_path / "a", id="running"))
    helper.send(ask(model_file, image, tmp_path / "b", id="waiting"))
    ended: dict[str, object] = {}
    results = 0
    while len(ended) < 2:
        reply = helper.receive(WAIT)
        if isinstance(reply, Result) and reply.id == "running":
            results += 1
            if results == 1:
                helper.cancel("waiting")
                helper.cancel("running")
        elif isinstance(reply, Done | Failed | WasCancelled):
            ended[reply.id] = reply
    assert isinstance(ended["running"], WasCancelled)
    assert isinstance(ended["waiting"], WasCancelled)
    assert results < 60
    assert not (tmp_path / "b").exists()
    # A cancelled id is free again.
    again = list(helper.run(ask(model_file, image, tmp_path / "b", id="waiting"), WAIT))
    assert isinstance(again[-1], Done)


def test_the_helper_ends_when_stdin_closes_and_keeps_stdout_clean(model_file, image, tmp_path):
    """Closed in the middle of a prediction; what anything prints goes to stderr."""
    process = subprocess.Popen(
        LANGUAGE.command(sys.executable),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    requests = encode(ask(model_file, image, tmp_path, id="a")) * 20
    out, _ = process.communicate(requests, timeout=WAIT)
    assert process.returncode == 0
    lines = out.splitlines()
    assert json.loads(lines[0])["event"] == "ready"
    decoder = LANGUAGE.replies()
    assert len(decoder.feed(out)) == len(lines)
    assert decoder.strays == []


def test_what_libraries_print_goes_to_stderr():
    code = (
        "import os, sys\n"
        "from napari_apgan.serving import keep_stdout_clean\n"
        "protocol = keep_stdout_clean()\n"
        "print('from python'); os.write(1, b'from C\\n'); sys.stdout.flush()\n"
        "protocol.write(b'reply\\n'); protocol.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.split() == [b"reply"]
    assert b"from python" in done.stderr
    assert b"from C" in done.stderr


def test_a_helper_that_does_not_start_is_reported():
    with pytest.raises(UserError, match="helper"):
        Helper(start_timeout=0.001)


def test_a_model_is_loaded_again_when_its_file_has_changed(tmp_path):
    path = tmp_path / "m.safetensors"
    first = make_model("fast", seed=0)
    save_model(path, first.network, first.card)
    cache = ModelCache()
    loaded = cache.get(path, "cpu")
    assert cache.get(path, "cpu") is loaded
    second = make_model("fast", seed=1)
    save_model(path, second.network, second.card)
    assert cache.get(path, "cpu") is not loaded


def test_a_fault_in_the_program_is_a_reply_with_details(model_file, image, tmp_path, monkeypatch):
    def fall(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("napari_apgan.predict.server.predict_frame", fall)
    replies = serve([ask(model_file, image, tmp_path)])
    assert isinstance(replies[0], Ready)
    (failed,) = [r for r in replies if isinstance(r, Failed)]
    assert "by nought" in failed.sentence
    assert "Traceback" in failed.details


def test_quit_and_unknown_cancellations_are_no_trouble(model_file):
    replies = serve([CancelRequest(id="never"), WarmRequest(id="w", model=str(model_file))])
    assert [r.event for r in replies] == ["ready", "warmed"]


class _Lines(io.BytesIO):
    """Requests that end, like a pipe, only once everything asked for was answered."""

    def __init__(self, content: bytes, answered: threading.Event) -> None:
        super().__init__(content)
        self._answered = answered

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        if json.loads(line)["op"] == "quit":
            self._answered.wait(WAIT)
        return line


class _Replies(io.BytesIO):
    """Notices the last reply to a request."""

    def __init__(self, answered: threading.Event) -> None:
        super().__init__()
        self._answered = answered

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if json.loads(data)["event"] in {"done", "failed", "warmed", "cancelled"}:
            self._answered.set()
        return super().write(data)


def serve(requests: list) -> list:
    """Run a server in this process until the first request is answered."""
    answered = threading.Event()
    stream = b"".join(encode(r) for r in [*requests, QuitRequest()])
    replies = _Replies(answered)
    Server(_Lines(stream, answered), replies).serve()
    return LANGUAGE.replies().feed(replies.getvalue())
