"""Simulations in the window: asked of a helper process, put into the training set when made."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QObject, Signal

from napari_apgan.frames import Source
from napari_apgan.io import Pair, read_pairs, write_atoms
from napari_apgan.project import Project, Session
from napari_apgan.simulate.imaging.settings import Mode
from napari_apgan.simulate.protocol import (
    Failed,
    Made,
    MakeRequest,
    Matched,
    MatchRequest,
    Previewed,
    PreviewRequest,
    Progress,
    Ready,
)
from napari_apgan.simulate.settings import SimulationSettings
from napari_apgan.train.words import duration

from .predict_background import Background
from .predict_files import reference_to
from .simulate_helper import SimulationHelper
from .simulate_set import (
    Labels,
    Simulated,
    add_labels,
    add_series,
    free_seed,
    labels_of,
    series_of,
)
from .timers import single_shot

if TYPE_CHECKING:
    from .workbench import Workbench

#: How long after the last keystroke a preview is asked for (ms).
DEBOUNCE_MS = 350


@dataclass
class Wish:
    """Pairs that are being made.

    Parameters
    ----------
    settings : SimulationSettings
    count, seed : int
    folder : Path
        Where the helper writes them.
    then : callable, optional
        Called when they are in the training set.
    failed : callable, optional
        Called when they will not be.
    """

    settings: SimulationSettings
    count: int
    seed: int
    folder: Path
    then: Callable[[], None] | None = None
    failed: Callable[[], None] | None = None
    begun: float = field(default_factory=time.monotonic)


class Simulator(QObject):
    """Asks for previews, pairs and matches; nothing is computed in the window's process.

    Parameters
    ----------
    session : Session
    workbench : Workbench
    """

    ready = Signal(bool)  # whether multislice is there
    previewed = Signal(object)  # Previewed
    matched = Signal(object)  # Matched
    progressed = Signal(int, int, str)
    ended = Signal(str)  # a sentence; empty where an error was said instead
    failed = Signal(str, str)  # sentence, details: of a preview or a match
    busy_changed = Signal(bool)

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__(workbench)
        self._session, self._workbench = session, workbench
        self.helper = SimulationHelper(self)
        self.background = Background(self, self._import_failed)
        self.scratch = Path(tempfile.mkdtemp(prefix="apgan-simulate-"))
        self._wishes: dict[str, Wish] = {}
        self._importing: Wish | None = None
        self._matching = ""
        self._previewing = ""
        self._next: tuple[SimulationSettings, int, int] | None = None
        self._debounce = single_shot(self._ask_preview, DEBOUNCE_MS, self)
        self._closed = False
        self._connect()

    def _connect(self) -> None:
        helper = self.helper
        helper.ready.connect(self._on_ready)
        helper.previewed.connect(self._on_previewed)
        helper.made.connect(self._on_made)
        helper.matched.connect(self._on_matched)
        helper.progress.connect(self._on_progress)
        helper.failed.connect(self._on_failed)
        helper.cancelled.connect(self._on_cancelled)
        helper.restarted.connect(self._workbench.say_error)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)

    def close(self, *_: object) -> None:
        """End the helper and remove what it wrote."""
        if self._closed:
            return
        self._closed = True
        self._debounce.stop()
        self.background.stop()
        self.helper.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    # ------------------------------------------------------------------ asking

    @property
    def making(self) -> bool:
        """Whether pairs are being made or put into the training set."""
        return bool(self._wishes) or self._importing is not None

    @property
    def matching(self) -> bool:
        """Whether settings are being sought for an image."""
        return bool(self._matching)

    def preview(self, settings: SimulationSettings, seed: int, number: int = 0) -> None:
        """Ask for one frame, when nothing was changed for a moment."""
        self._next = (settings, seed, number)
        self._debounce.start()

    def _ask_preview(self) -> None:
        if self._next is None:
            return
        settings, seed, number = self._next
        request = PreviewRequest(
            id=self.helper.new_id(),
            settings=settings,
            seed=seed,
            number=number,
            out_dir=str(self._folder("preview")),
        )
        self._previewing = request.id
        self.helper.ask(request)

    def make(
        self,
        settings: SimulationSettings,
        count: int,
        *,
        then: Callable[[], None] | None = None,
        failed: Callable[[], None] | None = None,
    ) -> None:
        """Make pairs and put them into the training set; each set has a seed of its own."""
        project = self._session.ensure_project()
        number = self.helper.new_id()
        wish = Wish(settings, count, free_seed(project), self._folder(number), then, failed)
        self._wishes[number] = wish
        self.helper.ask(
            MakeRequest(
                id=number,
                settings=settings,
                seed=wish.seed,
                count=count,
                out_dir=str(wish.folder),
            )
        )
        self.busy_changed.emit(True)
        self.progressed.emit(0, count, "Starting …")

    def match(self, settings: SimulationSettings | None) -> None:
        """Seek settings that look like the image on the screen.

        Parameters
        ----------
        settings : SimulationSettings, optional
            Where the user has said what the image shows and how it was taken.

        Raises
        ------
        UserError
            When no file holds the image.
        """
        project, source_id = self._session.ensure_project(), self._session.source_id
        folder = self._folder("match")
        atoms = self._session.atoms()
        if len(atoms):
            write_atoms(atoms, folder / "labels.csv")
        mode: Mode | None = settings.imaging.mode if settings is not None else None
        request = MatchRequest(
            id=self.helper.new_id(),
            source=reference_to(project, source_id),
            frame=self._session.frame_index,
            structure=settings.structure if settings is not None else None,
            mode=mode,
            imaging=settings.imaging if settings is not None else None,
            atoms=str(folder / "labels.csv") if len(atoms) else None,
            out_dir=str(folder),
        )
        self._matching = request.id
        self.helper.ask(request)
        self.busy_changed.emit(True)
        self.progressed.emit(0, 0, "Looking at your image …")

    def cancel(self) -> None:
        """End what is being made or sought; nothing is added."""
        for request_id in [*self._wishes, *([self._matching] if self._matching else [])]:
            self.helper.cancel(request_id)

    def _folder(self, name: str) -> Path:
        folder = self.scratch / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # ------------------------------------------------------------------ what the helper says

    def _on_ready(self, ready: Ready) -> None:
        self.ready.emit(ready.abtem)

    def _on_previewed(self, reply: Previewed) -> None:
        if reply.id == self._previewing:
            self.previewed.emit(reply)

    def _on_progress(self, progress: Progress) -> None:
        wish = self._wishes.get(progress.id)
        if wish is None:
            return
        text = f"{progress.done} of {progress.total}"
        if progress.done:
            each = (time.monotonic() - wish.begun) / progress.done
            text += f", {duration(each * (progress.total - progress.done))} left"
        self.progressed.emit(progress.done, progress.total, text)

    def _on_matched(self, reply: Matched) -> None:
        self._matching = ""
        self.matched.emit(reply)
        self._finish("")

    def _on_made(self, reply: Made) -> None:
        wish = self._wishes.pop(reply.id)
        self._importing = wish
        self.progressed.emit(wish.count, wish.count, "Adding them to the training set …")
        self.background.run(partial(_read, wish), partial(self._take_series, wish))

    def _take_series(self, wish: Wish, read: tuple[list[Pair], Source]) -> None:
        """Copy the frames into the project; their labels are put in order beside the window."""
        pairs, series = read
        shutil.rmtree(wish.folder, ignore_errors=True)

        def deed() -> None:
            project = self._session.ensure_project()
            source_id = add_series(project, series)
            record = project.record(source_id)
            work = partial(labels_of, pairs, source_id, record.next_id, record.next_region_id)
            self.background.run(work, partial(self._take_labels, wish, project))

        if not self._workbench.run(deed):
            self._import_ended()

    def _take_labels(self, wish: Wish, project: Project, labels: Labels) -> None:
        """Put the pairs into the training set, unless another project was opened meanwhile."""
        added: list[Simulated] = []
        if project is not self._session.project:
            self._workbench.say("The simulated pairs were left out: their project is closed.")
            self._import_ended()
            return
        if not self._workbench.run(lambda: added.append(add_labels(project, labels))):
            self._import_ended()
            return
        self._importing = None
        took = duration(time.monotonic() - wish.begun)
        self._finish(
            f"{added[0].words}: {added[0].atoms:,} atoms, in the training set after {took}.",
            wish.then,
        )

    def _import_failed(self, sentence: str, details: str) -> None:
        self._workbench.say_error(sentence, details)
        self._import_ended()

    def _import_ended(self) -> None:
        """Stop waiting for pairs that will not come; why not has been said."""
        wish, self._importing = self._importing, None
        self._finish("", wish.failed if wish is not None else None)

    def _on_failed(self, failed: Failed) -> None:
        wish = self._wishes.pop(failed.id, None)
        was_match = failed.id == self._matching
        if was_match:
            self._matching = ""
        if wish is None and not was_match and failed.id != self._previewing:
            return  # a preview that nobody waits for any more
        if wish is None:
            self.failed.emit(failed.sentence, failed.details)
        else:
            self._workbench.say_error(failed.sentence, failed.details)
            shutil.rmtree(wish.folder, ignore_errors=True)
        if wish is not None or was_match:
            self._finish("", wish.failed if wish is not None else None)

    def _on_cancelled(self, reply: Any) -> None:
        wish = self._wishes.pop(reply.id, None)
        if reply.id == self._matching:
            self._matching = ""
            self._finish("The search was cancelled.")
        if wish is not None:
            shutil.rmtree(wish.folder, ignore_errors=True)
            self._finish("Cancelled: no pairs were added.", wish.failed)

    def _finish(self, sentence: str, then: Callable[[], None] | None = None) -> None:
        if not self.making and not self.matching:
            self.busy_changed.emit(False)
        self.ended.emit(sentence)
        if sentence:
            self._workbench.say(sentence)
        if then is not None:
            then()


def _read(wish: Wish) -> tuple[list[Pair], Source]:
    """Read what the helper wrote, as pairs and as one series."""
    pairs = read_pairs(wish.folder)
    text = wish.settings.model_dump_json()
    return pairs, series_of(pairs, wish.settings.structure.kind, text, wish.seed)


def simulator_of(session: Session, workbench: Workbench) -> Simulator:
    """Return the simulator of a workbench, made when it is first asked for."""
    found: Simulator | None = workbench.simulator
    if found is None:
        found = workbench.simulator = Simulator(session, workbench)
    return found
