"""The napari face: one dock, the layers it draws, and what the manifest names."""
