"""From an experimental frame to the settings of a simulation that looks like it."""
