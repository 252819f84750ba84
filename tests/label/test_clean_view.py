"""Clean views as a task: what is filtered, what is said, and what is kept for the next frame."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_apgan.bench.drifting import Drifting, drifting
from napari_apgan.label import clean_view, process
from napari_apgan.label.clean_view import FOR_THE_EYE, block_around
from napari_apgan.label.filter_kinds import FILTERS
from napari_apgan.label.protocol import LANGUAGE, SourceRef, TaskRequest

Ask = Callable[..., Any]


@pytest.fixture
def series() -> Drifting:
    return drifting(3, n_frames=12, vanishing=0.0, snr=0.3)


@pytest.fixture
def ask(tmp_path: Path, series: Drifting) -> Ask:
    """Return a function that asks one server for views, and returns its last reply."""
    path = tmp_path / "series.npy"
    np.save(path, np.stack([f.data for f in series.frames]))
    np.save(tmp_path / "single.npy", series.frames[0].data)
    replies = io.BytesIO()
    server = process.Server(io.BytesIO(), replies)

    def one(name: str, frame: int = 0, file: str = "series.npy", **options: Any) -> Any:
        server._answer(
            TaskRequest(
                id="a",
                task="clean_view",
                source=SourceRef(path=str(tmp_path / file), missing="none"),
                frame=frame,
                options={"filter": name, **options},
                out_dir=str(tmp_path / "out"),
            )
        )
        return LANGUAGE.replies().feed(replies.getvalue())[-1]

    return one


def noise_of(image: np.ndarray, series: Drifting, t: int) -> float:
    """Robust distance of an image from the noise-free frame, fitted in brightness and contrast."""
    clean = drifting(3, n_frames=12, vanishing=0.0, snr=1e9).frames[t].data
    seen = np.isfinite(image)
    gain, offset = np.polyfit(clean[seen], image[seen], 1)
    return float(np.std(image[seen] - gain * clean[seen] - offset) / gain)


@pytest.mark.parametrize("name", [n for n, k in FILTERS.items() if not k.series])
def test_every_filter_of_frames_makes_a_view_and_says_what_it_did(ask: Ask, name: str) -> None:
    done = ask(name, 5)
    view = np.load(done.files["view"])
    assert view.shape == (96, 96)
    assert done.sentence.startswith(FILTERS[name].title)
    assert done.sentence.endswith(FOR_THE_EYE)


def test_settings_reach_the_filter(ask: Ask) -> None:
    mild = np.load(ask("gaussian", settings={"narrow_px": 0.5}).files["view"])
    strong = np.load(ask("gaussian", settings={"narrow_px": 6.0}).files["view"])
    assert strong.std() < 0.7 * mild.std()


def test_a_drifting_series_is_aligned_filtered_and_put_back(ask: Ask, series: Drifting) -> None:
    for t in (0, 5, 11):
        done = ask("stacked", t)
        view = np.load(done.files["view"])
        raw = noise_of(series.frames[t].data.astype(float), series, t)
        assert np.isfinite(view).mean() > 0.8
        assert noise_of(view, series, t) < 0.4 * raw
    assert "aligned (they drift by" in done.sentence


def test_the_next_frame_comes_from_the_block_that_is_there(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks: list[int] = []
    real = clean_view.filter_block
    monkeypatch.setattr(
        clean_view, "filter_block", lambda *a, **k: (blocks.append(1), real(*a, **k))[1]
    )
    for t in (2, 3, 9):
        ask("stacked", t, align=False)
    assert len(blocks) == 1
    ask("stacked", 3, align=False, settings={"strength": 1.0})
    assert len(blocks) == 2


def test_the_stacked_filter_refuses_a_single_image(ask: Ask) -> None:
    assert "needs a series" in ask("stacked", file="single.npy").sentence


@pytest.mark.parametrize(
    ("frame", "n_frames", "wanted", "pixels", "block"),
    [
        (0, 100, 32, 100, (0, 32)),
        (50, 100, 32, 100, (34, 66)),
        (99, 100, 32, 100, (68, 100)),
        (3, 5, 32, 100, (0, 5)),
        (50, 100, 32, 16_000_000, (48, 52)),
        (50, 100, 32, 10**9, (49, 51)),
    ],
)
def test_a_block_lies_around_its_frame_and_fits_the_memory(
    frame: int, n_frames: int, wanted: int, pixels: int, block: tuple[int, int]
) -> None:
    assert block_around(frame, n_frames, wanted, pixels) == block
