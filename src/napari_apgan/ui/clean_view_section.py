"""Clean views of the frame: a section of the Label tab, and the layer that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QCheckBox, QComboBox, QStackedWidget

from napari_apgan.label.filter_kinds import FILTERS
from napari_apgan.label.protocol import TaskDone

from .label_helper import LabelTask
from .label_sections import LabelSection
from .model_form import ModelForm, all_fields
from .predict_files import Place
from .scene import VIEW_METADATA
from .task_bar import TaskBar
from .timers import single_shot
from .widgets import column_in, hint, row

if TYPE_CHECKING:
    from napari_apgan.project import Session

    from .workbench import Workbench

LAYER_NAME = "Clean view (for the eye only)"
#: A slider that runs through a series waits this long (ms) on a frame before it is filtered.
PAUSE_MS = 120


class CleanViewSection(LabelSection):
    """Chooses a filter and shows what it makes of the frame, over the frame.

    The layer belongs to the workbench and is marked as a view: it never becomes a source, and
    clicks, detection and networks go on with the raw frame.
    """

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__(session, workbench)
        self.layer: Any = None
        self.wanted = False
        self._made_for: tuple[Any, ...] = ()
        self._asked_for: tuple[Any, ...] = ()
        self.view_task: LabelTask = self.task("clean_view")
        self.view_task.done.connect(self._on_done)
        self.view_task.failed.connect(self._on_failed)
        self.view_task.cancelled.connect(self._on_cancelled)
        self.shown = QCheckBox("Show it (F)")
        self.shown.setToolTip(
            "A filtered copy over the image, for the eye only: what is trained on, snapped to and "
            "detected stays the raw frame"
        )
        self.shown.clicked.connect(lambda _=False: self.toggle())
        self.choice = QComboBox()
        self.forms: dict[str, ModelForm] = {}
        self.pages = QStackedWidget()
        for kind in FILTERS.values():
            self.choice.addItem(kind.title, kind.name)
            self.choice.setItemData(self.choice.count() - 1, kind.sentence, 3)  # its tooltip
            form = ModelForm(
                kind.settings, all_fields(kind.settings), empty_words="Empty: as shown."
            )
            form.set_defaults(kind.settings().model_dump())
            form.changed.connect(self._again)
            self.forms[kind.name] = form
            self.pages.addWidget(form)
        self.align = QCheckBox("Align the frames first")
        self.align.setChecked(True)
        self.align.setToolTip("Frames that drift are put onto each other before, and back after")
        self.align.toggled.connect(lambda _: self._again())
        self.about = hint()
        self.did = hint()
        self.did.hide()
        layout = column_in(self)
        line = row(self.choice, self.shown)
        line.setStretch(0, 1)
        layout.addLayout(line)
        layout.addWidget(self.about)
        layout.addWidget(self.pages)
        layout.addWidget(self.align)
        layout.addWidget(TaskBar(self.view_task))
        layout.addWidget(self.did)
        self.choice.currentIndexChanged.connect(self._chosen)
        self._timer = single_shot(self._ask, PAUSE_MS, self)
        session.frame_changed.connect(self._moved)
        session.project_changed.connect(self._moved)
        workbench.desk.adopted.connect(self._moved)
        self._chosen()

    # --- what the user wants -----------------------------------------------------------------

    def act(self) -> None:
        """Do what the key does."""
        self.toggle()

    def toggle(self) -> None:
        """Show the view, or hide it."""
        if self.desk.scene.image_layer is None:
            self.desk.say("Open an image first.")
            self.shown.setChecked(False)
            return
        self.wanted = not self.wanted
        self.shown.setChecked(self.wanted)
        if self.wanted:
            self._show()
        else:
            self._timer.stop()
            self.view_task.cancel()
            self._hide()

    def _chosen(self, *_: object) -> None:
        kind = FILTERS[self.choice.currentData()]
        self.about.setText(kind.sentence)
        for form in self.forms.values():  # the tallest form must not make room for all
            policy = form.sizePolicy()
            shown = form is self.forms[kind.name]
            side = policy.Policy.Preferred if shown else policy.Policy.Ignored
            form.setSizePolicy(policy.Policy.Preferred, side)
        self.pages.setCurrentWidget(self.forms[kind.name])
        self.align.setVisible(kind.series)
        self._again()

    def _again(self) -> None:
        """Make the view anew if it is shown: what it is made of has changed."""
        if self.wanted:
            self._show()

    def _moved(self, *_: object) -> None:
        """Follow the user to another frame; the view of the last one must not lie over it."""
        if self.desk.scene.image_layer is None:
            self._drop()
        if self.wanted:
            self._show()

    # --- asking and showing ------------------------------------------------------------------

    def _place(self) -> Place:
        return (self.session.source_id, self.session.frame_index)

    def _key(self) -> tuple[Any, ...]:
        name = self.choice.currentData()
        settings = self.forms[name].values()
        return (self._place(), name, tuple(sorted(settings.items())), self.align.isChecked())

    def _show(self) -> None:
        """Show the view if it is made, else ask for it."""
        if self.desk.scene.image_layer is None:
            return
        if self._is_there() and self.desk.guarded(self._key) and self._made_for == self._key():
            self._timer.stop()
            self.layer.visible = True
            return
        self._hide()
        self._timer.start()

    def _ask(self) -> None:
        if self.wanted and self.desk.scene.image_layer is not None:
            self.desk.guarded(self._ask_now)

    def _ask_now(self) -> None:
        self._asked_for = self._key()
        name = self.choice.currentData()
        self.view_task.ask(
            {
                "filter": name,
                "settings": self.forms[name].values(),
                "align": self.align.isChecked(),
            }
        )

    def _on_done(self, reply: TaskDone) -> None:
        if self._asked_for[0] != self._place():
            return
        self._made_for = self._asked_for
        self._draw(np.load(reply.files["view"]), reply.sentence)
        self.did.setText(reply.sentence)
        self.did.show()
        self.layer.visible = self.wanted

    def _on_failed(self, *_: str) -> None:
        self.wanted = False
        self.shown.setChecked(False)

    def _on_cancelled(self) -> None:
        """Put the tick away when the user ended it; a wish that was replaced says nothing."""
        if not self._timer.isActive() and self._asked_for[:1] == (self._place(),):
            self._on_failed()

    def _is_there(self) -> bool:
        return self.layer is not None and self.layer in self.desk.viewer.layers

    def _hide(self) -> None:
        if self._is_there():
            self.layer.visible = False

    def _draw(self, view: Any, sentence: str) -> None:
        """Show the pixels right above the image, with its colours and a contrast of their own."""
        image = self.desk.scene.image_layer
        known = view[np.isfinite(view)]
        low, high = np.percentile(known, [0.3, 99.7]) if known.size else (0.0, 1.0)
        limits = (float(low), float(high) if high > low else float(low) + 1.0)
        if not self._is_there():
            self.layer = self.workbench.place(
                "image",
                view,
                name=LAYER_NAME,
                blending="translucent_no_depth",
                colormap="gray" if image.rgb else image.colormap,
                contrast_limits=limits,
                metadata={"apgan": {VIEW_METADATA: sentence}},
            )
            layers = self.desk.viewer.layers
            layers.move(layers.index(self.layer), layers.index(image) + 1)
            return
        self.layer.data = view
        self.layer.contrast_limits_range = limits
        self.layer.contrast_limits = limits
        self.layer.metadata = {"apgan": {VIEW_METADATA: sentence}}

    def _drop(self) -> None:
        self.desk.scene.drop(self.layer)
        self.layer, self._made_for = None, ()

    def close_down(self) -> None:
        """Let go of the layer too; the session lives on."""
        self._timer.stop()
        self.wanted = False
        self.session.frame_changed.disconnect(self._moved)
        self.session.project_changed.disconnect(self._moved)
        self.desk.adopted.disconnect(self._moved)
        super().close_down()
