"""Opens napari and the workbench once and prints how long each took, as a line of JSON.

Run in a fresh process by :mod:`napari_apgan.bench.opening`.
"""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    """Measure and print."""
    begun = _clocks()
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(show_welcome_screen=False)
    QApplication.processEvents()
    up = _clocks()
    viewer.window.add_plugin_dock_widget("napari-apgan", "Atom workbench")
    QApplication.processEvents()
    there = _clocks()
    viewer.close()
    result = {
        "napari_s": up[0] - begun[0],
        "napari_cpu_s": up[1] - begun[1],
        "workbench_s": there[0] - up[0],
        "workbench_cpu_s": there[1] - up[1],
    }
    sys.stdout.write(json.dumps(result) + "\n")


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    main()
