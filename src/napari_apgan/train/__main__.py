"""`python -m napari_apgan.train RUN_DIR [--resume]`: the only way anything trains."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .process import run_trainer


def main(arguments: list[str] | None = None) -> int:
    """Train a prepared run folder; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m napari_apgan.train", description=__doc__)
    parser.add_argument(
        "run_dir", type=Path, help="a folder made by `apgan train` or the workbench"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    chosen = parser.parse_args(arguments)
    return run_trainer(chosen.run_dir.resolve(), resume=chosen.resume)


if __name__ == "__main__":
    sys.exit(main())
