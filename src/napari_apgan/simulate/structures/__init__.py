"""Builders: from a few settings to a specimen that covers a circle."""
