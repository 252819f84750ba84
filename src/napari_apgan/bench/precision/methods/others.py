"""Programs of others, where they are installed; this package needs none of them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from napari_apgan.errors import UserError


def peer_versions() -> dict[str, str | None]:
    """Return the installed version of each program; None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in ("atomai", "atomap"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what others print, and their warnings, out of the table."""
    import logging
    import warnings

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def import_program(name: str) -> Any:
    """Import a program of others, or say that it is not installed."""
    import importlib

    try:
        with quiet():
            return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name.partition('.')[0]} is not installed ({error}): leave its rows out, or install "
            "it beside this package."
        ) from error
