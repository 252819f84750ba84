"""Training: a process of its own that works on a run folder. Nothing here brings in torch."""

from .launcher import Trainer, attach, launch
from .prepare import prepare_run
from .runfile import RunFile
from .runfolder import RunFolder, Status
from .settings import RunSettings

__all__ = [
    "RunFile",
    "RunFolder",
    "RunSettings",
    "Status",
    "Trainer",
    "attach",
    "launch",
    "prepare_run",
]
