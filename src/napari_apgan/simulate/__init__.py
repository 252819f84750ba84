"""Simulated frames with exactly known atoms."""

from .sample import Sample, make_sample

__all__ = ["Sample", "make_sample"]
