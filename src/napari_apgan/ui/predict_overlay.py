"""Predictions in the window: asked of the helper, kept in the project, shown over the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QObject, Signal

from napari_apgan.errors import UserError
from napari_apgan.predict.files import read_prediction
from napari_apgan.predict.prediction import Prediction
from napari_apgan.predict.protocol import (
    Failed,
    PredictRequest,
    Progress,
    Result,
    WasCancelled,
)
from napari_apgan.project import Session

from .helper import Helper
from .predict_background import Background
from .predict_files import Place, Wish, file_away, reference_to
from .predict_model import ModelInUse
from .probability import ProbabilityLayers
from .timers import single_shot

if TYPE_CHECKING:
    from .workbench import Workbench

#: A frame must rest this long under the slider before it is read or predicted (ms).
SETTLE_MS = 120

#: The helper is started so long after the workbench opened, when the window is drawn (ms).
WARM_MS = 2000


class Predictions(QObject):
    """Asks for predictions, files them in the project and shows that of the current frame.

    Labels are never touched: predicted atoms are drawn hollow beside them.

    Parameters
    ----------
    session : Session
    workbench : Workbench
    """

    changed = Signal()
    progressed = Signal(int, int, str)
    frame_predicted = Signal(str, int)
    ended = Signal(str)
    busy_changed = Signal(bool)

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__(workbench)
        self._session, self._workbench = session, workbench
        self.model = ModelInUse(session)
        self.helper = Helper(self)
        self.layers = ProbabilityLayers(workbench)
        self.background = Background(self, workbench.say_error)
        #: Predict a frame that has none when it is opened.
        self.follow = True
        #: Whether maps come with the deviations of their pixels, and these are shown.
        self.uncertain = False
        self.device = "auto"
        self.shown: Prediction | None = None
        self.shown_at: tuple[str, str, int] | None = None
        self._wishes: dict[str, Wish] = {}
        self._suspects: dict[Place, Mapping[int, str]] = {}
        self._rejected: dict[tuple[str, str, int], set[int]] = {}
        self._asked: set[tuple[str, int, int, bool]] = set()
        self._settle = single_shot(self._load, SETTLE_MS, self)
        self._warming = single_shot(self.warm, WARM_MS, self)
        self._warming.start()
        self._connect()

    def _connect(self) -> None:
        session, helper = self._session, self.helper
        session.project_changed.connect(self.refresh)
        session.source_changed.connect(self._on_moved)
        session.frame_changed.connect(self._on_moved)
        session.model_changed.connect(self._on_model)
        session.elements_changed.connect(self._on_elements)
        layers = self.layers
        layers.changed.connect(lambda: self._workbench.atoms.set_over_maps(layers.shown))
        helper.result.connect(self._on_result)
        helper.progress.connect(self._on_progress)
        helper.done.connect(self._on_done)
        helper.failed.connect(self._on_failed)
        helper.cancelled.connect(self._on_cancelled)
        helper.restarted.connect(self._workbench.say_error)
        helper.busy_changed.connect(self.busy_changed)
        self._workbench.desk.hand.on_predicted_edit = self._on_predicted_edit
        self._workbench.destroyed.connect(self.close)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)

    def close(self, *_: object) -> None:
        """End the helper; the session goes on without it."""
        self._settle.stop()
        self._warming.stop()
        self.background.stop()
        self.helper.stop()
        session = self._session
        for signal, slot in (
            (session.project_changed, self.refresh),
            (session.source_changed, self._on_moved),
            (session.frame_changed, self._on_moved),
            (session.model_changed, self._on_model),
            (session.elements_changed, self._on_elements),
        ):
            signal.disconnect(slot, missing_ok=True)

    # ------------------------------------------------------------------ what there is

    @property
    def busy(self) -> bool:
        """Whether a prediction is under way."""
        return self.helper.busy

    # ------------------------------------------------------------------ asking

    def predict_frame(self, box: tuple[float, float, float, float] | None = None) -> bool:
        """Predict the current frame, or a part of it (x0, y0, x1, y1 in px)."""
        return self.predict(self._session.source_id, [self._session.frame_index], box=box)

    def predict_series(self) -> bool:
        """Predict the frames of the current source that are not yet; all when all are."""
        project, source_id = self._session.project, self._session.source_id
        if project is None or not source_id:
            return self.predict("", [])
        frames = range(project.record(source_id).n_frames)
        left = [f for f in frames if not self.model.is_fresh(source_id, f)]
        here = self._session.frame_index
        # The frame on the screen first, then those after it.
        order = sorted(left or frames, key=lambda f: (f < here, f))
        return self.predict(source_id, order)

    def predict(
        self,
        source_id: str,
        frames: Sequence[int],
        *,
        box: tuple[float, float, float, float] | None = None,
        by_itself: bool = False,
    ) -> bool:
        """Ask for frames of a source; False, and a sentence, when that cannot be."""
        project, model = self._session.project, self.model.path
        if project is None or not source_id:
            self._workbench.say("Open an image first.")
            return False
        if model is None:
            self._workbench.say(
                "There is no model yet: train one first (T). Detect, in Label, needs none."
            )
            return False
        try:
            reference = reference_to(project, source_id)
        except UserError as error:
            self._workbench.say_error(str(error))
            return False
        folder = project.prediction_files(self.model.run_id, source_id, 0)
        wish = Wish(self.model.run_id, source_id, len(frames), by_itself)
        request = PredictRequest(
            id=self.helper.new_id(),
            model=str(model),
            source=reference.model_copy(update={"name": folder.name}),
            frames=tuple(frames),
            box=box,
            out_dir=str(folder.folder),
            uncertainty="map" if self.uncertain else "none",
            device=self.device,
        )
        element = self.model.element()
        if self.model.by_contrast and element is not None:
            # Where atoms are is all it is asked for: fitting them takes a hundred times as long.
            named = {"polarity": element.polarity, "element": element.name, "refine": False}
            request = request.model_copy(update=named)
            wish.notes.add(f"This network knows no elements: all are drawn as {element.name}.")
        self._wishes[request.id] = wish
        self.helper.predict(request)
        first = "Starting the helper" if self.helper.info is None else "Predicting"
        self.progressed.emit(0, 0, f"{first} …")
        return True

    def cancel(self) -> None:
        """End what is under way; finished frames stay."""
        self.helper.cancel_all()

    def warm(self) -> None:
        """Start the helper and load the model in use."""
        self.helper.start()
        model, weights = self._session.model, self.model.weights
        if model is not None and weights is not None and weights.is_file():
            self.helper.warm(str(model), self.device)

    # ------------------------------------------------------------------ what the helper says

    def _on_result(self, result: Result) -> None:
        wish, project = self._wishes.get(result.id), self._session.project
        if wish is None or project is None:
            return
        wish.finished += 1
        wish.notes |= set(result.notes)
        files = project.prediction_files(wish.run_id, wish.source_id, result.frame)
        try:
            file_away(result, files)
        except OSError as error:
            self._workbench.say_error(
                f"The prediction could not be filed in the project ({error}): close what shows "
                "the older one, and predict again."
            )
            return
        self.frame_predicted.emit(wish.source_id, result.frame)
        self._session.prediction_changed.emit(wish.source_id, result.frame)
        here = (self._session.source_id, self._session.frame_index)
        if wish.run_id == self.model.run_id and here == (wish.source_id, result.frame):
            self.shown_at = None
            self.refresh()

    def _on_progress(self, progress: Progress) -> None:
        wish = self._wishes.get(progress.id)
        if wish is None:
            return
        text = wish.how_far() if wish.n_frames > 1 else progress.what
        self.progressed.emit(progress.done, progress.total, text)

    def _on_done(self, done: Any) -> None:
        wish = self._wishes.pop(done.id, None)
        if wish is None:
            return
        said = wish.outcome(done.seconds)
        if not wish.by_itself:
            self._workbench.say(said)
        self.ended.emit(said)

    def _on_failed(self, failed: Failed) -> None:
        if self.helper.is_detection(failed.id):
            return
        self._wishes.pop(failed.id, None)
        self._workbench.say_error(failed.sentence, failed.details)
        self.ended.emit(failed.sentence)

    def _on_cancelled(self, cancelled: WasCancelled) -> None:
        if self.helper.is_detection(cancelled.id):
            return
        wish = self._wishes.pop(cancelled.id, None)
        kept = f" {wish.finished} finished frames are kept." if wish and wish.finished else ""
        self._workbench.say(f"Prediction cancelled.{kept}")
        self.ended.emit("Prediction cancelled.")

    # ------------------------------------------------------------------ showing

    def refresh(self) -> None:
        """Show the prediction of the current frame, once the slider rests."""
        self._settle.start()

    def _on_moved(self, *_: object) -> None:
        # Another frame's maps must not stay on the image for a moment.
        if self.shown_at is not None:
            self._show_nothing()
        self.refresh()

    def _on_model(self) -> None:
        self._suspects = {}
        self.warm()
        self.refresh()

    def _on_elements(self) -> None:
        project = self._session.project
        if project is not None:
            self.layers.recolor(project.elements)

    def _load(self) -> None:
        source_id, frame = self._session.source_id, self._session.frame_index
        files, image = self.model.files(source_id, frame), self._workbench.image_layer
        if files is None or image is None:
            self._show_nothing()
            return
        if self.model.is_fresh(source_id, frame):
            place = (self.model.run_id, source_id, frame)
            if place != self.shown_at or self.shown is None:
                work = partial(read_prediction, files.folder, files.name)
                self.background.run(work, partial(self._show, place))
            return
        self._show_nothing()
        # The network of the package predicts when it is told to.
        if self.follow and self.layers.visible and not self.model.by_contrast:
            self._predict_by_itself(source_id, frame)

    def _predict_by_itself(self, source_id: str, frame: int) -> None:
        """Predict the frame on the screen, once for each state of the model."""
        if not self.busy and self._is_new_wish(source_id, frame):
            self.predict(source_id, [frame], by_itself=True)

    def _is_new_wish(self, source_id: str, frame: int) -> bool:
        """Whether a frame was not yet asked for since the model changed; it counts as asked now."""
        weights = self.model.weights
        try:
            changed = weights.stat().st_mtime_ns if weights is not None else 0
        except OSError:
            return False
        key = (source_id, frame, changed, self.uncertain)
        new = key not in self._asked
        self._asked.add(key)
        return new

    def _show(self, place: tuple[str, str, int], prediction: Prediction) -> None:
        project = self._session.project
        here = (self.model.run_id, self._session.source_id, self._session.frame_index)
        if project is None or here != place or self._workbench.image_layer is None:
            return
        self.shown, self.shown_at = prediction, place
        if prediction.maps.size:
            self.layers.show(prediction.maps, prediction.elements, project.elements, prediction.box)
        else:
            self.layers.clear()
        self._show_uncertainty()
        self._show_atoms()
        self.changed.emit()

    def set_uncertain(self, on: bool) -> None:
        """Show where the model wavers, or show it no more; frames are predicted anew for it."""
        self.uncertain = on
        if on and (self.shown is None or self.shown.deviation is None):
            self._is_new_wish(self._session.source_id, self._session.frame_index)
            self.predict_frame()
        self._show_uncertainty()
        self.changed.emit()

    def _show_uncertainty(self) -> None:
        shown = self.shown
        if not self.uncertain or shown is None:
            self.layers.show_deviation(None)
            return
        self.layers.show_deviation(shown.deviation, shown.box)
        if shown.deviation is None and self.shown_at is not None:
            self._predict_by_itself(*self.shown_at[1:])

    def _show_nothing(self) -> None:
        self.shown, self.shown_at = None, None
        self.layers.clear()
        self._workbench.atoms.show_predicted(None)
        self.changed.emit()

    def _show_atoms(self) -> None:
        atoms = self._workbench.atoms
        if self.shown is None or self.shown_at is None or not self.layers.visible:
            atoms.show_predicted(None)
            return
        suspects = self._suspects.get(self.shown_at[1:], {})
        atoms.show_predicted(self.shown.atoms, suspects)
        rejected = self._rejected.get(self.shown_at)
        if rejected:
            atoms.reject(sorted(rejected))

    def toggle(self) -> None:
        """Show or hide maps and predicted atoms."""
        self.layers.set_visible(not self.layers.visible)
        self._show_atoms()
        self.changed.emit()
        if self.layers.visible:
            self.refresh()

    def set_suspects(self, suspects: Mapping[Place, Mapping[int, str]]) -> None:
        """Say which predicted atoms of which frames are to be crossed, and why."""
        self._suspects = dict(suspects)
        if self.shown is not None:
            self._show_atoms()

    def _on_predicted_edit(self, key: tuple[str, int], columns: Any) -> bool:
        """Remember what was deleted or corrected: it stays away when the user comes back."""
        if self.shown_at is not None:
            self._rejected.setdefault(self.shown_at, set()).add(int(key[1]))
        return False


def predictions_of(session: Session, workbench: Workbench) -> Predictions:
    """Return the predictions of a workbench, made when its first tab asks."""
    found: Predictions | None = getattr(workbench, "predictions", None)
    if found is None:
        found = workbench.predictions = Predictions(session, workbench)
    return found
