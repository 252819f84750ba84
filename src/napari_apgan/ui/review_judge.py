"""Has predicted frames judged in the background, and keeps what was found about each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_apgan.errors import UserError
from napari_apgan.project import Project, Session

from .predict_overlay import Predictions
from .review_work import Judgement, Place

if TYPE_CHECKING:
    from napari_apgan.review.ranking import ReviewItem


class Judges:
    """Judgements of all predicted frames, one after another, each made once.

    Parameters
    ----------
    session : Session
    predictions : Predictions
    on_change : callable
        Called when there is something new.
    on_failure : callable
        Called with a sentence and details.
    """

    def __init__(
        self,
        session: Session,
        predictions: Predictions,
        on_change: Callable[[], None],
        on_failure: Callable[[str, str], None],
    ) -> None:
        self._session, self._predictions = session, predictions
        self._on_change, self._on_failure = on_change, on_failure
        self._judged: dict[tuple[str, Place], tuple[int, list[ReviewItem]]] = {}
        self._asked: dict[tuple[str, Place], int] = {}

    def ask(self) -> None:
        """Have every predicted frame judged that was not yet."""
        project, model, run_id = (
            self._session.project,
            self._session.model,
            self._predictions.model.run_id,
        )
        if project is None or model is None:
            return
        for place in self._predictions.model.predicted_frames():
            if not self._predictions.model.is_fresh(*place):
                continue
            files = project.prediction_files(run_id, *place)
            key, stamp = (run_id, place), files.atoms.stat().st_mtime_ns
            if self._asked.get(key) == stamp:
                continue
            self._asked[key] = stamp
            try:
                source = project.source(place[0])
            except UserError:
                continue  # its image is missing, which the workbench says
            job = Judgement(run_id, place, source, files, model)
            self._predictions.background.run(
                job.judge, lambda items, k=key, s=stamp: self._take(k, s, items), self._fail
            )

    def _take(self, key: tuple[str, Place], stamp: int, items: list[ReviewItem]) -> None:
        self._judged[key] = (stamp, items)
        self._on_change()

    def _fail(self, sentence: str, details: str) -> None:
        self._on_failure(sentence, details)
        self._on_change()

    def items(self, project: Project | None, run_id: str) -> list[ReviewItem]:
        """Return what was found about the frames that a run predicted."""
        known = {r.id for r in project.sources} if project is not None else set()
        return [
            item
            for (run, _place), (_stamp, items) in self._judged.items()
            if run == run_id
            for item in items
            if item.source_id in known
        ]
