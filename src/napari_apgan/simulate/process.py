"""The simulation helper: requests in on stdin, replies out on stdout, until stdin closes."""

from __future__ import annotations

import importlib.util
import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_apgan import __version__
from napari_apgan.io.reference import open_reference
from napari_apgan.io.tables import atoms_to_csv, read_atoms, save_file
from napari_apgan.serving import PROGRESS_INTERVAL, LineServer

from .ideal import Ideal, draw_ideal, drawn_settings, sampling_of
from .pairs import SimulatedPair, record_pair, simulate_pairs, write_simulated
from .protocol import (
    LANGUAGE,
    Made,
    MakeRequest,
    Matched,
    MatchRequest,
    Previewed,
    PreviewRequest,
    Progress,
    Ready,
    Request,
)
from .settings import SimulationSettings

#: Files of a preview, in its folder.
IMAGE_FILE = "preview.npy"
EXPECTED_FILE = "preview.expected.npy"
ATOMS_FILE = "preview.atoms.csv"
VACANCIES_FILE = "preview.vacancies.csv"


class IdealCache:
    """The last ideal image, so that a change of the noise alone images nothing again."""

    def __init__(self) -> None:
        self._key = ""
        self._ideal: Ideal | None = None

    def get(self, settings: SimulationSettings, seed: int, number: int) -> Ideal:
        """Return the ideal image of a frame with its own draws; `UserError` as `draw_ideal`."""
        key = f"{_imaged(settings)} {seed} {number}"
        if self._ideal is None or key != self._key:
            self._ideal = draw_ideal(settings, seed, number)
            self._key = key
        return replace(self._ideal, settings=drawn_settings(settings, seed, number))


class Server(LineServer):
    """Simulates on request; see :class:`napari_apgan.serving.LineServer`."""

    def __init__(
        self,
        requests: BinaryIO,
        replies: BinaryIO,
        abandon: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(requests, replies, abandon)
        self._cache = IdealCache()
        self._previews: set[str] = set()

    def ready(self) -> Ready:
        """Return the first reply."""
        return Ready(version=__version__, abtem=importlib.util.find_spec("abtem") is not None)

    def decode(self, line: bytes) -> Request:
        """Read a request."""
        return LANGUAGE.request(line)

    def replaces(self, request: Request) -> set[str]:
        """Return the earlier previews when a preview arrives: only the last is looked at."""
        if not isinstance(request, PreviewRequest):
            return set()
        earlier, self._previews = self._previews, {request.id}
        return earlier - {request.id}

    def trouble(self, error: Exception) -> str:
        """Return the sentence for a fault of the program."""
        return (
            f"The simulation failed ({type(error).__name__}: {error}). "
            "Copy the details into a report."
        )

    def work(self, request: PreviewRequest | MakeRequest | MatchRequest) -> None:
        """Do one request."""
        self.check(request.id)
        if isinstance(request, PreviewRequest):
            preview = self._preview(
                request.id, request.settings, request.seed, request.number, Path(request.out_dir)
            )
            self.check(request.id)
            self.send(preview)
        elif isinstance(request, MakeRequest):
            self._make(request)
        else:
            self._match(request)

    def _preview(
        self, id: str, settings: SimulationSettings, seed: int, number: int, folder: Path
    ) -> Previewed:
        """Simulate one frame and write its files."""
        began = time.perf_counter()
        ideal = self._cache.get(settings, seed, number)
        self.check(id)
        made = record_pair(ideal, settings, seed, number)
        _write_preview(made, folder)
        return Previewed(
            id=id,
            image=str(folder / IMAGE_FILE),
            expected=str(folder / EXPECTED_FILE),
            atoms=str(folder / ATOMS_FILE),
            vacancies=str(folder / VACANCIES_FILE),
            pixel_size_pm=settings.pixel_size_pm,
            elements=tuple(sorted(set(made.pair.atoms["element"]))),
            record=made.record,
            seconds=time.perf_counter() - began,
        )

    def _make(self, request: MakeRequest) -> None:
        began = time.perf_counter()
        folder = Path(request.out_dir)
        last = -PROGRESS_INTERVAL
        names: list[str] = []
        pairs = simulate_pairs(
            request.settings,
            request.count,
            seed=request.seed,
            first=request.first,
            cancelled=lambda: self.is_cancelled(request.id),
        )
        for made in write_simulated(pairs, folder):
            names.append(made.pair.name)
            if time.monotonic() - last >= PROGRESS_INTERVAL:
                last = time.monotonic()
                done = Progress(
                    id=request.id, done=len(names), total=request.count, what=made.pair.name
                )
                self.send(done)
        self.check(request.id)
        seconds = time.perf_counter() - began
        self.send(Made(id=request.id, folder=str(folder), names=tuple(names), seconds=seconds))

    def _match(self, request: MatchRequest) -> None:
        # Fitting brings in more than simulating does.
        from .match import match_frame

        began = time.perf_counter()
        source = open_reference(request.source)
        frame = source.frame(request.frame)
        atoms = None if request.atoms is None else read_atoms(request.atoms)
        found = match_frame(
            frame,
            atoms=atoms,
            structure=request.structure,
            mode=request.mode,
            imaging=request.imaging,
        )
        self.check(request.id)
        preview = self._preview(request.id, found.settings, 0, 0, Path(request.out_dir))
        self.check(request.id)
        self.send(
            Matched(
                id=request.id,
                settings=found.settings,
                match=found.summary(),
                preview=preview,
                seconds=time.perf_counter() - began,
            )
        )


def _imaged(settings: SimulationSettings) -> str:
    """Return what the ideal image depends on, as one line: all but the noise."""
    return f"{settings.model_dump_json(exclude={'degradation'})} {sampling_of(settings)}"


def _write_preview(made: SimulatedPair, folder: Path) -> None:
    frame = made.pair.frame
    image = np.where(frame.valid, frame.data, np.float32(np.nan))
    save_file(folder / IMAGE_FILE, _npy(image))
    save_file(folder / EXPECTED_FILE, _npy(made.expected))
    save_file(folder / ATOMS_FILE, atoms_to_csv(made.pair.atoms))
    save_file(folder / VACANCIES_FILE, atoms_to_csv(made.vacancies))


def _npy(image: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, image, allow_pickle=False)
    return buffer.getvalue()
