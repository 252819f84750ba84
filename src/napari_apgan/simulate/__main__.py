"""`python -m napari_apgan.simulate --serve`: the helper process that simulates for the window."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the helper until its stdin closes."""
    parser = argparse.ArgumentParser(
        prog="python -m napari_apgan.simulate",
        description="Simulate on request: JSON lines on stdin, replies on stdout.",
    )
    parser.add_argument("--serve", action="store_true", required=True, help="listen on stdin")
    parser.parse_args(arguments)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Engines bring in libraries that may print: stdout is taken first.
    from napari_apgan.serving import keep_stdout_clean

    replies = keep_stdout_clean()
    from .process import Server

    Server(sys.stdin.buffer, replies, abandon=lambda: os._exit(1)).serve()
    replies.close()
    sys.stderr.flush()
    # Threads of libraries may abort an interpreter that takes itself down around them.
    os._exit(0)


if __name__ == "__main__":
    main()
