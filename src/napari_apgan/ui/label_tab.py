"""The Label tab: elements, detection, regions, the output map, and tables in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QCheckBox, QStackedWidget, QVBoxLayout, QWidget

from napari_apgan.elements import Element
from napari_apgan.project import Session
from napari_apgan.settings import Settings

from .chips import ElementChips
from .contrast import ContrastAdvice
from .detect import Detection
from .detect_box import DetectBox
from .detect_network import NetworkSearch
from .hand_strip import HandStrip
from .label_sections import LabelSection, SectionStack
from .output_map_box import OutputMapBox
from .output_map_export import export_channels, export_picture
from .periodic_table import PeriodicTable
from .predict_overlay import predictions_of
from .regions_box import RegionsBox
from .suggest_region import RegionSuggestion
from .timers import single_shot
from .widgets import heading, hint, primary_button, row, rule, tab_page, text_button

if TYPE_CHECKING:
    from .simulate_panel import SimulatePanel
    from .workbench import Workbench


#: What is scrolled to keeps this far from the edge (px).
_MARGIN = 8


class LabelTab(QWidget):
    """Shows what the session holds for this frame and passes on what the user wants.

    Parameters
    ----------
    session : Session
    workbench : Workbench
    """

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__()
        self._session, self._workbench = session, workbench
        self._desk = workbench.desk
        self.chips = ElementChips()
        self.hand = HandStrip(self._desk)
        self.snap = QCheckBox("Snap")
        self.snap.setChecked(True)
        self.snap.setToolTip(
            "A click goes to the centre of the nearest bright (or dark) spot, fitted below the "
            "pixel; the ring on the image shows where before the button goes down"
        )
        self.teach = hint()
        self.detect = DetectBox()
        self.regions = RegionsBox()
        self.suggestion = RegionSuggestion(self._desk)
        self.regions.layout().insertWidget(2, self.suggestion)
        self.map = OutputMapBox()
        self.sections = SectionStack(session, workbench)
        self.primary = primary_button("")
        self.pages = QStackedWidget()
        self.simulate: SimulatePanel | None = None
        self.table: PeriodicTable | None = None
        search = NetworkSearch(predictions_of(session, workbench))
        self.detection = Detection(self._desk, self.detect, search)
        self.contrast = ContrastAdvice(self._desk, self.detect)
        self._deed = workbench.open_image
        self._revealed: QWidget | None = None
        # A child, which goes when the tab goes: a shot in flight would find it deleted.
        self._revealing = single_shot(self._reveal_now, 20, self)
        self._build()
        self._connect()
        self.refresh()

    def _build(self) -> None:
        self.scroll, layout = tab_page()
        layout.addLayout(row(heading("Elements"), self.chips.add_button, 1, self.snap))
        layout.addWidget(self.chips)
        layout.addWidget(self.hand)
        layout.addWidget(self.teach)
        columns = self.sections.columns
        for part in (self.detect, columns["find"], self.regions, self.map, columns["check"]):
            layout.addWidget(rule())
            layout.addWidget(part)
        layout.addWidget(rule())
        layout.addLayout(
            row(
                heading("Simulated pairs"),
                1,
                text_button(
                    "Simulate…",
                    self.open_simulate,
                    "Training pairs with exact atoms, made from a structure; no labels needed",
                ),
            )
        )
        layout.addStretch(1)
        labelling = QWidget()
        inside = QVBoxLayout(labelling)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.scroll, 1)
        inside.addWidget(self.primary)
        self.pages.addWidget(labelling)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.pages)

    def _connect(self) -> None:
        desk, session = self._desk, self._session
        self.chips.chosen.connect(desk.choose_element)
        self.chips.add_wanted.connect(self.open_table)
        self.chips.changed.connect(desk.replace_element)
        self.chips.removed.connect(desk.remove_element)
        self.snap.toggled.connect(self._set_snapping)
        self.regions.tool_wanted.connect(desk.hand.set_tool)
        self.regions.kind_chosen.connect(self._set_kind)
        self.regions.hold_out_wanted.connect(desk.hold_out)
        self.regions.delete_wanted.connect(desk.delete_region)
        self.regions.shown_wanted.connect(desk.show_region)
        self.map.toggled.connect(lambda _on: desk.toggle_output_map())
        self.map.radius_changed.connect(desk.set_map_radius)
        self.map.picture_wanted.connect(lambda: export_picture(self._workbench))
        self.map.channels_wanted.connect(lambda: export_channels(self._workbench))
        self.primary.clicked.connect(lambda _=False: self._deed())
        desk.tool_changed.connect(self.regions.set_tool)
        desk.map_toggled.connect(self.map.set_shown)
        desk.drawn.connect(self.refresh)
        desk.adopted.connect(self.refresh)
        session.element_changed.connect(self.refresh)
        session.elements_changed.connect(self.refresh)
        session.pairs_changed.connect(self.refresh)
        session.project_changed.connect(self.refresh)
        session.calibration_changed.connect(self.refresh)
        self.detection.changed.connect(self.refresh)
        self.sections.changed.connect(self._show_next_act)
        self.sections.grown.connect(self._keep_in_view)

    def _set_snapping(self, on: bool) -> None:
        self._desk.hand.snapping = on

    def _set_kind(self, kind: str) -> None:
        self._desk.hand.region_kind = kind

    # --- showing -----------------------------------------------------------------------------

    def refresh(self, *_: object) -> None:
        """Show what the session holds now."""
        session, desk = self._session, self._desk
        labels = desk.atoms.labels
        counts = labels["element"].value_counts().to_dict() if len(labels) else {}
        self.chips.set_elements(desk.elements, counts, session.element)
        regions = session.regions() if desk.scene.image_layer is not None else []
        captions = desk.regions.captions if len(desk.regions.captions) == len(regions) else []
        self.regions.set_regions(regions if captions else [], captions)
        spacing = desk.atoms.radius_px if len(labels) > 1 else 0.0
        self.map.set_radius(desk.own_map_radius_px(), spacing, session.calibration.mean_pm)
        self.teach.setText(self._teaching(len(labels)))
        self.teach.setVisible(bool(self.teach.text()))
        self._show_next_act()
        there = desk.scene.image_layer is not None
        for part in (self.detect, self.regions, self.map):
            part.setEnabled(there)
        self.sections.refresh()

    def _show_next_act(self) -> None:
        text, self._deed = self._next_act(len(self._desk.atoms.labels))
        self.primary.setText(text)

    def _teaching(self, n_labels: int) -> str:
        desk = self._desk
        if desk.scene.image_layer is None:
            return "Drop an image on the window, or open one: dm3, dm4, emd, ser, mrc, tif, hspy…"
        if not desk.elements:
            return "No elements yet. Press + Element and choose what the bright columns are."
        if self.detection.candidates:
            return f"When kept, all rings become {self.detection.element}; the slider thins them."
        if n_labels == 0:
            return f"No atoms yet. Press 1 and click a {self._kind()} column, or Detect."
        if desk.atoms.selected:
            n = len(desk.atoms.selected)
            return (
                f"{n} atom{'s' * (n != 1)} selected: a digit changes the element, Delete removes."
            )
        return ""

    def _kind(self) -> str:
        element = self._desk.current_element()
        return element.polarity if element is not None else "bright"

    def _next_act(self, n_labels: int):
        """Return the words and the deed of the primary button: always the next useful act."""
        desk, session = self._desk, self._session
        if desk.scene.image_layer is None:
            return "Open an image…", self._workbench.open_image
        if not desk.elements:
            return "Choose an element…", self.open_table
        if self.detection.candidates:
            return self.detection.keep_words, self.detection.keep
        if (act := self.sections.next_act()) is not None:
            return act
        if n_labels == 0 and self.detection.busy:
            return "Looking for atoms … (cancel)", self.detection.cancel
        if n_labels == 0:
            return "Detect atoms", self.detection.run
        complete = [r for r in session.regions() if r.kind == "complete"]
        if not complete:
            if desk.hand.tool == "box":
                return "Drag a box on the image…", desk.toggle_region_tool
            return "Mark a finished area (R)", desk.toggle_region_tool
        return "Train (T)", lambda: self._workbench.show_tab("train")

    # --- sections ------------------------------------------------------------------------------

    def show_section(self, name: str) -> LabelSection:
        """Open a section, bring it into view and return it."""
        self.close_simulate()
        section = self.sections.open(name)
        self.reveal(self.sections.folds[name])
        return section

    def reveal(self, widget: QWidget) -> None:
        """Scroll to a widget, once the layout has made room for it."""
        self._revealed = widget
        self._revealing.start()

    def _keep_in_view(self, fold: QWidget) -> None:
        """Scroll to a section, unless a part of one is about to be scrolled to."""
        if self._revealed is None:
            self.reveal(fold)

    def _reveal_now(self) -> None:
        widget, self._revealed = self._revealed, None
        if widget is not None:
            self.scroll.ensureWidgetVisible(widget, 0, _MARGIN)
            # Rather its beginning than its end, where not all of it fits.
            top = widget.mapTo(self.scroll.widget(), QPoint(0, 0)).y()
            self.scroll.ensureVisible(0, top, 0, _MARGIN)

    # --- simulated pairs -----------------------------------------------------------------------

    def open_simulate(self) -> None:
        """Show the forms of a simulation in place of the labelling."""
        if self.simulate is None:
            # Structures and microscopes are not waited for when the workbench opens.
            from .simulate_panel import SimulatePanel

            self.simulate = SimulatePanel(self._session, self._workbench)
            self.simulate.left.connect(self.close_simulate)
            self.pages.addWidget(self.simulate)
        self.pages.setCurrentWidget(self.simulate)

    def close_simulate(self) -> None:
        """Go back to labelling; the forms stay as they are."""
        self.pages.setCurrentIndex(0)

    # --- elements ------------------------------------------------------------------------------

    def open_table(self, where: QPoint | None = None) -> None:
        """Open the periodic table below the + button."""
        if self._desk.scene.image_layer is None:
            self._desk.say("Open an image first, then choose its elements.")
            return
        settings = Settings.load()
        self.table = PeriodicTable(self._desk.elements, settings.palette, self)
        current = self._desk.current_element()
        if current is not None:
            self.table.set_polarity(current.polarity)
        self.table.picked.connect(self._add_element)
        button = self.chips.add_button
        corner = where or button.mapToGlobal(button.rect().bottomLeft())
        self.table.adjustSize()
        screen = self.screen().availableGeometry()
        x = min(corner.x(), screen.right() - self.table.width())
        y = min(corner.y(), screen.bottom() - self.table.height())
        self.table.move(max(screen.left(), x), max(screen.top(), y))
        self.table.show()

    def _add_element(self, element: Element) -> None:
        settings = Settings.load()
        if self.table is not None and settings.palette != self.table.palette_name:
            settings.palette = self.table.palette_name
            settings.save()
        self._desk.add_element(element)
