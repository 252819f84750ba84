"""The charts: what is drawn, and that thousands of points cost no more than the dock is wide."""

from __future__ import annotations

import numpy as np

from napari_apgan.bench.eventloop import summarise
from napari_apgan.ui.curve import MAX_POINTS, Chart, Series, number, thin, ticks


def painted(chart: Chart) -> np.ndarray:
    """Return the colours of a chart as it is painted, (Y, X, 3)."""
    image = chart.grab().toImage().convertToFormat(chart.grab().toImage().Format.Format_RGB888)
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


def test_a_falling_loss_is_a_falling_line(qtbot):
    chart = Chart()
    qtbot.addWidget(chart)
    chart.resize(300, 120)
    chart.set_series([Series("loss", "#FF0000", [(i, float(np.exp(-i / 50))) for i in range(300)])])
    red = painted(chart)[16:-16].astype(int)
    on = (red[..., 0] > 150) & (red[..., 1] < 90) & (red[..., 2] < 90)
    height = [np.flatnonzero(on[:, x]).mean() for x in (60, 120, 280)]
    assert height[0] < height[1] < height[2]


def test_a_share_has_an_axis_that_ends_at_one():
    chart = Chart()
    chart.left_most = 1.0
    chart.set_series([Series("agreement", "#00FF00", [(1, 1.0), (2, 1.0)])])
    assert chart.range_of("left")[1] == 1.0
    chart.deleteLater()


def test_long_curves_are_thinned_and_keep_their_end():
    points = [(float(i), float(i)) for i in range(10_000)]
    kept = thin(points)
    assert len(kept) <= MAX_POINTS + 1
    assert kept[-1] == points[-1]
    assert thin(points[:5]) == points[:5]


def test_ticks_are_round_and_numbers_short():
    assert ticks(0.0, 1.0) == [0.0, 0.5, 1.0]
    assert [number(v) for v in (0, 1200, 0.997, 1.234e-5, 16.23)] == [
        "0",
        "1200",
        "0.997",
        "1.2e-05",
        "16.2",
    ]


def test_gaps_of_the_event_loop_are_summed_up():
    times = np.concatenate([np.arange(0, 1.0, 0.01), [1.2]])
    result = summarise(
        times, curve_paints=2, canvas_paints=3, training_steps=7, image_px=1024, cores=2
    )
    assert round(result.p50_ms) == 10
    assert round(result.max_ms) == 210
    assert result.curve_hz == 2 / 1.2
    assert "maximum 210.0 ms" in result.table()
