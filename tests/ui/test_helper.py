"""The window's end of the prediction helper, with the real process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from napari_apgan.predict.protocol import PredictRequest, SourceRef
from napari_apgan.ui.helper import Helper
from napari_apgan.ui.helper_process import CRASHES_BORNE

#: A busy machine takes its time to import torch.
PATIENCE_MS = 60_000


@pytest.fixture
def helper(qtbot) -> Iterator[Helper]:
    made = Helper()
    yield made
    made.stop()


def request_of(helper: Helper, folder: Path, model: str = "absent.safetensors") -> PredictRequest:
    return PredictRequest(
        id=helper.new_id(),
        model=str(folder / model),
        source=SourceRef(path=str(folder / "absent.tif")),
        out_dir=str(folder),
    )


def test_requests_made_before_it_is_ready_are_answered(helper, tmp_path, qtbot, torch_free):
    request = request_of(helper, tmp_path)
    with qtbot.waitSignal(helper.failed, timeout=PATIENCE_MS) as failed:
        helper.predict(request)
        assert helper.busy
    assert failed.args[0].id == request.id
    assert "absent.safetensors" in failed.args[0].sentence
    assert not helper.busy
    assert helper.info.device
    torch_free()


def test_it_is_started_again_after_a_crash_and_dies_with_the_window(helper, tmp_path, qtbot):
    with qtbot.waitSignal(helper.ready, timeout=PATIENCE_MS):
        helper.start()
    first = helper.process_id
    with qtbot.waitSignals([helper.restarted, helper.ready], timeout=PATIENCE_MS) as waited:
        psutil.Process(first).kill()
    said = "The prediction helper stopped unexpectedly and was started again."
    assert said in [a for s in waited.all_signals_and_args for a in s.args]
    second = helper.process_id
    assert second not in (0, first)
    helper.stop()
    assert not helper.is_running
    qtbot.waitUntil(lambda: not psutil.pid_exists(second), timeout=10_000)


def test_it_runs_below_the_window_in_priority(helper, qtbot):
    if sys.platform == "win32":
        pytest.skip("the priority has another scale there")
    own = psutil.Process().nice()
    with qtbot.waitSignal(helper.ready, timeout=PATIENCE_MS):
        helper.start()
    assert psutil.Process(helper.process_id).nice() > own or own >= 10


def test_a_process_that_keeps_dying_is_left_alone_with_a_sentence(qtbot, tmp_path):
    helper = Helper(command=[sys.executable, "-c", "import sys; sys.exit('no torch here')"])
    said: list[tuple[str, str]] = []
    helper.restarted.connect(lambda sentence, details: said.append((sentence, details)))
    with qtbot.waitSignal(helper.failed, timeout=PATIENCE_MS) as failed:
        helper.predict(request_of(helper, tmp_path))
    assert "keeps stopping" in failed.args[0].sentence
    assert "no torch here" in failed.args[0].details
    assert len(said) == CRASHES_BORNE
    assert not helper.busy
    helper.stop()


def test_a_program_that_is_not_there_fails_in_a_sentence(qtbot, tmp_path):
    helper = Helper(command=[str(tmp_path / "no-python-here")])
    with qtbot.waitSignal(helper.failed, timeout=PATIENCE_MS) as failed:
        helper.predict(request_of(helper, tmp_path))
    assert "could not be started" in failed.args[0].sentence
    helper.stop()


def test_cancelling_what_was_not_yet_sent_needs_no_process(qtbot, tmp_path):
    helper = Helper(command=[sys.executable, "-c", "import time; time.sleep(60)"])
    request = request_of(helper, tmp_path)
    helper.predict(request)
    with qtbot.waitSignal(helper.cancelled, timeout=PATIENCE_MS) as cancelled:
        helper.cancel(request.id)
    assert cancelled.args[0].id == request.id
    assert not helper.busy
    helper.stop()
