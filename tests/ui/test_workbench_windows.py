"""Two windows at once, and a window that is closed leaves nothing behind."""

from __future__ import annotations

import gc

import pytest
from qtpy.QtWidgets import QApplication

from napari_apgan.atoms import make_atoms
from napari_apgan.elements import Element
from napari_apgan.project import Project

pytestmark = pytest.mark.gui


def test_two_windows_do_not_mix(make_napari_viewer_proxy, lattice, dock, undock):
    image, _ = lattice()
    first = dock(make_napari_viewer_proxy(show=True), image)
    second = dock(make_napari_viewer_proxy(show=True), image[::-1].copy())
    assert first.session is not second.session
    first.desk.add_element(Element(name="Pb", color="#FF00FF"))
    first.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    assert second.desk.elements == []
    assert len(first.atoms.layer.data) == 1
    assert len(second.atoms.layer.data) == 0
    undock(first)
    second.desk.add_element(Element(name="Ti", color="#FFFF00"))
    second.session.add_atoms(make_atoms([(40.0, 40.0)], "Ti"))
    assert len(second.atoms.layer.data) == 1
    undock(second)


def test_closing_napari_writes_the_project_and_frees_it(make_napari_viewer, qtbot, lattice, dock):
    image, _ = lattice()
    viewer = make_napari_viewer(show=True)
    workbench = dock(viewer, image)
    workbench.desk.add_element(Element(name="Pb", color="#FF00FF"))
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    session, path = workbench.session, workbench.session.project.path
    del workbench
    viewer.close()
    QApplication.processEvents()
    qtbot.waitUntil(lambda: session.project is None)
    gc.collect()
    with Project.open(path) as project:
        assert not project.recovered.happened
        (source,) = project.sources
        assert project.atoms(source.id, 0)["element"].tolist() == ["Pb"]
