"""Open napari with the workbench: ``python -m napari_apgan.ui [PROJECT.apgan | IMAGE …]``."""

from __future__ import annotations

import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Open a window, load what was named, and return when it closes."""
    try:
        import napari
    except ImportError as error:
        print(  # noqa: T201
            f"apgan: napari's window could not be opened ({error}). Install a Qt binding with "
            'pip install "napari-apgan[all]", and on Linux the system libraries that Qt needs '
            "(tools/start.py gui names them).",
            file=sys.stderr,
        )
        return 1
    from .commands import open_workbench

    viewer = napari.Viewer(title="napari-apgan")
    workbench = open_workbench(viewer)
    for argument in arguments:
        path = Path(argument)
        if path.suffix == ".apgan":
            workbench.open_project(path)
        else:
            workbench.open_image_path(path)
    napari.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
