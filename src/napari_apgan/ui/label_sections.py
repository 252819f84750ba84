"""The folding sections of the Label tab: what helps with labelling, made when first seen open.

Each is a widget of its own that knows the session and the workbench. To add one, write the widget
and a line in :data:`SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, get_args

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QPaintEvent, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QToolButton, QWidget

from napari_apgan.settings import Settings

from .label_helper import LabelHelper, LabelTask
from .timers import single_shot
from .widgets import FOLD_STYLE, column_in, fold_arrow

if TYPE_CHECKING:
    from napari_apgan.project import Session

    from .workbench import Workbench


class LabelSection(QWidget):
    """Base of what a section shows.

    Parameters
    ----------
    session : Session
    workbench : Workbench
    """

    #: What :meth:`next_act` returns may have changed.
    changed = Signal()

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__()
        self.session, self.workbench = session, workbench
        self.desk = workbench.desk
        self._tasks: list[LabelTask] = []

    def task(self, name: str) -> LabelTask:
        """Return a new task of the labelling helper, which is started with it."""
        task = LabelTask(label_helper_of(self.workbench), self.session, name)
        task.failed.connect(self.workbench.say_error)
        self._tasks.append(task)
        return task

    def act(self) -> None:
        """Do what the section's key does; see :class:`SectionKind`."""

    def next_act(self) -> tuple[str, Callable[[], object]] | None:
        """Return the words and the deed of the tab's primary button, where this section has one."""
        return None

    def refresh(self) -> None:
        """Show what the session holds now; called after every change while the section is open."""

    def close_down(self) -> None:
        """Let go of layers, tasks and files."""
        for task in self._tasks:
            task.close()


Stage = Literal["find", "check"]


@dataclass(frozen=True, slots=True)
class SectionKind:
    """A line of the stack.

    Parameters
    ----------
    name, title, tooltip : str
    module : str
        Within `napari_apgan.ui`; imported when the section is first seen open.
    widget : str
        Its :class:`LabelSection`.
    action : str
        The action of a key (`keys.KEYS`) that calls its `act`, open or not; empty for none.
    stage : {"find", "check"}
        Whether it stands before the regions, with what finds atoms, or after them.
    """

    name: str
    title: str
    tooltip: str
    module: str
    widget: str
    action: str = ""
    stage: Stage = "check"


#: In the order of the work.
SECTIONS: tuple[SectionKind, ...] = (
    SectionKind(
        "lattice",
        "Lattice",
        "Atoms on the sites of a lattice, with what is missing and what is too much",
        "lattice_section",
        "LatticeSection",
        stage="find",
    ),
    SectionKind(
        "elements",
        "Elements by suggestion",
        "What the labels are: by sublattice and intensity, by painting, by maps; what to check",
        "elements_section",
        "ElementsSection",
        stage="find",
    ),
    SectionKind(
        "clean_view",
        "Clean view",
        "Filters for the eye only, as a layer over the image; F shows and hides it",
        "clean_view_section",
        "CleanViewSection",
        "clean_view",
        "find",
    ),
    SectionKind(
        "series",
        "Series",
        "Label the mean of a series once, and carry the labels to its frames",
        "series_section",
        "SeriesSection",
    ),
    SectionKind(
        "refine",
        "Refine",
        "Positions below the pixel with error bars, fitted on the raw frame",
        "refine_section",
        "RefineSection",
        stage="find",
    ),
    SectionKind(
        "doctor",
        "Label doctor",
        "Labels that are probably wrong, each with a reason and a fix by one key",
        "doctor_section",
        "DoctorSection",
    ),
    SectionKind(
        "import",
        "Import and export",
        "Labels and output maps from and to other programs, seen over the image before they count",
        "import_section",
        "ImportSection",
    ),
    SectionKind(
        "images",
        "Images",
        "The images of the project, and folders of images to take more from",
        "images_section",
        "ImagesSection",
    ),
)


