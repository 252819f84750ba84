"""The one exception that a user's own input may raise."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user can put right, said in one sentence.

    Every message says what happened and what to do. Faces (docks, command line, readers) show
    the message as it is and never a traceback; the command line exits with code 2.
    """
