"""Elements by suggestion: a section of the Label tab."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_apgan.atoms import conform, positions
from napari_apgan.doubts import doubtful
from napari_apgan.io import read_atoms
from napari_apgan.label.protocol import TaskDone
from napari_apgan.regions import Region

from .class_rows import ClassOfAtoms
from .detect_found import apart_from
from .doubt_list import DoubtList
from .elements_form import ElementsForm, polarity_of
from .elements_view import ElementsView
from .hand import Loan
from .label_sections import LabelSection
from .lattice_command import image_words
from .lattice_names import first_guess
from .mouse import XY

if TYPE_CHECKING:
    from napari_apgan.project import Session

    from .workbench import Workbench

_FEW = "Label some atoms first: elements are told apart by comparing atoms."


class ElementsSection(LabelSection):
    """Suggests what the labels of the frame are; each suggestion that is kept is one edit."""

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__(session, workbench)
        self.naming, self.between = self.task("elements"), self.task("between")
        self.view = ElementsView(workbench)
        self.doubts = DoubtList(workbench, self._walks_here)
        self.form = ElementsForm(self, (self.naming, self.between))
        self.table: pd.DataFrame | None = None
        self._maps: dict[str, dict[str, Any]] = {}
        self._second = ""
        self.naming.done.connect(self._on_named)
        self.between.done.connect(self._on_between)
        session.frame_changed.connect(self._moved)
        session.project_changed.connect(self._moved)
        self.refresh()

    def _walks_here(self) -> bool:
        tab = self.workbench.label_tab
        return self.workbench.tabs.currentWidget() is tab and self.isVisibleTo(tab)

    # --- suggesting ----------------------------------------------------------------------------

    def suggest(self) -> None:
        """Suggest elements by sublattice and intensity."""
        self._ask({"counts": self.form.counts_wanted, "by_size": self.form.by_size.isChecked()}, {})

    def suggest_by_maps(self) -> None:
        """Suggest elements by images of their counts."""

        def deed() -> None:
            maps = self.form.maps.references(self.naming.folder)
            self._ask({"maps": maps, "align": self.form.align.isChecked()}, maps)

        self.workbench.run(deed)

    def _ask(self, options: dict[str, Any], maps: dict[str, dict[str, Any]]) -> None:
        if len(self.desk.atoms.labels) < 3:
            self.desk.say(_FEW)
            return
        self._maps = maps
        polarity = polarity_of(self.desk.elements, self._main_element())
        wanted = {"polarity": polarity, **options}
        self.workbench.run(lambda: self.naming.ask(wanted, labels=True))

    def _main_element(self) -> str:
        """Return what most labels are, which says whether they are bright."""
        return str(self.desk.atoms.labels["element"].value_counts().index[0])

    def _on_named(self, done: TaskDone) -> None:
        self.table = read_atoms(Path(done.files["atoms"]))
        classes = [str(c) for c in done.values["classes"]]
        elements = self.desk.elements
        known = [e.name for e in elements]
        if done.values["by_maps"]:
            guess = {c: c for c in classes}
            self.form.show_kinds([])
        else:
            guess = self._guess(classes, known)
            self.form.show_kinds(sorted(set(self.table["sublattice"].tolist())))
        self.form.rows.set_classes([ClassOfAtoms(c, guess[c]) for c in classes], elements)
        self.form.show_notes(done.values["notes"])
        self.form.candidates.show()
        self.draw()

    def _guess(self, classes: list[str], known: list[str]) -> dict[str, str]:
        """Guess what the classes are: by labels that a hand made, and by their strength."""
        assert self.table is not None
        table, labels = self.table, self.desk.atoms.labels
        by_hand = set(labels["id"][labels["origin"].isin(["human", "corrected"])].tolist())
        names = dict(zip(labels["id"].tolist(), labels["element"].tolist(), strict=True))
        examples = {}
        said = {names[i] for i in by_hand}
        for name in classes:
            own = [names[i] for i in table["id"][table["element"] == name] if i in by_hand]
            # Labels that are all called the same tell nothing apart.
            if own and len(said - {"unknown"}) > 1:
                examples[name] = str(pd.Series(own).value_counts().index[0])
        strength = table.assign(
            value=table["intensity"].where(table["intensity"] > 0, table["amplitude"])
        )
        medians = strength.groupby("element")["value"].median()
        heights = {c: float(medians[c]) for c in classes}
        order = sorted(classes, key=lambda c: -heights[c])
        return first_guess(order, known, self.session.element, examples, heights)

    def draw(self) -> None:
        """Draw the labels in the colours of what they become."""
        if self.table is None:
            return
        self.view.show(self.table, self.form.rows.colors)
        counts = self.table["element"].value_counts()
        self.form.rows.set_words({c: f"{int(counts[c]):,}" for c in self.form.rows.combos})
        n = int(doubtful(self.table).sum())
        text = f"{len(self.table):,} labels" + (f" · {n:,} to check (✕)" if n else "")
        self.form.counts.setText(text)
        self.form.keep.setEnabled(bool(self.form.rows.elements))
        self.changed.emit()

    def keep(self) -> None:
        """Let the labels become what the rows say, as one edit."""
        if self.table is None:
            return
        names = self.form.rows.elements
        here = set(self.desk.atoms.labels["id"].tolist())
        table = self.table[self.table["element"].isin(list(names)) & self.table["id"].isin(here)]
        if table.empty:
            self.desk.say("None of these labels is there any more: suggest again.")
            self.discard()
            return
        changes: dict[str, Any] = {
            "element": [names[c] for c in table["element"]],
            "sublattice": table["sublattice"].tolist(),
            "confidence": table["confidence"].tolist(),
            "flag": table["flag"].tolist(),
        }
        ids = [int(i) for i in table["id"]]
        if not self.workbench.run(lambda: self.session.change_atoms(ids, **changes)):
            return
        counts = pd.Series(changes["element"]).value_counts()
        n = int(doubtful(table).sum())
        self.discard()
        words = ", ".join(f"{k:,} {e}" for e, k in counts.items())
        space = self.desk.actions.label("next_atom")
        more = f" {n:,} are in doubt: {space} goes through them." if n else ""
        self.desk.say(f"{words}.{more} Ctrl+Z takes it back.")

    def discard(self) -> None:
        """Forget the suggestion."""
        self.table = None
        self.form.candidates.hide()
        self.form.show_notes([])
        self.view.clear()
        self.changed.emit()

    def next_act(self) -> tuple[str, Callable[[], object]] | None:
        """Return the keeping of what is shown."""
        if self.table is None or not self.form.rows.elements:
            return None
        return "Keep these elements", self.keep

    # --- painting ------------------------------------------------------------------------------

    def paint(self, tool: str) -> None:
        """Let the next box or polygon name all labels inside."""
        if not len(self.desk.atoms.labels):
            self.desk.say(_FEW)
            self.form.show_tool("")
            return
        self.desk.scene.activate_home()
        self.desk.hand.lend(tool, Loan(self._painted, self._left))
        self.form.show_tool(tool)
        self.form.say("Draw on the image around the labels to be named. Escape leaves.")

    def _left(self) -> None:
        self.form.show_tool("")
        self.form.say("")

    def _painted(self, corners: list[XY]) -> None:
        self._left()
        name = self.form.paint_element.currentText().strip()
        labels = self.desk.atoms.labels
        inside = Region(id=0, polygon=tuple(corners)).contains(positions(labels))
        ids = [int(i) for i in labels["id"].to_numpy()[inside]]
        if not ids or not name:
            self.desk.say("No label lies inside." if name else "Say what they become first.")
            return
        self.session.change_atoms(ids, element=name, **self.desk.settled(ids))
        self.desk.say(f"{len(ids):,} labels inside are {name} now; Ctrl+Z takes it back.")

    # --- a second sublattice -------------------------------------------------------------------

    def add_between(self) -> None:
        """Look for the atoms in the cages of those that are labelled."""
        self._second = self.form.second.currentText().strip()
        if not self._second:
            self.desk.say("Say what the atoms between are first.")
            return
        options = {
            "polarity": polarity_of(self.desk.elements, self._second),
            "first": self.form.first_element,
            "element": self._second,
        }
        self.workbench.run(lambda: self.between.ask(options, labels=True))

    def _on_between(self, done: TaskDone) -> None:
        found = read_atoms(Path(done.files["atoms"]))
        new = apart_from(positions(found), positions(self.desk.atoms.labels))
        kept = conform(found[new].assign(id=-1))
        if kept.empty:
            self.desk.say(f"All {len(found):,} places between have labels already.")
        elif self.workbench.run(lambda: self.session.add_atoms(kept)):
            skipped = f" {int((~new).sum()):,} places had labels." if not new.all() else ""
            self.desk.say(
                f"{len(kept):,} {self._second} added between.{skipped} Ctrl+Z takes them back."
            )

    # --- following -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what the session holds now."""
        self.setEnabled(self.desk.scene.image_layer is not None)
        self.form.set_elements(self.desk.elements, self.session.element)
        self.doubts.show_labels(self.desk.atoms.labels)
        if (
            self.table is not None
            and not np.isin(self.table["id"], self.desk.atoms.labels["id"]).all()
        ):
            self.discard()  # labels that it speaks of are gone

    def _moved(self, *_: object) -> None:
        for task in (self.naming, self.between):
            task.cancel()
        self.form.say("")
        self.discard()

    def command(self) -> str:
        """Return the shell command that suggests the same."""
        words = ["apgan", "label", "elements", *image_words(self.session)]
        words.insert(4, "LABELS.csv")
        words += ["-o", "named.csv"]
        words += ["--polarity", polarity_of(self.desk.elements, self._main_element())]
        if self._maps:
            for name, reference in self._maps.items():
                words += ["--map", f"{name}={reference['path']}"]
            words += ["--align"] if self.form.align.isChecked() else []
            return shlex.join(words)
        for name, count in self.form.counts_wanted.items():
            words += ["--kinds", f"{name}={count}"]
        for name, element in self.form.rows.elements.items():
            words += ["--element", f"{name}={element}"]
        return shlex.join(words)

    def close_down(self) -> None:
        """Let go of the layers and the tasks."""
        super().close_down()
        self.session.frame_changed.disconnect(self._moved, missing_ok=True)
        self.session.project_changed.disconnect(self._moved, missing_ok=True)
        self.doubts.clear()
        self.view.clear()
