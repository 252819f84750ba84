"""Degradation: noise, scan, camera and lost pixels, seeded and written down."""
