"""Keeps stdout for a protocol."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO


def keep_stdout_clean() -> BinaryIO:
    """Take stdout for the protocol alone: what anything else prints goes to stderr.

    Works on the descriptors, so that libraries written in C are led away too.

    Returns
    -------
    binary file
        The former stdout.
    """
    sys.stdout.flush()
    protocol = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    return protocol
