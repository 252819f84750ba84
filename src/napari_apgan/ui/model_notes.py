"""Words for the fields of pydantic models: captions after their names, notes from docstrings."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

#: Endings of names that are units.
_UNITS = {
    "pm": "pm",
    "nm": "nm",
    "um": "µm",
    "px": "px",
    "mrad": "mrad",
    "deg": "°",
    "kv": "kV",
    "percent": "%",
}
#: Names that are not plain words.
_WORDS = {
    "snr": "SNR",
    "mtf": "Camera MTF at Nyquist",
    "dose": "Dose (e/Å²)",
    "hrtem": "HRTEM",
    "haadf": "HAADF",
    "adf": "ADF",
    "abf": "ABF",
    "abtem": "abTEM (multislice)",
    "fast": "fast",
    "zone": "Zone axis [uvw]",
    "path": "File",
    "shape": "Rows x columns (px)",
}


def words_of(name: Any) -> str:
    """Write a name as people do: ``lost_fraction`` is ``lost fraction``."""
    text = str(name)
    return _WORDS.get(text, text.replace("_", " "))


def caption_of(name: str) -> str:
    """Write the name of a field with its unit: ``voltage_kv`` is ``Voltage (kV)``."""
    if name in _WORDS:
        return _WORDS[name]
    stem, _, ending = name.rpartition("_")
    unit = _UNITS.get(ending) if stem else None
    words = (stem if unit else name).replace("_", " ")
    if re.fullmatch(r"[a-z]\d", words):  # an aberration: C1, A2
        words = words.upper()
    words = words[:1].upper() + words[1:]
    return f"{words} ({unit})" if unit else words


def field_notes(model: type[BaseModel]) -> dict[str, str]:
    """Read what numpydoc docstrings say of each parameter, those of the parents included.

    A field's own description comes before them.
    """
    notes: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if issubclass(one, BaseModel) and one is not BaseModel:
            notes.update(_notes(one.__doc__ or ""))
    notes.update({n: f.description for n, f in model.model_fields.items() if f.description})
    return notes


def _notes(doc: str) -> dict[str, str]:
    notes: dict[str, str] = {}
    names: list[str] = []
    text = doc.partition("Parameters\n")[2]
    for line in text.splitlines()[1:]:
        head = re.match(r"^    (\w[\w, ]*) : ", line)
        if head:
            names = [n.strip() for n in head[1].split(",")]
        elif line.startswith("        ") and names:
            for name in names:
                notes[name] = f"{notes.get(name, '')} {line.strip()}".strip()
        elif line.strip():
            names = []
    return notes
