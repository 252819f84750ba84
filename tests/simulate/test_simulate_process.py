"""The simulation helper, started for real and in this process."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.io.pairs import read_pairs, write_pairs
from napari_apgan.io.tables import read_atoms
from napari_apgan.simulate import EXAMPLES, simulate_pair
from napari_apgan.simulate import process as module
from napari_apgan.simulate.process import IdealCache, Server
from napari_apgan.simulate.protocol import (
    LANGUAGE,
    CancelRequest,
    Failed,
    Made,
    MakeRequest,
    Matched,
    MatchRequest,
    Previewed,
    PreviewRequest,
    Progress,
    QuitRequest,
    Ready,
    SourceRef,
    WasCancelled,
    encode,
)
from napari_apgan.simulate.settings import changed

SMALL = changed(
    EXAMPLES["graphene"],
    {"shape": (64, 72), "structure": {"holes": 0, "lines": "none", "vacancy_percent": 4.0}},
)
WAIT = 120


def preview(folder: Path, id: str = "p", **changes: object) -> PreviewRequest:
    return PreviewRequest(id=id, settings=changed(SMALL, changes), seed=3, out_dir=str(folder))


@pytest.mark.parametrize(
    "request_",
    [
        PreviewRequest(id="1", settings=EXAMPLES["graphene"], out_dir="größe"),
        MakeRequest(id="2", settings=EXAMPLES["particle"], count=60, out_dir="out"),
        MatchRequest(
            id="3",
            source=SourceRef(path="a.tif"),
            structure=EXAMPLES["particle"].structure,
            mode="haadf",
            out_dir="out",
        ),
        CancelRequest(id="1"),
        QuitRequest(),
    ],
    ids=lambda r: r.op,
)
def test_requests_survive_the_wire(request_):
    assert LANGUAGE.request(encode(request_)) == request_


def test_the_real_helper_previews_makes_and_leaves_torch_alone(tmp_path):
    """Whole, as the window starts it: replies on stdout, pairs on the disk, a clean end."""
    process = subprocess.Popen(
        [*LANGUAGE.command(sys.executable)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    requests = [
        preview(tmp_path / "look", degradation={"loss": "random"}),
        MakeRequest(id="m", settings=SMALL, seed=3, count=3, out_dir=str(tmp_path / "pairs")),
    ]
    for request in requests:
        process.stdin.write(encode(request))
    process.stdin.flush()
    decoder, replies = LANGUAGE.replies(), []
    while not any(isinstance(r, Made | Failed) for r in replies):
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        replies += decoder.feed(line)
    # Closed here, stdin ends the helper.
    _, errors = process.communicate(timeout=WAIT)
    assert process.returncode == 0, errors
    assert decoder.strays == []
    assert isinstance(replies[0], Ready)
    (shown,) = [r for r in replies if isinstance(r, Previewed)]
    (made,) = [r for r in replies if isinstance(r, Made)]
    image = np.load(shown.image, allow_pickle=False)
    known = simulate_pair(changed(SMALL, {"degradation": {"loss": "random"}}), 3, 0)
    assert image.shape == (64, 72)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(np.isfinite(image), known.pair.frame.valid)
    np.testing.assert_array_equal(np.nan_to_num(image), known.pair.frame.data)
    np.testing.assert_allclose(
        positions(read_atoms(shown.atoms)), positions(known.pair.atoms), atol=1e-4
    )
    assert len(read_atoms(shown.vacancies)) == len(known.vacancies) > 0
    assert np.load(shown.expected).shape == (64, 72)
    assert shown.elements == ("C",)
    assert shown.record["degradation"]["lost_fraction"] == pytest.approx(0.3, abs=0.001)
    assert made.names == tuple(f"graphene_{k:04d}" for k in range(3))
    assert [p.name for p in read_pairs(made.folder)] == list(made.names)
    progress = [r.done for r in replies if isinstance(r, Progress)]
    assert progress == sorted(progress)
    assert progress[0] == 1


class _Lines(io.BytesIO):
    """Requests that arrive one after another, each when the one before was answered."""

    def __init__(self, requests: list, answered: threading.Semaphore, at_once: int) -> None:
        super().__init__(b"".join(encode(r) for r in [*requests, QuitRequest()]))
        self._answered, self._at_once, self._count = answered, at_once, len(requests)
        self._read = self._heard = 0

    def readline(self, size: int | None = -1) -> bytes:
        last = self._read == self._count  # the request to quit
        awaited = self._read if last else self._read - self._at_once + 1
        while self._heard < awaited:
            self._answered.acquire(timeout=WAIT)
            self._heard += 1
        self._read += 1
        return super().readline(size)


class _Replies(io.BytesIO):
    """Notices every last reply to a request."""

    def __init__(self, answered: threading.Semaphore) -> None:
        super().__init__()
        self._answered = answered

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if json.loads(data)["event"] in {"previewed", "made", "matched", "failed", "cancelled"}:
            self._answered.release()
        return super().write(data)


def serve(requests: list, at_once: int = 1) -> list:
    """Run a server in this process; the first requests come at once, then one by one."""
    answered = threading.Semaphore(0)
    replies = _Replies(answered)
    Server(_Lines(requests, answered, at_once), replies).serve()
    return LANGUAGE.replies().feed(replies.getvalue())


def test_only_the_noise_is_drawn_anew_when_only_the_noise_changes(tmp_path, monkeypatch):
    drawn = []
    real = module.draw_ideal
    monkeypatch.setattr(module, "draw_ideal", lambda *a: drawn.append(1) or real(*a))
    noises = [{"snr": 1.0}, {"snr": 3.0}, {"snr": 3.0, "jitter_pm": 0.0}]
    replies = serve(
        [preview(tmp_path / str(k), degradation=n) for k, n in enumerate(noises)]
        + [preview(tmp_path / "other", pixel_size_pm=20.0)]
    )
    shown = [r for r in replies if isinstance(r, Previewed)]
    assert len(shown) == 4
    assert len(drawn) == 2
    images = [np.load(r.image) for r in shown]
    assert not np.array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[1], images[2])
    alone = simulate_pair(changed(SMALL, {"degradation": {"snr": 3.0}}), 3, 0)
    np.testing.assert_array_equal(images[1], alone.pair.frame.data)


def test_the_cache_follows_every_setting_that_the_image_depends_on():
    cache = IdealCache()
    first = cache.get(SMALL, 0, 0)
    assert cache.get(SMALL, 0, 0).image is first.image
    for other in (
        changed(SMALL, {"imaging": {"focal_spread_nm": 1.0}}),
        changed(SMALL, {"variety": 0.4}),
        changed(SMALL, {"degradation": {"drift_pm": 100.0}}),
        changed(SMALL, {"degradation": {"binning": 2}}),
    ):
        assert cache.get(other, 0, 0).image is not first.image
    assert cache.get(SMALL, 0, 1).image is not first.image


def test_a_newer_preview_ends_those_that_wait(tmp_path, monkeypatch):
    """While a set is made, three previews arrive: only the last is drawn."""
    requests = [
        MakeRequest(id="m", settings=SMALL, count=2, out_dir=str(tmp_path / "pairs")),
        *(preview(tmp_path, str(k)) for k in range(3)),
    ]
    begun, go_on = threading.Event(), threading.Event()
    real = module.simulate_pairs

    def slow(*arguments, **keywords):
        begun.set()
        go_on.wait(WAIT)
        yield from real(*arguments, **keywords)

    monkeypatch.setattr(module, "simulate_pairs", slow)
    real_replaces = Server.replaces

    def replaces(self, request):
        found = real_replaces(self, request)
        if getattr(request, "id", "") == "2":
            begun.wait(WAIT)
            # After this call the last preview waits too.
            threading.Timer(0.05, go_on.set).start()
        return found

    monkeypatch.setattr(Server, "replaces", replaces)
    replies = serve(requests, at_once=4)
    assert [r.id for r in replies if isinstance(r, WasCancelled)] == ["0", "1"]
    assert [r.id for r in replies if isinstance(r, Previewed)] == ["2"]


def test_making_ends_when_cancelled_and_keeps_what_is_written(tmp_path, monkeypatch):
    real = module.write_simulated
    servers: list[Server] = []
    started = Server.ready
    monkeypatch.setattr(Server, "ready", lambda self: servers.append(self) or started(self))

    def cancelled_after_two(pairs, folder):
        for k, made in enumerate(real(pairs, folder)):
            yield made
            if k == 1:
                servers[0]._take(CancelRequest(id="m"))

    monkeypatch.setattr(module, "write_simulated", cancelled_after_two)
    request = MakeRequest(id="m", settings=SMALL, count=50, out_dir=str(tmp_path / "pairs"))
    replies = serve([request])
    assert isinstance(replies[-1], WasCancelled)
    assert len(read_pairs(tmp_path / "pairs")) == 2


def test_bad_requests_get_a_sentence_and_keep_their_id(tmp_path):
    odd = json.loads(encode(preview(tmp_path, "odd")))
    odd["settings"]["imaging"]["voltage_kv"] = -1
    answered = threading.Semaphore(0)
    lines = io.BytesIO(json.dumps(odd).encode() + b"\n[]\nnonsense\n" + encode(QuitRequest()))
    replies = _Replies(answered)
    Server(lines, replies).serve()
    _, *failed = LANGUAGE.replies().feed(replies.getvalue())
    assert [f.id for f in failed] == ["odd", "", ""]
    assert "voltage_kv" in failed[0].sentence
    assert all(f.sentence.startswith("This is no request") for f in failed)


def test_what_the_user_got_wrong_has_no_details_and_a_fault_has(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    (failed,) = [r for r in serve([preview(tmp_path / "file")]) if isinstance(r, Failed)]
    assert "could not be written" in failed.sentence
    assert failed.details == ""

    def fall(*_: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(module, "draw_ideal", fall)
    (failed,) = [r for r in serve([preview(tmp_path / "other")]) if isinstance(r, Failed)]
    assert "by nought" in failed.sentence
    assert "Traceback" in failed.details


def test_an_error_while_making_is_the_users_sentence(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise UserError("The structure file is gone.")

    monkeypatch.setattr(module, "simulate_pairs", refuse)
    request = MakeRequest(id="m", settings=SMALL, count=2, out_dir=str(tmp_path))
    assert serve([request])[-1] == Failed(id="m", sentence="The structure file is gone.")


def test_a_frame_is_matched_with_settings_that_can_be_simulated(tmp_path):
    known = simulate_pair(changed(SMALL, {"shape": (96, 96), "degradation": {"snr": 3.0}}), 8, 0)
    write_pairs([known.pair], tmp_path)
    request = MatchRequest(
        id="x",
        source=SourceRef(path=str(tmp_path / f"{known.pair.name}.tif"), missing="nan"),
        structure=SMALL.structure,
        mode="hrtem",
        imaging=SMALL.imaging,
        out_dir=str(tmp_path / "look"),
    )
    reply = serve([request])[-1]
    assert isinstance(reply, Matched), reply
    assert reply.settings.structure.kind == "graphene"
    assert reply.settings.degradation.snr == pytest.approx(3.0, rel=0.5)
    assert 0 < reply.match["similarity"] <= 1
    assert reply.match["sentences"]
    shown = np.load(reply.preview.image, allow_pickle=False)
    again = simulate_pair(reply.settings, 0, 0)
    np.testing.assert_array_equal(np.nan_to_num(shown), again.pair.frame.data)


def test_a_frame_that_cannot_be_matched_is_refused(tmp_path):
    request = MatchRequest(
        id="x", source=SourceRef(path=str(tmp_path / "none.tif")), out_dir=str(tmp_path)
    )
    (failed,) = [r for r in serve([request]) if isinstance(r, Failed)]
    assert failed.details == ""
    assert "none.tif" in failed.sentence
