"""Names of files and folders, made from what users call things."""

from __future__ import annotations

import re

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def safe_name(text: str, *, empty: str, longest: int = 80) -> str:
    """Turn a text into a file name that every system takes.

    Parameters
    ----------
    text : str
    empty : str
        The name where nothing of the text is left.
    longest : int
        Characters kept.
    """
    name = _FORBIDDEN.sub("_", text).strip(" .")[:longest] or empty
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def frame_name(frame: int) -> str:
    """Return the name of a frame's files, without their endings."""
    return f"{frame:05d}"
