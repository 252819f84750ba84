"""From a frame and a model to probability maps and atoms: inference, files, the helper process."""
