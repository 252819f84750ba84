"""The atom workbench: one dock with the tabs of the loop, Label, Train and Review."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.settings import get_plugin_settings
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QHideEvent, QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
    QLineEdit,
    QMainWindow,
    QShortcut,
    QTabWidget,
    QWidget,
)

from napari_apgan.frames import Calibration
from napari_apgan.io import READABLE
from napari_apgan.settings import Settings

from .commands import PLUGIN
from .desk import Desk
from .header import CalibrationBar, Header, MessageArea
from .keys_sheet import KeysSheet
from .label_tab import LabelTab
from .lens import Lens
from .project_menu import ProjectMenu, worth_offering
from .readers import prefer_our_readers
from .review_camera import canvas_of
from .review_tab import ReviewTab
from .sessions import session_of, stop_listening
from .train_tab import TrainTab
from .widgets import column_in

TABS = ("label", "train", "review")


class Workbench(QWidget):
    """The dock: where the user is, what is to be said, and the tabs.

    Parameters
    ----------
    napari_viewer : napari viewer
        The proxy that napari hands to widgets, or the viewer itself.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session = session_of(napari_viewer)
        self.desk = Desk(napari_viewer, self.session)
        self.atoms = self.desk.atoms
        self.header = Header()
        self.messages = MessageArea()
        self.calibration = CalibrationBar()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.projects = ProjectMenu(self, self.header.menu)
        #: Made when pairs are simulated for the first time.
        self.simulator: Any = None
        #: Made when a section of the Label tab first asks for it.
        self.label_helper: Any = None
        self.keys_sheet: KeysSheet | None = None
        #: Made when the magnifier is first taken out.
        self.lens: Lens | None = None
        self._retired = False
        self.setAcceptDrops(True)
        layout = column_in(self, spacing=5, margins=(6, 6, 6, 6))
        for part in (self.header, self.messages, self.calibration):
            layout.addWidget(part)
        layout.addWidget(self.tabs, 1)
        self.label_tab = LabelTab(self.session, self)
        self.train_tab = TrainTab(self.session, self)
        self.review_tab = ReviewTab(self.session, self)
        for tab, title in (
            (self.label_tab, "Label"),
            (self.train_tab, "Train"),
            (self.review_tab, "Review"),
        ):
            self.tabs.addTab(tab, title)
        self._connect()
        self._apply_settings()
        prefer_our_readers()
        self._refresh()
        self.desk.adopt_what_is_there()
        self._offer_recovery()

    def sizeHint(self) -> QSize:
        """Wide enough for the forms, and narrow enough for a small screen."""
        return QSize(390, 640)

    def minimumSizeHint(self) -> QSize:
        """Let the canvas have the room."""
        return QSize(330, 300)

    # --- wiring -------------------------------------------------------------------------------

    def _connect(self) -> None:
        session, desk = self.session, self.desk
        desk.said.connect(self.say)
        desk.failed.connect(self.say_error)
        desk.adopted.connect(self._refresh)
        desk.lost.connect(self._on_lost)
        session.message.connect(self.say)
        for signal in (
            session.project_changed,
            session.source_changed,
            session.frame_changed,
            session.element_changed,
            session.pairs_changed,
            session.model_changed,
            session.runs_changed,
            session.calibration_changed,
            session.atoms_changed,
        ):
            signal.connect(self._refresh)
        self.header.save_as_wanted.connect(self.projects.save_as)
        self.header.help_wanted.connect(self.show_keys)
        self.calibration.given.connect(self._set_calibration)
        self.calibration.refused.connect(self.say_error)
        desk.actions.register("help", self.show_keys)
        desk.actions.register("lens", self.toggle_lens)
        self._shortcut = QShortcut(QKeySequence("?"), self)
        self._shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
        self._shortcut.activated.connect(self.show_keys)

    def _apply_settings(self) -> None:
        """Take what napari's preferences say."""
        settings = get_plugin_settings(PLUGIN)
        self.label_tab.snap.setChecked(settings.labelling.snap)
        self.desk.show_spots = settings.labelling.preview_snap
        self.desk.wants_scale_bar = settings.canvas.scale_bar
        self.atoms.fixed_size_px = settings.labelling.ring_size_px
        self.atoms.fast_drawing_above = settings.canvas.fast_drawing_above

    def _offer_recovery(self) -> None:
        """Offer unsaved work of an earlier session, newest first."""
        kept = worth_offering()
        if self.session.project is not None and self.session.project.edit_number:
            return
        if kept:
            self.messages.say(
                f"Unsaved work from {kept[0].stem} is kept safe.",
                action="Open it",
                do=lambda: self.projects.open_path(kept[0]),
            )

    # --- what tabs may use -----------------------------------------------------------------------

    @property
    def image_layer(self) -> Any:
        """The napari layer of the current source; None when there is none."""
        return self.desk.scene.image_layer

    def place(self, kind: str, data: Any, **keywords: Any) -> Any:
        """Add a layer ("image", "points", "shapes") at the source's scale; see `Scene.place`."""
        layer = self.desk.scene.place(kind, data, **keywords)
        self.desk.order_layers()
        return layer

    def drop(self, layer: Any) -> None:
        """Remove a layer if it is still there."""
        self.desk.scene.drop(layer)

    def register(self, action: str, deed: Callable[[], Any]) -> None:
        """Say what a key of the canvas does; see `keys.KEYS` for the names."""
        self.desk.actions.register(action, lambda: self.run(deed))

    def prefer(
        self, action: str, deed: Callable[[], Any], words: str, when: Callable[[], bool]
    ) -> None:
        """Let a key do something else while `when` holds; see `keys.Actions.prefer`."""
        self.desk.actions.prefer(action, lambda: self.run(deed), words, when)

    def run(self, deed: Callable[[], Any]) -> bool:
        """Do something; what goes wrong becomes a sentence. True when it went well."""
        return self.desk.guarded(deed)

    def say(self, sentence: str) -> None:
        """Say something in the message area."""
        self.messages.say(sentence)

    def say_error(self, sentence: str, details: str = "") -> None:
        """Say what went wrong and what to do."""
        self.messages.error(sentence, details)

    def show_tab(self, name: str) -> None:
        """Show the tab "label", "train" or "review"."""
        self.tabs.setCurrentIndex(TABS.index(name))

    def last_folder(self) -> str:
        """Return the folder that the user was in last."""
        return Settings.load().last_folder

    def remember_folder(self, folder: Path) -> None:
        """Remember where the user was."""
        settings = Settings.load()
        if settings.last_folder != str(folder):
            settings.last_folder = str(folder)
            settings.save()

    def source_name(self) -> str:
        """Name of the current source, fit for a file."""
        project = self.session.project
        if project is None or not self.session.source_id:
            return "atoms"
        return Path(project.record(self.session.source_id).name).stem or "atoms"

    # --- acts ---------------------------------------------------------------------------------

    def open_image(self) -> None:
        """Ask for images and open them."""
        patterns = " ".join(f"*{suffix}" for suffix in sorted(READABLE))
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Open images", self.last_folder(), f"Images ({patterns});;All files (*)"
        )
        if paths:
            self.remember_folder(Path(paths[0]).parent)
            for path in paths:
                self.open_image_path(Path(path))

    def open_image_path(self, path: Path) -> None:
        """Open an image file through our own readers, whatever other plugins there are."""
        from napari_apgan.io import list_sources

        from .readers import image_layer

        def deed() -> None:
            for source in list_sources(path):
                data, keywords, _ = image_layer(source)
                self.desk.viewer.add_image(data, **keywords)

        self.run(deed)

    def open_project(self, path: Path) -> None:
        """Open a project folder in place of the present one."""
        self.projects.open_path(Path(path))

    def toggle_lens(self) -> None:
        """Take the magnifier out, or put it away."""
        if self.lens is None:
            canvas = canvas_of(self)
            if canvas is None:
                return
            self.lens = Lens(self.desk, canvas)
        self.lens.toggle()
        self.desk.lens_shown = not self.lens.isHidden()
        self.desk.tool_changed.emit(self.desk.hand.tool)

    def show_keys(self) -> None:
        """Show the sheet of keys."""
        if self.keys_sheet is None:
            self.keys_sheet = KeysSheet(self.desk, self)
        self.keys_sheet.show()
        self.keys_sheet.raise_()

    def _set_calibration(self, calibration: Calibration) -> None:
        self.run(lambda: self.session.set_calibration(calibration))

    def _on_lost(self, name: str) -> None:
        self.messages.say(
            f"The layer {name} was removed; everything in it is kept.",
            action="Show again",
            do=self.desk.restore,
        )

    # --- showing ------------------------------------------------------------------------------

    def _refresh(self, *_: object) -> None:
        session, project = self.session, self.session.project
        name = "" if project is None else project.name
        unsaved = project is not None and project.is_unsaved
        self.header.set_project(
            "Unsaved project" if unsaved else name,
            unsaved=unsaved,
            read_only=project is not None and project.read_only,
        )
        line = session.status_line()
        self.header.line.setText(line.partition(" · ")[2] or line)
        self._ask_for_pixel_size()

    def _ask_for_pixel_size(self) -> None:
        project = self.session.project
        here = project is not None and bool(self.session.source_id) and self.image_layer is not None
        if not here or self.session.calibration.known:
            self.calibration.hide()
        elif not self.calibration.isVisibleTo(self):
            record = project.record(self.session.source_id)
            self.calibration.ask(record.shape, self.session.calibration.note)

    # --- Qt -----------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Stop keys here: those that no widget wanted would reach the atoms on the canvas."""
        control = Qt.KeyboardModifier.ControlModifier
        if event.key() == Qt.Key.Key_Z and event.modifiers() & control:
            typing = isinstance(QApplication.focusWidget(), QLineEdit)
            shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            if not typing:
                (self.desk.redo if shift else self.desk.undo)()
        event.accept()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Stop key releases as well."""
        event.accept()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take folders and files that are dragged over the dock."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Look through a folder that is dropped on the dock, or through several files."""
        paths = [Path(u.toLocalFile()) for u in event.mimeData().urls() if u.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            # After the drop: the window that it came from waits for it.
            QTimer.singleShot(0, lambda: self._take_dropped(paths))

    def _take_dropped(self, paths: list[Path]) -> None:
        if len(paths) == 1 and paths[0].suffix == ".apgan":
            self.open_project(paths[0])
        elif len(paths) == 1 and paths[0].is_file():
            self.open_image_path(paths[0])
        else:
            self.show_tab("label")
            self.run(lambda: self.label_tab.show_section("images").look_through(paths))

    def event(self, event: QEvent) -> bool:
        """Notice that napari took the widget out of its dock: the dock was closed."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.retire(remove_layers=True)
            self.deleteLater()
        return super().event(event)

    def hideEvent(self, event: QHideEvent) -> None:
        """Write the project to its files when napari's window closes; a hidden dock stays alive.

        Here, since what comes later finds widgets that Qt has deleted already.
        """
        super().hideEvent(event)
        window = self.parentWidget()
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()  # a floating dock still has the main window above it
        if window is not None and not window.isVisible() and not event.spontaneous():
            self.retire(remove_layers=False)
            self.session.close_project()

    def retire(self, *, remove_layers: bool) -> None:
        """Let go of viewer and session; the session keeps everything for the next workbench."""
        if self._retired:
            return
        self._retired = True
        stop_listening(self.session)
        for tab in (self.train_tab, self.review_tab):
            tab.close_down()
        self.train_tab.predictions.close()
        self.label_tab.sections.close_down()
        if self.simulator is not None:
            self.simulator.close()
        if self.lens is not None:
            self.lens.setParent(None)
            self.lens.deleteLater()
            self.lens = None
        if self.label_helper is not None:
            self.label_helper.stop()
        self.desk.close(remove_layers=remove_layers)
