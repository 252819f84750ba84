"""Menu entries: each opens the workbench at one of its tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari

    from .workbench import Workbench

PLUGIN = "napari-apgan"
WIDGET = "Atom workbench"


def open_workbench(viewer: napari.viewer.Viewer, tab: str = "") -> Workbench:
    """Open the workbench of a viewer, or find it, and show one of its tabs."""
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    dock.show()
    if tab:
        widget.show_tab(tab)
    return widget


# The annotations are strings that napari's command registry resolves to the current viewer.
def open_label(viewer: "napari.viewer.Viewer") -> None:  # noqa: UP037
    """Layers > Annotate: open the Label tab."""
    open_workbench(viewer, "label")


def open_train(viewer: "napari.viewer.Viewer") -> None:  # noqa: UP037
    """Layers > Segment: open the Train tab."""
    open_workbench(viewer, "train")


def open_review(viewer: "napari.viewer.Viewer") -> None:  # noqa: UP037
    """Layers > Measure: open the Review tab."""
    open_workbench(viewer, "review")
