"""``apgan bench precision``: networks and classical methods on frames whose truth is known."""
