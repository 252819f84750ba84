"""The project menu: new, open, recent, save as, and finding images that have moved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QMenu

from napari_apgan.errors import UserError
from napari_apgan.project import recent_projects, unsaved_projects

if TYPE_CHECKING:
    from .workbench import Workbench


class ProjectMenu:
    """Fills the menu when it opens, and does what is chosen.

    Parameters
    ----------
    workbench : Workbench
    menu : QMenu
    """

    def __init__(self, workbench: Workbench, menu: QMenu) -> None:
        self._workbench = workbench
        self._session = workbench.session
        self._menu = menu
        menu.aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """Make the entries as things stand."""
        menu = self._menu
        menu.clear()
        menu.addAction("New project…", self.new)
        menu.addAction("Open project…", self.open)
        recent = menu.addMenu("Recent")
        _fill_paths(recent, recent_projects()[:10], lambda p: p.stem, self.open_path)
        kept = menu.addMenu("Unsaved, kept safe")
        _fill_paths(kept, worth_offering()[:10], lambda p: p.stem, self.open_path)
        menu.addSeparator()
        project = self._session.project
        save = menu.addAction("Save as…", self.save_as)
        show = menu.addAction("Show its folder", self.show_folder)
        find = menu.addAction("Find missing images…", self.find_images)
        remove = menu.addAction("Take this image out", self.remove_image)
        remove.setToolTip("With its labels and regions; the file stays, and undo brings all back")
        for action in (save, show):
            action.setEnabled(project is not None)
        find.setEnabled(project is not None and bool(project.missing_sources()))
        remove.setEnabled(bool(self._session.source_id) and not project.read_only)

    def new(self, path: str = "") -> None:
        """Make a project at a place of the user's choice; the elements in use go along."""
        path = path or self._ask_place("New project", "project.apgan")
        if path:
            elements = self._workbench.desk.elements
            self._workbench.run(lambda: self._session.create_project(path, elements))
            self._workbench.desk.adopt_what_is_there()

    def open(self) -> None:
        """Ask for a project folder and open it."""
        path = QFileDialog.getExistingDirectory(
            self._workbench,
            "Open a project (a folder ending in .apgan)",
            self._workbench.last_folder(),
        )
        if path:
            self.open_path(Path(path))

    def open_path(self, path: Path) -> None:
        """Open a project; one that another window has open can be looked at."""
        try:
            project = self._session.open_project(path)
        except UserError as error:
            if "open" in str(error) and (path / "lock").exists():
                self._workbench.messages.say(
                    str(error), action="Look at it", do=lambda: self._look(path)
                )
            elif "damaged" in str(error) or "does not fit" in str(error):
                self._workbench.messages.say(
                    str(error), action="Recover", do=lambda: self._recover(path)
                )
            else:
                self._workbench.say_error(str(error))
            return
        self._workbench.remember_folder(path.parent)
        missing = project.missing_sources()
        if missing:
            self.ask_for_images(missing)

    def _look(self, path: Path) -> None:
        self._workbench.run(lambda: self._session.open_project(path, read_only=True))

    def _recover(self, path: Path) -> None:
        self._workbench.run(lambda: self._session.open_project(path, recover=True))

    def ask_for_images(self, missing: dict[str, str]) -> None:
        """Offer to search a folder for images that are not where they were."""
        n = len(missing)
        first = next(iter(missing.values()))
        more = f" And {n - 1} more." if n > 1 else ""
        self._workbench.messages.say(
            f"{first}{more} Labels are safe.", action="Find…", do=self.find_images
        )

    def find_images(self, folder: str = "") -> None:
        """Search a folder, by content."""
        project = self._session.project
        if project is None:
            return
        folder = folder or QFileDialog.getExistingDirectory(
            self._workbench, "Where are the images?", self._workbench.last_folder()
        )
        if not folder:
            return
        found: list[str] = []
        self._workbench.run(lambda: found.extend(project.search_in(folder)))
        left = len(project.missing_sources())
        if found:
            here = self._session.source_id or found[0]
            self._workbench.run(lambda: self._workbench.desk.show_source(here))
        self._workbench.say(
            f"{len(found)} image{'s' * (len(found) != 1)} found"
            + (f", {left} still missing." if left else ".")
        )

    def remove_image(self) -> None:
        """Take the current image, its labels and its pairs out of the project; undo is offered."""
        project, source_id = self._session.project, self._session.source_id
        if project is None or not source_id:
            return
        desk, name = self._workbench.desk, project.record(source_id).name
        layer = desk.scene.layer_of(source_id)
        if not self._workbench.run(lambda: project.remove_source(source_id)):
            return
        if layer is not None:
            desk.viewer.layers.remove(layer)

        number = project.edit_number

        def bring_back() -> None:
            if self._session.project is not project or project.edit_number != number:
                self._workbench.say("Other work came after it: Ctrl+Z undoes that first.")
                return
            self._workbench.run(self._session.undo)
            self._workbench.run(lambda: desk.show_source(source_id))

        self._workbench.messages.say(
            f"{name} is out of the project, with its labels; its file stays where it is.",
            action="Bring it back",
            do=bring_back,
        )

    def save_as(self, path: str = "") -> None:
        """Give the project a place and a name."""
        project = self._session.project
        if project is None:
            self._workbench.say("There is nothing to save yet: open an image first.")
            return
        name = self._workbench.source_name() if project.is_unsaved else project.name
        path = path or self._ask_place("Save project as", f"{name}.apgan")
        if path and self._workbench.run(lambda: self._session.save_as(path)):
            self._workbench.remember_folder(Path(path).parent)
            self._workbench.say(f"Saved at {self._session.project.path}.")

    def show_folder(self) -> None:
        """Show the project's folder in the system's file manager."""
        project = self._session.project
        if project is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(project.path)))

    def _ask_place(self, title: str, name: str) -> str:
        start = str(Path(self._workbench.last_folder()) / name)
        return QFileDialog.getSaveFileName(
            self._workbench, title, start, "Project folders (*.apgan)"
        )[0]


def worth_offering() -> list[Path]:
    """Return the unsaved projects of earlier sessions in which something was done."""
    return [
        p
        for p in unsaved_projects()
        if (p / "journal.jsonl").is_file() and (p / "journal.jsonl").stat().st_size > 0
    ]


def _fill_paths(menu: QMenu, paths: list[Path], name, deed) -> None:
    for path in paths:
        action = menu.addAction(name(path), lambda p=path: deed(p))
        action.setToolTip(str(path))
    menu.setEnabled(bool(paths))
    menu.setToolTipsVisible(True)