class FoldingSection(QWidget):
    """A heading that makes and shows its section when it is opened, and remembers that it is.

    Parameters
    ----------
    kind : SectionKind
    make : callable
        Returns the section.
    """

    #: It was opened, or has more to show than before: it is to be seen.
    grown = Signal(QWidget)

    def __init__(self, kind: SectionKind, make: Callable[[SectionKind], LabelSection]) -> None:
        super().__init__()
        self.kind, self._make = kind, make
        self.section: LabelSection | None = None
        #: It is open as it was left: what then appears is not scrolled to.
        self._restored = False
        # A child, which goes when the section goes: a shot in flight would find it deleted.
        self._seen = single_shot(self._unfold, parent=self)
        self.toggle = QToolButton()
        self.toggle.setText(kind.title)
        self.toggle.setToolTip(kind.tooltip)
        self.toggle.setCheckable(True)
        self.toggle.setStyleSheet(FOLD_STYLE)
        self.toggle.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.toggle.toggled.connect(self._apply)
        self._layout = column_in(self, spacing=2)
        self._layout.addWidget(self.toggle)
        fold_arrow(self.toggle, opened=False)

    @property
    def opened(self) -> bool:
        """Whether the section is shown."""
        return self.toggle.isChecked()

    def open(self) -> LabelSection:
        """Show the section, made if need be, and return it."""
        self.toggle.setChecked(True)
        if self.made().isHidden():  # left open, and not seen so far
            self._unfold()
        return self.made()

    def restore(self) -> None:
        """Be open as it was left; the section is made when someone looks."""
        self._restored = True
        self.toggle.setChecked(True)

    def made(self) -> LabelSection:
        """Return the section, made if need be, open or not."""
        if self.section is None:
            self.section = self._make(self.kind)
            self.section.setVisible(False)
            self._layout.addWidget(self.section)
        return self.section

    def refresh(self) -> None:
        """Let an open section catch up."""
        if self.opened and self.section is not None:
            self.section.refresh()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Make what was left open when it is first looked at, after the painting."""
        super().paintEvent(event)
        if self._restored and (self.section is None or self.section.isHidden()):
            self._seen.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep what has appeared in an open section in view."""
        super().resizeEvent(event)
        if not self.opened or not event.size().height() > event.oldSize().height() > 0:
            return
        if self._restored:
            self._restored = False
        elif not self.toggle.visibleRegion().isEmpty():
            self.grown.emit(self)

    def _apply(self, opened: bool) -> None:
        fold_arrow(self.toggle, opened=opened)
        self._restored = self._restored and opened
        if not self._restored:
            self._unfold()
        if opened and self.isVisible():
            self.grown.emit(self)
        _remember(self.kind.name, opened)

    def _unfold(self) -> None:
        """Show the section while the heading says so, and hide it while not."""
        if self.opened or self.section is not None:
            section = self.made()
            section.setVisible(self.opened)
            self.refresh()
            section.changed.emit()


class SectionStack(QObject):
    """All sections, below each other in one column for each stage.

    Parameters
    ----------
    session : Session
    workbench : Workbench
    """

    changed = Signal()
    grown = Signal(QWidget)  # a FoldingSection

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__()
        self._session, self._workbench = session, workbench
        self.folds = {kind.name: FoldingSection(kind, self._make) for kind in SECTIONS}
        for name, fold in self.folds.items():
            fold.grown.connect(self.grown)
            if fold.kind.action:
                workbench.register(fold.kind.action, lambda n=name: self.folds[n].made().act())
        self.columns = {stage: self._column(stage) for stage in get_args(Stage)}
        for name in Settings.load().open_sections:
            if name in self.folds:
                self.folds[name].restore()

    def _column(self, stage: str) -> QWidget:
        column = QWidget()
        layout = column_in(column, spacing=2)
        for fold in self.folds.values():
            if fold.kind.stage == stage:
                layout.addWidget(fold)
        return column

    def _make(self, kind: SectionKind) -> LabelSection:
        module = import_module(f".{kind.module}", __package__)
        made: LabelSection = getattr(module, kind.widget)(self._session, self._workbench)
        made.changed.connect(self.changed)
        return made

    def open(self, name: str) -> LabelSection:
        """Show a section and return it."""
        return self.folds[name].open()

    def next_act(self) -> tuple[str, Callable[[], object]] | None:
        """Return the next useful act of the first open section that has one."""
        open_ones = [f.section for f in self.folds.values() if f.opened and f.section is not None]
        return next((act for s in open_ones if (act := s.next_act()) is not None), None)

    def refresh(self) -> None:
        """Let the open sections catch up."""
        for fold in self.folds.values():
            fold.refresh()

    def close_down(self) -> None:
        """Let go of everything."""
        for fold in self.folds.values():
            if fold.section is not None:
                fold.section.close_down()


def label_helper_of(workbench: Workbench) -> LabelHelper:
    """Return the labelling helper of a workbench, made and started when first wanted."""
    if workbench.label_helper is None:
        workbench.label_helper = LabelHelper(workbench)
        workbench.label_helper.restarted.connect(workbench.say_error)
        workbench.label_helper.start()
    helper: LabelHelper = workbench.label_helper
    return helper


def _remember(name: str, opened: bool) -> None:
    settings = Settings.load()
    before = settings.open_sections
    after = [n for n in before if n != name] + ([name] if opened else [])
    if set(after) != set(before):
        settings.open_sections = after
        settings.save()
