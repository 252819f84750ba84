"""`python -m napari_apgan.label --serve`: the helper process that assists labelling."""

from __future__ import annotations

from typing import NoReturn

from napari_apgan.serving import LineServer, run_helper


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the helper until its stdin closes."""
    run_helper(
        "napari_apgan.label",
        "Assist labelling on request: JSON lines on stdin, replies on stdout.",
        _server,
        arguments,
    )


def _server() -> type[LineServer]:
    from .process import Server

    return Server


if __name__ == "__main__":
    main()
