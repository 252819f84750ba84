"""Lattices: a section of the Label tab that proposes atoms on sites and keeps them as labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QFileDialog

from napari_apgan.atoms import concat, conform, positions
from napari_apgan.elements import Element, find_element
from napari_apgan.label.protocol import TaskDone

from .class_rows import ClassOfAtoms
from .detect_found import apart_from, radius_px
from .hand import Loan
from .label_helper import LabelTask
from .label_sections import LabelSection
from .lattice_form import PICK_WORDS, LatticeForm
from .lattice_names import ON_SITE, examples_on, first_guess
from .lattice_view import GRAIN_SHAPES, GRAIN_SIGNS, LatticeView
from .mouse import XY

if TYPE_CHECKING:
    from napari_apgan.label.sites import Sites
    from napari_apgan.project import Session

    from .workbench import Workbench


class LatticeSection(LabelSection):
    """Asks the helper for a lattice, thins it here, and makes labels of it as one edit."""

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__(session, workbench)
        self.lattice_task: LabelTask = self.task("lattice")
        self.view = LatticeView(workbench)
        self.form = LatticeForm(self, self.lattice_task)
        self.sites: Sites | None = None
        self.picks: list[XY] = []
        self._structure: Path | None = None
        self._asked: dict[str, Any] = {}
        self._masks: tuple[Any, Any, Any] = (None, None, None)
        self._missing_kept = np.empty((0, 2))
        self.lattice_task.done.connect(self._on_done)
        self.lattice_task.cancelled.connect(lambda: self.form.say("No lattice was proposed."))
        self.lattice_task.failed.connect(lambda *_: self.form.say(""))
        for signal in (session.frame_changed, session.project_changed, workbench.desk.adopted):
            signal.connect(self._moved)
        self.refresh()

    # --- asking --------------------------------------------------------------------------------

    def propose(self) -> None:
        """Propose a lattice that the image itself shows, where the user wants it."""
        if not self._ready():
            return
        if self.form.where == "box":
            self.form.say("Drag a box on the image: the lattice is laid inside. Escape leaves.")
            self._lend("box", lambda corners: self._ask({"areas": [corners]}))
            return
        areas = [list(r.polygon) for r in self.session.regions() if r.kind == "complete"]
        if self.form.where == "regions" and not areas:
            self.desk.say("There is no complete region on this frame: draw one with R first.")
            return
        self._ask({"areas": areas} if self.form.where == "regions" else {})

    def pick(self) -> None:
        """Let the next three clicks say an atom and two of its neighbours."""
        if not self._ready():
            return
        self.discard()
        self.picks = []
        self._lend("point", self._picked)
        self.form.say(PICK_WORDS[0])
        self.form.pick.setChecked(True)

    def _picked(self, corners: list[XY]) -> None:
        element = Element(name="unknown", color="#FFFFFF", polarity=self.form.polarity)
        x, y, _found = self.desk.snapped(corners[0], element)
        self.picks.append((x, y))
        near = 2.0 * min(self.desk.atoms.radius_px, 6.0)
        self.view.show_picks(np.array(self.picks), near)
        if len(self.picks) < 3:
            self.form.say(PICK_WORDS[len(self.picks)])
            return
        picks, self.picks = self.picks, []
        self.desk.hand.set_tool("atoms")
        areas = [list(r.polygon) for r in self.session.regions() if r.kind == "complete"]
        options = {"areas": areas} if self.form.where == "regions" and areas else {}
        self._ask({"picks": picks, **options})

    def choose_structure(self) -> None:
        """Ask for a structure file and lay its cell on the image."""
        path = QFileDialog.getOpenFileName(
            self,
            "Structure",
            self.workbench.last_folder(),
            "Structures (*.cif *.vasp *.xyz *.POSCAR POSCAR*);;All files (*)",
        )[0]
        if path:
            self.workbench.remember_folder(Path(path).parent)
            self.use_structure(Path(path))

    def use_structure(self, path: Path | None) -> None:
        """Say which element stands where by a structure file; None: no longer."""
        self._structure = path
        self.form.show_structure("" if path is None else path.name)
        if path is not None:
            self.propose()

    def _ask(self, options: dict[str, Any]) -> None:
        wanted: dict[str, Any] = {
            "polarity": self.form.polarity,
            "grains": self.form.grains.isChecked(),
            **options,
        }
        if self._structure is not None:
            zone = self.form.zone_numbers
            if zone is None:
                self.desk.say("A zone axis is three whole numbers, such as 0 0 1 or 1 1 0.")
                return
            wanted |= {"structure": str(self._structure), "zone": list(zone)}
        self.discard()
        self._asked = wanted
        if self.workbench.run(lambda: self.lattice_task.ask(wanted)):
            self.form.say("")

    def _ready(self) -> bool:
        if self.desk.scene.image_layer is None:
            self.desk.say("Open an image first.")
            return False
        return True

    def _lend(self, tool: str, taken: Any) -> None:
        self.desk.scene.activate_home()
        self.desk.hand.lend(tool, Loan(taken, self._left))

    def _left(self) -> None:
        """Notice that the tool was put down before it was done."""
        self.form.pick.setChecked(False)
        if self.picks:
            self.picks = []
            self.view.clear()
        self.form.say("")

    # --- showing -------------------------------------------------------------------------------

    def _on_done(self, done: TaskDone) -> None:
        from napari_apgan.label.sites import PRESENCE, Sites

        sites = Sites.load(Path(done.files["sites"]))
        self.form.pick.setChecked(False)
        self.form.show_notes(done.values["notes"])
        if not len(sites):
            self.view.clear()
            self.form.say("")
            return
        self.sites = sites
        self.form.set_presence(PRESENCE)
        self._name_sublattices(sites)
        self.form.candidates.show()
        self.thin()

    def _name_sublattices(self, sites: Sites) -> None:
        elements = self.desk.elements
        names = sites.sublattices
        reach = ON_SITE * float(sites.closest_px.min())
        examples = examples_on(sites.offered_px, sites.sublattice, self.desk.atoms.labels, reach)
        known, current = [e.name for e in elements], self.session.element
        strength = {n: float(np.median(sites.amplitude[sites.sublattice == n])) for n in names}
        guess = first_guess(names, known, current, examples, strength)
        for name in names:
            told = {e for e in sites.element[sites.sublattice == name].tolist() if e != "unknown"}
            if told:
                guess[name] = sorted(told)[0]
        self.form.rows.set_classes([ClassOfAtoms(n, guess[n]) for n in names], elements)

    def thin(self) -> None:
        """Show what the slider makes of the sites."""
        if self.sites is None:
            return
        there = self.sites.there(self.form.presence)
        self._masks = (there, self.sites.missing(there), self.sites.extra(there))
        self.draw()

    def draw(self) -> None:
        """Draw the sites in the colours of what they become, and count them."""
        sites = self.sites
        if sites is None:
            return
        there, missing, extra = self._masks
        self.view.show(sites, there, missing, extra, self.form.rows.colors)
        self.form.rows.set_words(
            {n: f"{int((there & (sites.sublattice == n)).sum()):,}" for n in sites.sublattices}
        )
        from napari_apgan.label.sites import counted

        counts = counted(int(there.sum()), int(missing.sum()), len(extra), sites.n_grains)
        signs = ""
        if sites.n_grains > 1:
            shown = min(sites.n_grains, len(GRAIN_SHAPES))
            signs = "Grains " + " ".join(f"{n + 1} {GRAIN_SIGNS[n]}" for n in range(shown))
            signs += " …" if sites.n_grains > shown else ""
        self.form.show_counts(counts, signs, int(missing.sum()), len(extra), int(there.sum()))
        self.changed.emit()

    # --- keeping -------------------------------------------------------------------------------

    def keep(self) -> None:
        """Make labels of the atoms that are shown, as one edit; places with labels are skipped."""
        if self.sites is None:
            return
        names = self.form.rows.elements
        proposed = self.sites.tables(presence=self.form.presence, elements=names)
        table = proposed.atoms[proposed.atoms["sublattice"].isin(list(names))]
        if self.form.keep_extra.isChecked() and len(proposed.extra):
            element = self.session.element or "unknown"
            table = concat([table, proposed.extra.assign(element=element, flag="")])
        new = apart_from(positions(table), positions(self.desk.atoms.labels))
        kept = conform(table[new].assign(id=-1))
        if kept.empty:
            self.desk.say("Every place that is shown has a label already: nothing was added.")
            return
        if not self.workbench.run(lambda: self.session.add_atoms(kept)):
            return
        missing, size = positions(proposed.missing), 2.2 * radius_px(self.sites.ideal_px)
        self.discard()
        if len(missing) and self.form.show_missing.isChecked():
            self._missing_kept = missing
            self.view.show_missing(missing, size)
        self.form.show_kept(len(self._missing_kept))
        counts = ", ".join(f"{n:,} {e}" for e, n in kept["element"].value_counts().items())
        skipped = int((~new).sum())
        others = f" {skipped:,} places had labels." if skipped else ""
        self.desk.say(f"{counts} added.{others} Ctrl+Z takes them back.")

    def discard(self) -> None:
        """Forget the proposal, and the missing places of one that was kept."""
        self.sites, self._missing_kept = None, np.empty((0, 2))
        self.form.candidates.hide()
        self.form.show_notes([])
        self.form.show_kept(0)
        self.view.clear()
        self.changed.emit()

    def next_act(self) -> tuple[str, Callable[[], object]] | None:
        """Return the keeping of what is shown."""
        if self.sites is None:
            return None
        n = int(self._masks[0].sum())
        return f"Keep {n:,} atom{'s' * (n != 1)}", self.keep

    # --- following -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Let the form know whether there is an image, and how its atoms look."""
        self.setEnabled(self.desk.scene.image_layer is not None)
        name = self.session.element
        if name and any(e.name == name for e in self.desk.elements):
            self.form.follow_polarity(find_element(self.desk.elements, name).polarity)

    def _moved(self, *_: object) -> None:
        if self.lattice_task.busy:
            self.lattice_task.cancel()
        if self.form.pick.isChecked():
            self.desk.hand.set_tool("atoms")
        self.form.say("")
        self.discard()

    def command(self) -> str:
        """Return the shell command that proposes the same."""
        from .lattice_command import command_of

        return command_of(self.session, self._asked, self.form.presence, self.form.rows.elements)

    def close_down(self) -> None:
        """Let go of the layer and the task."""
        super().close_down()
        for signal in (
            self.session.frame_changed,
            self.session.project_changed,
            self.desk.adopted,
        ):
            signal.disconnect(self._moved, missing_ok=True)
        self.view.clear()
