"""Make ``python -m napari_apgan.cli`` the same as ``apgan``."""

from . import main

if __name__ == "__main__":
    main()
