"""The Train tab: one button, nothing to fill in, and a training that outlives the window."""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication
from qtpy.QtWidgets import QLabel, QVBoxLayout

from napari_apgan.errors import UserError
from napari_apgan.models.bundled import BUNDLED
from napari_apgan.models.presets import PRESETS
from napari_apgan.project import Project, Session
from napari_apgan.train.events import Step
from napari_apgan.train.prepare import prepare_run
from napari_apgan.train.runfile import RunFile
from napari_apgan.train.runfolder import RunFolder
from napari_apgan.train.words import outcome_sentence

from .lazy_tab import LazyTab
from .predict_background import Background
from .predict_overlay import predictions_of
from .row_list import RowList
from .simulate_set import removing, simulated_in
from .simulator import simulator_of
from .train_doubts import DoubtsLine
from .train_found import look_through
from .train_mix import Mixing
from .train_monitor import TrainMonitor, find_resumable, folders
from .train_panels import Advanced, Choices
from .train_plan import TrainPlan, lacking, preview_name
from .train_progress import ProgressPanel
from .train_rounds import record_round
from .train_set import LIST_ROWS, go_to_row, set_pairs, training_rows
from .train_words import closing_sentence, resume_words, set_words, start_words
from .widgets import Fold, heading, hint, primary_button, row, rule, tab_page, text_button

if TYPE_CHECKING:
    from .workbench import Workbench


