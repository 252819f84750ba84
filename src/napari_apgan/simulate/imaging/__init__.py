"""Image formation: from a scene to the image an ideal microscope would show."""
