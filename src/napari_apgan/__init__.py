"""Find every atom, by element, on noisy HRTEM and STEM images."""

__version__ = "0.1.0"
