"""The magnifier shows what lies below the pointer, and is in nobody's way."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor

from napari_apgan.atoms import make_atoms, positions

pytestmark = pytest.mark.gui


def pixel(lens, dx: float, dy: float) -> QColor:
    """Colour so many screen px from the middle of the magnifier."""
    picture = lens.grab().toImage()
    middle = lens.width() / 2
    return picture.pixelColor(round(middle + dx), round(middle + dy))


def test_the_magnifier_shows_the_pixels_the_labels_and_the_spot(workbench, canvas, centres, qtbot):
    workbench.session.add_atoms(make_atoms([centres[11]], "Ti"))
    canvas.key(Qt.Key.Key_G)
    lens = workbench.lens
    assert lens.isVisible()
    assert workbench.label_tab.hand.lens.isChecked()
    x, y = centres[10]
    canvas.move(x + 2.0, y + 1.0)
    qtbot.waitUntil(lambda: lens.at is not None and abs(lens.at[0] - x - 2.0) < 0.4)
    assert lens.magnification >= 6
    scale, at = lens.magnification, lens.at
    bright = pixel(lens, (x - at[0]) * scale + 2, (y - at[1]) * scale + 2)
    dark = pixel(lens, (x - at[0]) * scale, (y + 8 - at[1]) * scale)
    assert bright.lightness() > dark.lightness() + 60
    spot = workbench.desk.marks.spot
    ring = pixel(lens, (spot[0] - at[0]) * scale + 9, (spot[1] - at[1]) * scale)
    assert ring.red() > 150 > ring.green(), "the spot has the colour of the element"


def test_the_magnifier_leaves_the_corner_that_the_pointer_is_in(workbench, canvas, qtbot):
    workbench.toggle_lens()
    lens, parent = workbench.lens, workbench.lens.parentWidget()
    canvas.move(20.0, 20.0)
    qtbot.waitUntil(lambda: lens.x() > parent.width() / 2)
    canvas.move(126.0, 94.0)
    qtbot.waitUntil(lambda: lens.x() < parent.width() / 2)
    workbench.label_tab.snap.setChecked(False)
    spot = (24.0, 90.0)
    canvas.click(*spot)
    assert np.abs(positions(workbench.session.atoms())[0] - spot).max() < 0.4
    canvas.key(Qt.Key.Key_G)
    assert not lens.isVisible()
    assert not workbench.label_tab.hand.lens.isChecked()
