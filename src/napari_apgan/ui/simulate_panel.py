"""Simulate: from a structure to training pairs with exact atoms, seen before they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QGuiApplication, QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_apgan.elements import pick_color
from napari_apgan.errors import UserError
from napari_apgan.io import read_atoms
from napari_apgan.maps import default_radius_px
from napari_apgan.project import Session
from napari_apgan.settings import Settings
from napari_apgan.simulate.examples import DESCRIPTIONS, EXAMPLES
from napari_apgan.simulate.protocol import Matched, Previewed
from napari_apgan.simulate.settings import SimulationSettings

from .busy_bar import BusyBar
from .simulate_forms import SimulationForms
from .simulate_picture import FramePicture, middle, side_by_side
from .simulate_set import free_seed
from .simulate_words import command_of, preview_words
from .simulator import Simulator, simulator_of
from .timers import single_shot
from .widgets import BAD, column_in, heading, hint, primary_button, row, text_button

if TYPE_CHECKING:
    from .workbench import Workbench

_PAIRS = 60
_FIRST = "graphene"
#: Side of the part that is shown close, in px of the frame.
_CLOSE_PX = 96
#: A frame that takes longer is waited for with a word (ms).
_SLOW_MS = 1200


class SimulatePanel(QWidget):
    """Forms above, a frame as it will look beside them, and the button that makes pairs.

    Parameters
    ----------
    session : Session
    workbench : Workbench
    """

    left = Signal()

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__()
        self._session, self._workbench = session, workbench
        self.simulator: Simulator = simulator_of(session, workbench)
        self.back = text_button("‹ Label", self.left.emit, "Back to labelling")
        self.match_button = text_button(
            "Match my image", self.match, "Estimate the settings from the image on the screen"
        )
        self.copy_button = text_button(
            "Copy as command", self.copy_command, "The same as an apgan command, for a terminal"
        )
        self.example = QComboBox()
        self.example.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for name in EXAMPLES:
            self.example.addItem(name, name)
            at = self.example.count() - 1
            self.example.setItemData(at, DESCRIPTIONS[name], Qt.ItemDataRole.ToolTipRole)
        self.whole = FramePicture("The first frame appears here in a moment.")
        self.picture = FramePicture("")
        self.picture.setToolTip("The middle of the frame that the forms describe, with its atoms")
        self.pictures = side_by_side(self.whole, self.picture)
        self.rings = QCheckBox("Atoms")
        self.rings.setChecked(True)
        self.another = text_button(
            "Another", self._on_another, "Another frame of the same settings"
        )
        self.said = hint()
        self.forms = SimulationForms()
        self.bar = BusyBar()
        self.cancel_button = QPushButton("Cancel")
        self.count = QSpinBox()
        self.count.setRange(1, 2000)
        self.count.setValue(_PAIRS)
        self.count.setSuffix(" pairs")
        self.primary = primary_button("", "Simulate them and put them into the training set")
        self._number = 0
        self._said_by_hand = False
        self._wrong = False
        self._matched: Matched | None = None
        self._slow = single_shot(lambda: self._say("Simulating …"), _SLOW_MS, self)
        self._build()
        self._connect()
        self.forms.show_settings(EXAMPLES.get(_FIRST, next(iter(EXAMPLES.values()))))
        self._show_busy()

    def _build(self) -> None:
        layout = column_in(self, spacing=5, margins=(4, 4, 4, 0))
        layout.addLayout(row(self.back, heading("Simulate"), 1, self.match_button))
        line = row(hint("Example"), self.example, self.another, self.rings)
        line.setStretch(1, 1)
        layout.addLayout(line)
        layout.addWidget(self.pictures)
        layout.addWidget(self.said)
        layout.addWidget(self.forms, 1)
        working = row(self.bar, self.cancel_button)
        working.setStretch(0, 1)
        layout.addLayout(working)
        layout.addLayout(row(self.count, self.copy_button))
        layout.addWidget(self.primary)

    def _connect(self) -> None:
        simulator = self.simulator
        self.example.activated.connect(lambda at: self.show_example(self.example.itemData(at)))
        self.forms.changed.connect(self._ask)
        self.forms.kind.currentIndexChanged.connect(self._on_kind)
        self.rings.toggled.connect(self._on_rings)
        self.count.valueChanged.connect(lambda _: self._show_busy())
        self.cancel_button.clicked.connect(lambda _=False: simulator.cancel())
        self.primary.clicked.connect(lambda _=False: self._workbench.run(self.make))
        simulator.ready.connect(lambda there: self.forms.set_multislice(there=there))
        simulator.previewed.connect(self._on_previewed)
        simulator.matched.connect(self._on_matched)
        simulator.progressed.connect(self.bar.show_progress)
        simulator.ended.connect(self._on_ended)
        simulator.failed.connect(self._on_failed)
        simulator.busy_changed.connect(lambda _on: self._show_busy())

    # ------------------------------------------------------------------ following the forms

    def showEvent(self, event: QShowEvent) -> None:
        """Start the helper and show the first frame."""
        super().showEvent(event)
        self.simulator.helper.start()
        self._show_busy()
        if self.whole.text():
            self._ask()

    def show_example(self, name: str) -> None:
        """Fill all forms with an example."""
        self.example.setCurrentIndex(self.example.findData(name))
        self._number = 0
        self._said_by_hand = True
        self.forms.show_settings(EXAMPLES[name])
        self._matched = None
        self._ask()

    def _on_kind(self) -> None:
        self._said_by_hand = True

    def _on_another(self) -> None:
        self._number += 1
        self._ask()

    def _on_rings(self, shown: bool) -> None:
        self.picture.show_rings(shown)

    def _ask(self) -> None:
        settings = self._settings_or_sentence()
        if settings is not None:
            self.simulator.preview(settings, 0, self._number)
            self._slow.start()

    def _settings_or_sentence(self) -> SimulationSettings | None:
        try:
            settings = self.forms.settings()
        except UserError as error:
            self._slow.stop()
            self._say(str(error), wrong=True)
            return None
        if self._wrong:
            self._say("")
        return settings

    # ------------------------------------------------------------------ acts

    def make(self) -> None:
        """Make pairs with what the forms say."""
        if self.simulator.making:
            return
        settings = self._settings_or_sentence()
        if settings is not None:
            self.simulator.make(settings, self.count.value())

    def match(self) -> None:
        """Fill the forms with settings that make frames look like the image on the screen."""
        if self._workbench.image_layer is None:
            self._say("Open an image first, then its settings can be estimated.", wrong=True)
            return
        known = self._settings_or_sentence() if self._said_by_hand else None
        self._said_by_hand = known is not None
        try:
            self.simulator.match(known)
        except UserError as error:
            self._say(str(error), wrong=True)

    def copy_command(self) -> None:
        """Put the command that makes the same pairs on the clipboard."""
        settings = self._settings_or_sentence()
        if settings is None:
            return
        try:
            project = self._session.ensure_project()
            folder = project.path / "simulated"
            command = command_of(settings, self.count.value(), free_seed(project), folder)
        except OSError as error:
            self._say(f"The settings could not be written ({error}).", wrong=True)
            return
        QGuiApplication.clipboard().setText(command)
        self._workbench.say(f"Copied: {command}")

    # ------------------------------------------------------------------ showing

    def _on_previewed(self, reply: Previewed) -> None:
        self._slow.stop()
        self._draw(reply)
        if self._matched is None:
            self._say(preview_words(reply))

    def _draw(self, reply: Previewed) -> None:
        image = np.load(reply.image, allow_pickle=False)
        atoms = read_atoms(reply.atoms)
        colors = self._colors(reply.elements)
        radius = default_radius_px(atoms) if len(atoms) > 1 else 3.0
        part, x, y = middle(image, (_CLOSE_PX, _CLOSE_PX))
        near = atoms.assign(x_px=atoms["x_px"] - x, y_px=atoms["y_px"] - y)
        self.picture.show_frame(part, near, colors, radius)
        self._show_beside(image, part.shape, reply.pixel_size_pm)

    def _colors(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return the colours that elements have in the project, or would have."""
        project = self._session.project
        known = {e.name: e.color for e in project.elements} if project is not None else {}
        palette = Settings.load().palette
        for name in names:
            if name not in known:
                known[name] = pick_color(name, list(known.values()), palette)
        return known

    def _show_beside(
        self, image: NDArray[np.floating], shape: tuple[int, ...], pixel_size_pm: float
    ) -> None:
        """Show the whole frame; after a match the user's image, as much of it and as large."""
        frame = self._workbench.desk.frame() if self._matched is not None else None
        if frame is None:
            self.whole.show_frame(image)
            self.whole.setToolTip("The whole frame that the forms describe")
            return
        zoom = pixel_size_pm / (frame.calibration.x_pm or pixel_size_pm)
        wanted = (max(8, round(shape[0] * zoom)), max(8, round(shape[1] * zoom)))
        self.whole.show_frame(middle(np.where(frame.valid, frame.data, np.nan), wanted)[0])
        self.whole.setToolTip("The middle of your image, at the same scale")

    def _on_matched(self, reply: Matched) -> None:
        self._matched = reply
        self.rings.setChecked(False)  # the two are compared as images
        self.forms.show_settings(reply.settings)
        self._draw(reply.preview)
        sentences = [str(s) for s in reply.match.get("sentences", ())]
        similarity = reply.match.get("similarity")
        lead = f"Similarity {similarity:.2f} of 1. " if isinstance(similarity, float) else ""
        self._say(lead + " ".join(sentences))

    def _on_ended(self, _sentence: str) -> None:
        self._show_busy()

    def _on_failed(self, sentence: str, details: str) -> None:
        self._slow.stop()
        self._say(sentence, wrong=True)
        if details:  # a fault of the program, not of what was typed: it can be reported
            self._workbench.say_error(sentence, details)

    def _show_busy(self) -> None:
        simulator, n = self.simulator, self.count.value()
        busy = simulator.making or simulator.matching
        self.bar.setVisible(busy)
        self.cancel_button.setVisible(busy)
        self.primary.setEnabled(not busy)
        self.primary.setText("Making …" if simulator.making else f"Make {n} pair{'s' * (n != 1)}")
        self.match_button.setEnabled(not busy)

    def _say(self, sentence: str, *, wrong: bool = False) -> None:
        self._wrong = wrong
        self.said.setText(sentence)
        self.said.setStyleSheet(f"color: {BAD if wrong else '#9AA3AD'};")
