"""The Review tab: what looks worst, corrected where it is and sent back to the training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QSizePolicy, QSpacerItem, QVBoxLayout

from napari_apgan.project import Project, Session

from .lazy_tab import LazyTab
from .predict_box import PredictBox
from .predict_overlay import predictions_of
from .review_camera import bring_into_view, look_at_box
from .review_judge import Judges
from .review_rounds import RoundsPanel
from .review_rows import key_of, place_of, row_of, same
from .review_walk import Walk
from .review_work import (
    free_of_labels,
    in_box,
    is_covered,
    ordered,
    outside_regions,
    sending,
)
from .row_list import RowList
from .train_rounds import comparison, complete_round
from .widgets import heading, hint, primary_button, row, rule, tab_page, text_button

if TYPE_CHECKING:
    from napari_apgan.review.ranking import ReviewItem
    from napari_apgan.review.rounds import RoundChange

    from .workbench import Workbench

#: Longer lists end here; the rest is better than what is shown.
_SHOWN = 200


class ReviewTab(LazyTab):
    """Ranks predicted regions, opens them, and takes corrections back into the training set.

    Parameters
    ----------
    session : Session
    workbench : Workbench
    """

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__()
        self._session, self._workbench = session, workbench
        self.predictions = predictions_of(session, workbench)
        self.predict = PredictBox(session, workbench, self.predictions)
        self.list = RowList()
        self.list.setSpacing(2)
        self.list.setMinimumSize(QSize(1, 120))
        self.teach = hint()
        self.current_line = hint()
        self.next_button = text_button("Next (N)", self.open_next, "Open the next region to check")
        self.correct_button = text_button(
            "Correct here",
            self.correct_here,
            "Take the predicted atoms of this region as labels; then move, change, delete and add "
            "as in Label",
        )
        self.send_button = text_button(
            "Send to training (Ctrl+Enter)",
            self.send_to_training,
            "Every atom of this region is right now: learn from it in the next round",
        )
        self.rounds = RoundsPanel()
        self.primary = primary_button("Retrain", "Train again, from the last model on")
        self.items: list[ReviewItem] = []
        self.current: ReviewItem | None = None
        self.change: RoundChange | None = None
        self.judges = Judges(session, self.predictions, self.refresh, workbench.say_error)
        self.walking = Walk(workbench)
        self._build()
        self._connect()

    def _build(self) -> None:
        page, layout = tab_page()
        layout.addWidget(self.predict)
        layout.addWidget(rule())
        layout.addLayout(row(heading("Worst first"), 1, self.next_button))
        layout.addWidget(self.teach)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.current_line)
        layout.addLayout(row(self.correct_button, self.send_button))
        layout.addWidget(rule())
        layout.addWidget(self.rounds)
        # Room that nobody needs goes here while the list is hidden.
        layout.addItem(QSpacerItem(1, 1, QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Expanding))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(page, 1)
        outer.addWidget(self.primary)

    def _connect(self) -> None:
        workbench, predictions = self._workbench, self.predictions
        session = self._session
        self.follow(
            session.project_changed,
            session.model_changed,
            session.regions_changed,
            session.pairs_changed,
            session.runs_changed,
            session.prediction_changed,
        )
        session.frame_changed.connect(self._on_frame)
        self.list.chosen.connect(self._on_chosen)
        self.primary.clicked.connect(lambda _=False: workbench.run(self.press))
        predictions.ended.connect(self._on_predicted)
        predictions.changed.connect(self._show_current)
        workbench.desk.drawn.connect(self._show_holes)
        for name, deed in {
            "overlay": predictions.toggle,
            "next_frame": self.open_next,
            "accept": self.accept,
            "next_atom": lambda: self.walk(1),
            "previous_atom": lambda: self.walk(-1),
            "send_to_training": self.send_to_training,
        }.items():
            workbench.register(name, deed)
        workbench.destroyed.connect(self.close_down)

    def close_down(self, *_: object) -> None:
        """Let go of the session."""
        self.unfollow()
        self._session.frame_changed.disconnect(self._on_frame, missing_ok=True)

    # ------------------------------------------------------------------ judging

    def refresh_now(self) -> None:
        """Judge what is new and show the list, the rounds and the next useful act."""
        super().refresh_now()
        self._workbench.run(self.judges.ask)
        self._show_list()
        self._show_rounds()
        self._show_current()
        self._show_primary()

    def _on_predicted(self, _sentence: str) -> None:
        """Compare the rounds, now that there is something to compare."""
        project = self._session.project
        pair = comparison(project, self.predictions.model.run_id) if project is not None else None
        if pair is not None:
            self.predictions.background.run(
                pair.compare, lambda change: self._on_compared(pair.run_id, change)
            )
        self.refresh()

    def _on_compared(self, run_id: str, change: RoundChange | None) -> None:
        project = self._session.project
        if change is None or project is None:
            return
        self.change = change
        complete_round(project, run_id, change)
        self.refresh()

    # ------------------------------------------------------------------ showing

    def _show_list(self) -> None:
        project = self._session.project
        found = self.judges.items(project, self.predictions.model.run_id)
        done = [is_covered(i.box, project.regions(i.source_id, i.frame)) for i in found]
        order = ordered(found, done)[:_SHOWN]
        self.items = [found[n] for n in order]
        self.list.show_rows([row_of(project, found[n], done[n]) for n in order])
        self._mark_current()
        self.list.setVisible(bool(self.items))
        self.teach.setText(self._teaching())
        self.teach.setVisible(bool(self.teach.text()))

    def _teaching(self) -> str:
        if self._session.model is None:
            text = "No model yet. Label an area, mark it complete (R), and train (T)."
            if self.predictions.model.by_contrast:
                text += (
                    " Until then “Predict frame” shows what the network that comes with the "
                    "program sees; it knows no elements."
                )
            return text
        if not self.items:
            busy = self.predictions.background.busy or self.predictions.busy
            if busy:
                return "Looking for what is doubtful …"
            return "Nothing predicted yet. Predict this frame, or the whole series."
        return ""

    def _mark_current(self) -> None:
        """Keep the opened item marked when the list is put in order again."""
        if self.current is None:
            return
        for item in self.items:
            if key_of(item) == key_of(self.current):
                self.current = item
                self.list.mark(key_of(item))
                return

    def _show_current(self) -> None:
        item = self.current
        for button in (self.correct_button, self.send_button):
            button.setEnabled(item is not None)
        self.next_button.setEnabled(bool(self.items))
        self.current_line.setVisible(item is not None)
        if item is None:
            self.walking.draw()
            return
        project = self._session.project
        sent = project is not None and is_covered(item.box, project.regions(*place_of(item)))
        self.walking.draw(done=sent)
        if sent:
            self.current_line.setText("This region is in the training set. N opens the next.")
            return
        n = len(self.walking)
        text = (
            f"{n} to check: Space goes from one to the next, A accepts, 1-9 change, Delete removes."
            if n
            else "No single atom stands out here: look over it, then send it."
        )
        self.current_line.setText(text)

    def _show_holes(self) -> None:
        """Take away the squares of sites that have an atom now."""
        item, project = self.current, self._session.project
        if item is not None and project is not None:
            self.walking.draw(done=is_covered(item.box, project.regions(*place_of(item))))

    def _show_rounds(self) -> None:
        project = self._session.project
        rounds = project.rounds if project is not None else []
        self.rounds.show_rounds(rounds, self.change.sentence if self.change is not None else "")

    def _show_primary(self) -> None:
        if self._session.model is None:
            self.primary.setText("Train a first model")
        elif not self.items and not self.predictions.model.predicted_frames():
            self.primary.setText("Predict this frame")
        else:
            new = self._new_pairs()
            self.primary.setText(f"Retrain ({new} new)" if new else "Retrain")

    def _new_pairs(self) -> int:
        """How many frames joined the training set since the last round."""
        project = self._session.project
        if project is None:
            return 0
        return sum(p.round >= project.next_round for p in project.pairs)

    # ------------------------------------------------------------------ acts

    def press(self) -> None:
        """Do the next useful act: train a first model, predict, or retrain."""
        if self._session.model is None:
            self._workbench.show_tab("train")
            self._workbench.train_tab.train()
        elif not self.items and not self.predictions.model.predicted_frames():
            self.predictions.predict_frame()
        else:
            self._workbench.train_tab.train(warm=True)

    def open_next(self) -> None:
        """Open the next region that is not in the training set, the worst first."""
        if self._stale:
            self.refresh_now()
        project = self._session.project
        left = [
            i
            for i in self.items
            if project is not None and not is_covered(i.box, project.regions(i.source_id, i.frame))
        ]
        if not left:
            self._workbench.say(self._teaching() or "Nothing is left to check: retrain.")
            return
        at = next((n for n, i in enumerate(left) if same(i, self.current)), -1)
        self.open_item(left[(at + 1) % len(left)])

    def open_item(self, item: ReviewItem) -> None:
        """Go to a region: the view moves there, its suspicious atoms are crossed."""
        self._workbench.show_tab("review")
        self.current = item
        self._session.go_to(item.source_id, item.frame)
        suspects = item.suspects
        reasons = dict(zip(suspects["id"].tolist(), suspects["flag"].tolist(), strict=True))
        if not self.predictions.layers.visible:
            self.predictions.toggle()
        self.predictions.set_suspects({(item.source_id, item.frame): reasons})
        self.walking.begin(item)
        look_at_box(self._workbench, item.box)
        self._mark_current()
        self._show_current()

    def _on_chosen(self, key: Any) -> None:
        item = next(i for i in self.items if key_of(i) == key)
        self._workbench.run(lambda: self.open_item(item))

    def _on_frame(self, source_id: str, frame: int) -> None:
        if self.current is not None and (source_id, frame) != place_of(self.current):
            self.current = None
            self.walking.end()
            self.list.mark(None)
            self._show_current()

    def walk(self, step: int) -> None:
        """Select the next (or previous) thing to check, an atom or an empty site."""
        if not len(self.walking):
            self._workbench.say(
                "Nothing to walk through: open a region with N first."
                if self.current is None
                else "No single atom stands out here."
            )
            return
        place, key = self.walking.go(step)
        self._workbench.atoms.select([key] if key is not None else [])
        bring_into_view(self._workbench, *place)
        self.current_line.setText(self.walking.words(key))

    def accept(self) -> None:
        """Take the selected predicted atoms as labels, or an empty site as empty.

        With neither under the walk, the predicted atoms of the region.
        """
        atoms = self._workbench.atoms
        ids = [key[1] for key in atoms.selected if key[0] == "predicted"]
        if not ids and self.walking.at_empty_site:
            self.walking.accept_empty()
            self.walk(1)
            return
        if not ids:
            self.correct_here()
            return
        left = atoms.predicted_left()
        self._accept(left[left["id"].isin(ids)])
        if len(self.walking):
            self.walk(1)

    def correct_here(self) -> None:
        """Take the predicted atoms of the opened region as labels, to be corrected as labels."""
        item = self._opened()
        if item is None:
            return
        project = self._session.ensure_project()
        taken = self._takeable(project, item)
        if not len(taken):
            self._workbench.say("Every predicted atom here is a label already.")
            return
        self._accept(taken)
        self._workbench.say(
            f"{len(taken)} predicted atoms are labels now: move, change, delete or add, then "
            "Ctrl+Enter."
        )

    def _accept(self, table: Any) -> None:
        project = self._session.ensure_project()
        project.accept_prediction(
            self._session.source_id,
            self._session.frame_index,
            table,
            self._round(project),
            tolerance_px=self._workbench.atoms.radius_px,
        )

    def send_to_training(self) -> None:
        """Mark the opened region complete, take what is predicted there, and train on it next."""
        item = self._opened()
        if item is None:
            return
        project = self._session.ensure_project()
        edit = sending(
            project, place_of(item), item.box, self._takeable(project, item), self._round(project)
        )
        if edit is None:
            self._workbench.say("This region is in the training set already.")
            return
        project.apply(edit)
        inside = in_box(project.atoms(*place_of(item)), item.box)["element"].value_counts()
        counts = ", ".join(f"{n} {name}" for name, n in inside.items()) or "no atoms"
        self._workbench.say(f"Sent to the training set, complete: {counts}. N opens the next.")
        self.refresh_now()

    def _opened(self) -> ReviewItem | None:
        if self.current is None:
            self._workbench.say("Open a region first: N takes the worst.")
        return self.current

    def _takeable(self, project: Project, item: ReviewItem) -> Any:
        """Predicted atoms of a region that are no labels yet and may become some."""
        atoms = self._workbench.atoms
        left = in_box(atoms.predicted_left(), item.box)
        left = outside_regions(left, project.regions(*place_of(item)))
        return free_of_labels(left, project.atoms(*place_of(item)), atoms.radius_px)

    def _round(self, project: Project) -> int:
        """Return the round of the model in use."""
        known = {r.run_id: r.number for r in project.rounds}
        return known.get(self.predictions.model.run_id, max(known.values(), default=0))
