"""What the section of lattices shows: how to propose, what was found, what to keep of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QLineEdit, QSlider, QToolButton, QWidget

from napari_apgan.elements import Polarity

from .class_rows import ClassRows
from .keep_row import KeepRow
from .label_helper import LabelTask
from .task_bar import TaskBar
from .widgets import ElidedLabel, WrappedLabel, column_in, hint, row, text_button

if TYPE_CHECKING:
    from .lattice_section import LatticeSection

PICK_WORDS = (
    "Click an atom on the image. Escape leaves.",
    "Now click one of its neighbours.",
    "Now a neighbour in another direction.",
)
#: The slider goes to this presence.
_MOST, _STEPS = 1.2, 120


class LatticeForm:
    """The widgets of the section.

    Parameters
    ----------
    section : LatticeSection
    task : LabelTask
    """

    def __init__(self, section: LatticeSection, task: LabelTask) -> None:
        self._section = section
        self._polarity_given = False
        self.polarity_box = QComboBox()
        self.polarity_box.addItems(["bright", "dark"])
        self.polarity_box.setToolTip("How the atoms of the lattice look on this image")
        self.polarity_box.activated.connect(self._give_polarity)
        self.where_box = QComboBox()
        for title, name in (
            ("everywhere", "whole"),
            ("in regions", "regions"),
            ("in a box", "box"),
        ):
            self.where_box.addItem(title, name)
        self.where_box.setToolTip(
            "Where atoms are wanted: everywhere, in the complete regions, or in a box that you drag"
        )
        for box in (self.polarity_box, self.where_box):  # never wider than the dock
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        self.polarity_box.setMinimumContentsLength(5)
        self.where_box.setMinimumContentsLength(8)
        self.grains = QCheckBox("several grains")
        self.grains.setChecked(True)
        self.grains.setToolTip("Go on with another lattice where the first one ends")
        self.go = text_button(
            "Propose",
            section.propose,
            "Finds what repeats, lays it over the image, and shows what stands on its sites; "
            "nothing is added until you keep it",
        )
        self.pick = text_button(
            "Pick atoms",
            section.pick,
            "Click an atom and two of its neighbours: the lattice is laid by them",
        )
        self.pick.setCheckable(True)
        self.structure = text_button(
            "File…",
            section.choose_structure,
            "A structure file (.cif) says which element stands where in the cell",
        )
        self.structure_name = ElidedLabel()
        self.zone = QLineEdit("0 0 1")
        self.zone.setMaximumWidth(70)
        self.zone.setToolTip("Direction of the beam in the structure, u v w")
        self.zone.returnPressed.connect(section.propose)
        drop = QToolButton()
        drop.setText("×")
        drop.setToolTip("Do without the structure file")
        drop.clicked.connect(lambda _=False: section.use_structure(None))
        self.structure_line = QWidget()
        line = row(self.structure_name, QLabel("along"), self.zone, drop)
        line.setStretch(0, 1)
        self.structure_line.setLayout(line)
        self.structure_line.hide()
        self.note = hint()
        self.note.hide()
        self.candidates = self._make_candidates()
        self.notes = WrappedLabel()
        self.notes.hide()
        self.kept_line = QWidget()
        self.kept_words = QLabel()
        self.kept_line.setLayout(
            row(self.kept_words, 1, text_button("Hide", section.discard, "Take the squares away"))
        )
        self.kept_line.hide()
        layout = column_in(section)
        asking = row(QLabel("Atoms"), self.polarity_box, self.where_box)
        asking.setStretch(2, 1)
        layout.addLayout(asking)
        layout.addLayout(row(self.go, self.pick, self.structure))
        layout.addWidget(self.grains)
        layout.addWidget(self.structure_line)
        layout.addWidget(self.note)
        layout.addWidget(TaskBar(task))
        layout.addWidget(self.candidates)
        layout.addWidget(self.notes)
        layout.addWidget(self.kept_line)

    def _make_candidates(self) -> QWidget:
        section = self._section
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setToolTip(
            "How much of its usual height a site needs to count as an atom: to the left all sites "
            "are filled, to the right only clear atoms stay"
        )
        self.slider.valueChanged.connect(lambda _: section.thin())
        self.counts = WrappedLabel()
        self.grain_signs = hint()
        self.rows = ClassRows()
        self.rows.changed.connect(section.draw)
        self.keep_extra = QCheckBox()
        self.keep_extra.setToolTip("Atoms beside the sites become labels too")
        self.keep_extra.toggled.connect(lambda _: section.draw())
        self.show_missing = QCheckBox("show missing places afterwards")
        self.show_missing.setChecked(True)
        buttons = KeepRow(
            section.keep,
            section.discard,
            section.command,
            kept="The rings become labels; one Ctrl+Z takes all of them back",
            discarded="Nothing is added",
        )
        self.keep, self.discard = buttons.keep, buttons.discard
        widget = QWidget()
        layout = column_in(widget)
        layout.addWidget(self.counts)
        layout.addWidget(self.grain_signs)
        slide = row(QLabel("all sites"), self.slider, QLabel("clear atoms"))
        slide.setStretch(1, 1)
        layout.addLayout(slide)
        layout.addWidget(self.rows)
        layout.addWidget(self.keep_extra)
        layout.addWidget(self.show_missing)
        layout.addWidget(buttons)
        widget.hide()
        return widget

    # --- what the user wants -------------------------------------------------------------------

    @property
    def polarity(self) -> Polarity:
        """How the atoms look."""
        return "dark" if self.polarity_box.currentText() == "dark" else "bright"

    @property
    def where(self) -> str:
        """``whole``, ``regions`` or ``box``."""
        return str(self.where_box.currentData())

    @property
    def presence(self) -> float:
        """Least part of its usual height that a site needs."""
        return _MOST * self.slider.value() / _STEPS

    @property
    def zone_numbers(self) -> tuple[int, ...] | None:
        """The zone axis; None when what is written there is none."""
        try:
            numbers = tuple(int(w) for w in self.zone.text().replace(",", " ").split())
        except ValueError:
            return None
        return numbers if len(numbers) == 3 and any(numbers) else None

    def _give_polarity(self) -> None:
        self._polarity_given = True

    def follow_polarity(self, polarity: Polarity) -> None:
        """Take the current element's look, until the user says another one here."""
        if not self._polarity_given:
            self.polarity_box.setCurrentText(polarity)

    # --- showing -------------------------------------------------------------------------------

    def set_presence(self, presence: float) -> None:
        """Put the slider somewhere without anybody following it."""
        self.slider.blockSignals(True)
        self.slider.setValue(round(_STEPS * presence / _MOST))
        self.slider.blockSignals(False)

    def say(self, text: str) -> None:
        """Say what to do next, or nothing."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def show_notes(self, notes: Sequence[str]) -> None:
        """Say what is to be known of the proposal."""
        self.notes.setText("\n".join(notes))
        self.notes.setVisible(bool(notes))

    def show_structure(self, name: str) -> None:
        """Show which structure file is used; empty for none."""
        self.structure_name.set_text(name)
        self.structure_line.setVisible(bool(name))

    def show_counts(self, counts: str, signs: str, missing: int, extra: int, atoms: int) -> None:
        """Say what is shown, and what Keep would keep."""
        self.counts.setText(counts)
        self.grain_signs.setText(signs)
        self.grain_signs.setVisible(bool(signs))
        self.keep_extra.setVisible(extra > 0)
        self.keep_extra.setText(f"keep the {extra:,} extra ({chr(0x2715)}) too")
        self.show_missing.setVisible(missing > 0)
        self.keep.setEnabled(atoms > 0 and bool(self.rows.elements))

    def show_kept(self, missing: int) -> None:
        """Say that squares of a proposal that was kept are still shown."""
        self.kept_words.setText(f"{missing:,} missing place{'s' * (missing != 1)} shown (□)")
        self.kept_line.setVisible(missing > 0)