class TrainTab(LazyTab):
    """Starts, follows, stops and resumes trainings of the open project.

    Parameters
    ----------
    session : Session
    workbench : Workbench
    """

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__()
        self._session, self._workbench = session, workbench
        self.predictions = predictions_of(session, workbench)
        self.monitor = TrainMonitor(self)
        self.background = Background(self, workbench.say_error)
        self.list = RowList(most_rows=LIST_ROWS)
        self.summary = QLabel()
        self.teach = hint()
        self.choices = Choices()
        self.estimate = hint()
        self.advanced = Advanced()
        self.mixing = Mixing()
        self.plan = TrainPlan(session, self.choices, self.advanced, self.mixing)
        self.doubts = DoubtsLine(session, workbench, self.background)
        self.progress = ProgressPanel()
        self.primary = primary_button("Train", "Start or stop the training (T)")
        self.resume_button = text_button("Resume", self.resume, "Go on where it was stopped")
        self._preparing = False
        self._simulating = False
        self._stopping = False
        self._project: Project | None = None
        self._finished: RunFolder | None = None
        self._run_file: RunFile | None = None
        self._build()
        self._connect()
        self.choices.recall()
        self._on_project()

    def _build(self) -> None:
        page, layout = tab_page()
        layout.addLayout(row(heading("Training set"), 1, self.summary))
        for part in (self.list, self.mixing, self.teach, self.choices, self.estimate):
            layout.addWidget(part)
        layout.addWidget(Fold("Advanced", self.advanced))
        layout.addWidget(rule())
        layout.addWidget(self.progress)
        layout.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(page, 1)
        outer.addWidget(self.doubts)
        buttons = row(self.resume_button, self.primary)
        buttons.setStretch(1, 1)
        outer.addLayout(buttons)

    def _connect(self) -> None:
        session, workbench = self._session, self._workbench
        self.list.toggled.connect(self._on_toggled)
        self.list.remove_wanted.connect(self._on_remove)
        self.list.opened.connect(lambda key: self._workbench.run(lambda: go_to_row(session, key)))
        self.choices.changed.connect(self._on_choice)
        self.advanced.changed.connect(self.refresh)
        self.mixing.changed.connect(self.refresh)
        self.primary.clicked.connect(lambda _=False: self._workbench.run(self.press))
        self.monitor.updated.connect(self._show_run)
        self.monitor.ended.connect(self._on_ended)
        self.predictions.helper.ready.connect(self._on_helper)
        workbench.register("train", self.press)
        session.project_changed.connect(self._on_project)
        self.follow(
            session.pairs_changed,
            session.atoms_changed,
            session.regions_changed,
            session.elements_changed,
            session.model_changed,
        )
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._say_it_goes_on)
        workbench.destroyed.connect(self.close_down)

    def close_down(self, *_: object) -> None:
        """Let go of the session; a training goes on without us."""
        self.monitor.let_go()
        self.background.stop()
        self.doubts.close_down()
        self.unfollow()
        self._session.project_changed.disconnect(self._on_project, missing_ok=True)

    def _say_it_goes_on(self) -> None:
        """Say that a training goes on without its project being open.

        In the terminal, too: when napari is closing, that is the only place left.
        """
        folder = self.monitor.folder
        if folder is None:
            return
        sentence = closing_sentence(folder.path.name, folder.remaining_s())
        self._workbench.say(sentence)
        if sys.stderr is not None:
            sys.stderr.write(sentence + "\n")

    # ------------------------------------------------------------------ acts

    @property
    def training(self) -> bool:
        """Whether a training is being prepared or runs."""
        return self._preparing or self.monitor.running

    def press(self) -> None:
        """Do what the button says: train, or stop."""
        if self.monitor.running:
            self.stop()
        elif self._simulating:
            simulator_of(self._session, self._workbench).cancel()
        elif not self._preparing:
            self.train()

    def stop(self) -> None:
        """Stop the training after its current step; its best model stays."""
        self.monitor.stop_training()
        self._stopping = True
        self._show_buttons()

    def train(self, *, warm: bool | None = None, mixed: bool = False) -> bool:
        """Start a training; False, and a sentence that says what to do, where that cannot be.

        Parameters
        ----------
        warm : bool, optional
            Continue from the last model, else the bundled one, as fits; by default as chosen.
        mixed : bool
            The simulated pairs of this round are there already.
        """
        project = self._session.project
        needed = lacking(project)
        if needed or project is None:
            self._workbench.say(needed)
            self._workbench.show_tab("train")
            return False
        settings = self.plan.settings(project, warm)
        if self.mixing.adds and not mixed:
            self._simulate_first(warm)
            return True
        pairs = project.training_pairs()
        here = (self._session.source_id, self._session.frame_index)
        settings = settings.model_copy(update={"preview": preview_name(project, pairs, here)})
        self.choices.remember(project)
        run_dir = project.new_run_dir()
        self._preparing = True
        self._finished = None
        self.progress.result.setText("")
        self._show_buttons()
        self._workbench.show_tab("train")
        work = partial(prepare_run, pairs, run_dir, settings, project.elements)
        self.background.run(
            work, partial(self._prepared, run_dir), partial(self._not_prepared, run_dir)
        )
        return True

    def _simulate_first(self, warm: bool | None) -> None:
        """Make the simulated pairs of this round, then train."""

        def go_on(ready: bool) -> None:
            self._simulating = self._preparing = False
            if not ready or not self._workbench.run(lambda: self.train(warm=warm, mixed=True)):
                self._show_buttons()

        self._simulating = self._preparing = True
        self._show_buttons()
        simulator_of(self._session, self._workbench).make(
            self.mixing.settings(),
            self.mixing.adds,
            then=lambda: go_on(True),
            failed=lambda: go_on(False),
        )

    def resume(self) -> None:
        """Go on with the newest training where it was stopped or interrupted."""
        project = self._session.project
        found = find_resumable(folders(project.runs())) if project is not None else None
        if found is None:
            self._workbench.say("There is no training to go on with: start one.")
            return
        self._finished = None
        self.progress.result.setText("")
        self._workbench.run(lambda: self.monitor.start(found[0].path, resume=True))
        self._show_buttons()

    def _prepared(self, run_dir: Path, run: RunFile) -> None:
        self._preparing = False
        if run.notes:
            self._workbench.say(" ".join(run.notes))
        self._workbench.run(lambda: self.monitor.start(run_dir))
        self._show_buttons()

    def _not_prepared(self, run_dir: Path, sentence: str, details: str) -> None:
        """Say why there is no training; the empty run folder goes."""
        self._preparing = False
        shutil.rmtree(run_dir, ignore_errors=True)
        self._workbench.say_error(sentence, details)
        self._show_buttons()

    # ------------------------------------------------------------------ following

    def _on_project(self) -> None:
        """Look what an opened project has under way."""
        project = self._session.project
        if project is not self._project:
            self._project = project
            self._run_file = None
            self._say_it_goes_on()
            self.monitor.let_go()
            self._finished = None
            self.progress.result.setText("")
            if project is not None:
                self._workbench.run(lambda: self._take_up(project))
                if project.settings.preset in PRESETS and project.runs():
                    self.choices.choose_preset(project.settings.preset)
        self._show_run()
        self.refresh()

    def _take_up(self, project: Project) -> None:
        """Re-attach to a running training, take what finished meanwhile, offer what was cut off."""
        found = look_through(project)
        if found.model is not None and (found.ended or self._session.model is None):
            self._session.model = found.model
        if found.running is not None:
            self.monitor.follow(found.running)
            name = found.running.run_dir.name
            self._workbench.say(f"The training {name} went on and is shown again.")
        elif found.starting is not None:
            self.monitor.expect(found.starting)
        elif found.ended:
            self._show_outcome(found.ended[-1])
            self._workbench.say(f"While napari was closed: {outcome_sentence(found.ended[-1])}")
        elif found.interrupted is not None:
            sentence = self._show_outcome(found.interrupted)
            self._workbench.messages.say(sentence, action="Resume", do=self.resume)

    def _show_outcome(self, run: RunFolder) -> str:
        self._finished = run
        sentence = outcome_sentence(run)
        self.progress.result.setText(sentence)
        return sentence

    def _on_ended(self, run: RunFolder, status: str) -> None:
        self._stopping = False
        sentence = self._show_outcome(run)
        project = self._session.project
        if status == "failed" or (status == "interrupted" and not run.can_resume):
            self._workbench.say_error(sentence, run.log_tail(40))
        else:
            self._workbench.say(sentence)
        if project is not None and run.best_model is not None and status in ("done", "stopped"):
            self._workbench.run(lambda: self._take_model(project, run))
        self._show_run()
        self._show_buttons()
        self.refresh()

    def _take_model(self, project: Project, run: RunFolder) -> None:
        """Use the model of a finished training: the overlay appears."""
        record_round(project, run)
        if self._session.model == run.path:
            self.predictions.refresh()  # a resumed run: the same place, a better model
        self._session.model = run.path

    # ------------------------------------------------------------------ showing

    def refresh_now(self) -> None:
        """Show what the session holds now."""
        super().refresh_now()
        project = self._session.project
        self.list.show_rows(training_rows(project) if project is not None else [])
        self.list.setVisible(self.list.count() > 0)
        self.mixing.show_groups(simulated_in(project) if project is not None else [])
        self.summary.setText(set_words(project) if project is not None else "")
        self.doubts.refresh()
        needed = lacking(project)
        self.teach.setText(needed)
        self.teach.setVisible(bool(needed))
        start = self.plan.warm_start(project) if project is not None else ""
        title = f"the last model ({Path(start).name})" if start else ""
        self.advanced.offer(start, title, bundled=bool(self.plan.bundled_start()))
        self._show_estimate()
        self._show_buttons()

    def _on_toggled(self, key: Any, ticked: bool) -> None:
        self._workbench.run(lambda: set_pairs(self._session.ensure_project(), key, chosen=ticked))
        self.refresh()

    def _on_remove(self, source_id: str) -> None:
        """Take all simulated pairs of a row away, labels and all, as one edit."""
        project = self._session.ensure_project()
        self._workbench.run(lambda: project.apply(removing(project, source_id)))
        self._workbench.say("The simulated pairs are removed; Ctrl+Z brings them back.")

    def _on_choice(self) -> None:
        self.predictions.device = self.choices.device_name
        self.refresh()

    def _on_helper(self, ready: Any) -> None:
        """Offer the devices that the helper process has found."""
        cores = os.cpu_count() or 1
        self.choices.set_devices(ready.device, f" ({cores} core{'s' * (cores != 1)})")
        self._show_estimate()

    def _show_estimate(self) -> None:
        project = self._session.project
        if project is None or self.teach.text():
            return
        info = self.predictions.helper.info
        try:
            words = self.plan.estimate(project, info.device if info is not None else "cpu")
        except UserError as error:
            words = str(error)
        self.estimate.setText(words)

    def _show_buttons(self) -> None:
        if self.monitor.running:
            stopping = self._stopping or self.monitor.trainer.folder.stop_requested
            self.primary.setText("Stopping …" if stopping else "Stop")
            self.primary.setEnabled(not stopping)
        else:
            words = start_words(
                simulating=self.mixing.adds if self._simulating else None,
                preparing=self._preparing,
                again=self.advanced.init not in ("scratch", BUNDLED),
            )
            self.primary.setText(words)
            self.primary.setEnabled(self._simulating or not self._preparing)
        project = self._session.project
        found = None
        if project is not None and not self.training:
            found = find_resumable(folders(project.runs()))
        self.resume_button.setVisible(found is not None)
        if found is not None:
            self.resume_button.setText(resume_words(found[0].last(Step)))
            self.resume_button.setToolTip(f"{found[0].path.name} was {found[1]}; go on from there")
        self.estimate.setVisible(not self.training and not self.teach.text())

    def _show_run(self) -> None:
        """Draw the run that is followed, or the one that ended last."""
        run = self.monitor.folder or self._finished
        self.progress.setVisible(run is not None)
        if run is None:
            return
        file = self._run_file
        if file is None or file.run_id != run.path.name:
            file = self._run_file = run.run_file
        elements = self._session.project.elements if self._session.project is not None else ()
        self.progress.show_run(run, file, elements, running=self.monitor.running)
        self._show_buttons()
