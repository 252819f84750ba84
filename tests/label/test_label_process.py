"""The labelling helper: tasks by name, one answer each, faults as sentences."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.io import read_atoms, write_atoms
from napari_apgan.label import process
from napari_apgan.label.protocol import LANGUAGE, SourceRef, TaskRequest


def ask(*requests: TaskRequest) -> list[Any]:
    """Let a server that still listens answer requests, and return its replies."""
    replies = io.BytesIO()
    server = process.Server(io.BytesIO(), replies)
    for request in requests:
        server._answer(request)
    return LANGUAGE.replies().feed(replies.getvalue())


@pytest.fixture
def count_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that counts: bright pixels, labels, and how often it was asked."""
    module = ModuleType("napari_apgan.label.counting_for_tests")

    def run(job: process.Job) -> None:
        if job.options.get("refuse"):
            raise UserError("It does not want to.")
        if job.options.get("break"):
            raise ZeroDivisionError("by nothing")
        job.kept["times"] = job.kept.get("times", 0) + 1
        job.progress(1, 2, "counting")
        job.sentence = f"{int((job.frame().data > 0.5).sum())} bright pixels."
        job.values = {"labels": len(job.atoms()), "times": job.kept["times"]}
        job.give_table("atoms", job.atoms())
        job.give_image("half", job.frame().data / 2)

    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(process.TASKS, "count", ".counting_for_tests")
    monkeypatch.setitem(process.TASKS, "count again", ".counting_for_tests")


@pytest.fixture
def request_count(tmp_path: Path, count_task: None) -> TaskRequest:
    image = np.zeros((40, 50), np.float32)
    image[3, 4:9] = 1.0
    np.save(tmp_path / "image.npy", image)
    write_atoms(make_atoms([(1.0, 2.0), (5.5, 6.0)], "Pb"), tmp_path / "labels.csv")
    return TaskRequest(
        id="a",
        task="count",
        source=SourceRef(path=str(tmp_path / "image.npy"), missing="none"),
        atoms=str(tmp_path / "labels.csv"),
        out_dir=str(tmp_path / "out"),
    )


def test_a_task_is_given_frame_and_labels_and_answers_with_tables_and_images(
    request_count: TaskRequest,
) -> None:
    progress, done = ask(request_count)
    assert progress.what == "counting"
    assert done.sentence == "5 bright pixels."
    assert done.values == {"labels": 2, "times": 1}
    assert read_atoms(done.files["atoms"])["x_px"].tolist() == [1.0, 5.5]
    assert np.load(done.files["half"]).max() == 0.5


def test_what_a_task_keeps_is_there_when_it_is_asked_again(request_count: TaskRequest) -> None:
    other = request_count.model_copy(update={"task": "count again"})
    replies = [r for r in ask(request_count, request_count, other) if r.event == "task_done"]
    assert [r.values["times"] for r in replies] == [1, 2, 1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task": "sing"}, "There is no task called 'sing'."),
        ({"options": {"refuse": True}}, "It does not want to."),
        ({"options": {"break": True}}, "That failed (ZeroDivisionError: by nothing)."),
        ({"source": None}, "Open an image first."),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    request_count: TaskRequest, changes: dict[str, Any], sentence: str
) -> None:
    failed = ask(request_count.model_copy(update=changes))[-1]
    assert failed.event == "failed"
    assert failed.sentence.startswith(sentence)


def test_a_later_wish_of_the_same_task_replaces_one_that_waits(request_count: TaskRequest) -> None:
    later = request_count.model_copy(update={"id": "b"})
    server = process.Server(io.BytesIO(), io.BytesIO())
    assert server.replaces(request_count) == set()
    assert server.replaces(later) == {"a"}


def test_every_task_has_its_module() -> None:
    from importlib import import_module

    for module in process.TASKS.values():
        assert callable(import_module(module, "napari_apgan.label").run)
