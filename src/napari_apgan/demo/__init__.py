"""The demonstration: the whole loop on the embedded sample, scored against its known truth."""

from .story import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
