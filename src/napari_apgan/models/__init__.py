"""Networks, losses, presets and model files. Nothing imported here brings in torch."""

from .card import HeldOutScore, ModelCard, read_card, resolve_model
from .normalise import normalise
from .presets import PRESETS, Preset, get_preset

__all__ = [
    "PRESETS",
    "HeldOutScore",
    "ModelCard",
    "Preset",
    "get_preset",
    "normalise",
    "read_card",
    "resolve_model",
]
