"""The one exception that a user's own input may raise, and what is wrong with it in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(ValueError):
    """Something the user can put right, said in one sentence.

    Every message says what happened and what to do. Faces (docks, command line, readers) show
    the message as it is and never a traceback; the command line exits with code 2.
    """


def fault_of(error: ValidationError) -> str:
    """Say where values do not fit their model, and why: ``aberrations.c1_nm: …``, no full stop."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{where + ': ' if where else ''}{reason}"
