"""The charts: what is drawn, and that thousands of points cost no more than the dock is wide."""

from __future__ import annotations

import numpy as np

from napari_apgan.bench.eventloop import summarise
from napari_apgan.elements import Element
from napari_apgan.project import Round
from napari_apgan.ui.curve import MAX_POINTS, Chart, Series, number, thin, ticks
from napari_apgan.ui.review_rounds import RoundsPanel
from napari_apgan.ui.train_progress import ProgressPanel, picture
from napari_apgan.words import share


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


def test_the_held_out_loss_has_a_scale_and_a_color_of_its_own(qtbot):
    panel = ProgressPanel()
    qtbot.addWidget(panel)
    panel._curves = {
        "loss": [(0.0, 0.6), (100.0, 0.07)],
        "held-out": [(50.0, 0.0020), (100.0, 0.0013)],
        "f1": [(50.0, 0.9), (100.0, 0.9996)],
        "error": [(50.0, 9.0), (100.0, 6.0)],
    }
    panel.draw_curves("pm")
    low, high = panel.losses.range_of("right")
    assert high - low < 0.001, "a held-out loss of thousandths is no flat line at zero"
    assert panel.quality.range_of("right")[0] == 0.0, "an error is seen from zero"
    assert panel.losses._span == panel.quality._span == (0.0, 100.0), "steps stand below steps"
    colors = {s.name: s.color for s in (*panel.losses.series, *panel.quality.series)}
    assert len(set(colors.values())) == 4
    assert panel.quality.series[0].caption == "agreement 0.999"


def test_the_picture_of_the_map_keeps_the_colors_of_the_elements():
    maps = np.zeros((2, 400, 400), np.uint8)
    maps[0, :, ::2], maps[1, :, 1::2] = 255, 255  # as close as a scaled picture would mix them
    elements = [Element(name="Pb", color="#FF00FF"), Element(name="Ti", color="#FFFF00")]
    image = picture(maps, elements).toImage()
    seen = {image.pixelColor(x, 50).name().upper() for x in range(image.width())}
    assert seen == {"#FF00FF", "#FFFF00"}


def test_one_round_is_said_and_two_are_drawn(qtbot):
    panel = RoundsPanel()
    qtbot.addWidget(panel)
    first = Round(
        number=1, run_id="r1", pairs=1, atoms=9, validation_score=0.9962, time="2026-01-01"
    )
    panel.show_rounds([first], "")
    assert panel.chart.series == []
    assert "Round 1, agreement 0.996" in panel.chart.empty
    second = first.model_copy(update={"number": 2, "run_id": "r2", "validation_score": 0.998})
    panel.show_rounds([first, second], "")
    assert [p[0] for p in panel.chart.series[0].points] == [1, 2]


def test_a_single_validation_lies_at_the_end_of_its_steps():
    chart = Chart()
    chart.set_series([Series("agreement", "#00FF00", [(160.0, 0.9)])])
    assert chart._span == (0.0, 160.0)
    chart.deleteLater()


def test_a_share_is_one_only_when_it_is():
    assert [share(v) for v in (0.5, 0.974, 0.996, 0.99962, 1.0)] == [
        "0.50",
        "0.97",
        "0.996",
        "0.999",
        "1.00",
    ]


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
