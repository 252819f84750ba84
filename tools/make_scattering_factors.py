"""Write the table of electron scattering factors that simulated images are made with.

    python tools/make_scattering_factors.py

The coefficients are those published by I. Lobato and D. Van Dyck, Acta Crystallographica A 70
(2014) 636; abTEM, an optional dependency, knows them by number and hands them over.
"""

from __future__ import annotations

import json
from pathlib import Path

from abtem.parametrizations import LobatoParametrization
from ase.data import chemical_symbols

OUT = Path(__file__).resolve().parents[1] / "src/napari_apgan/simulate/imaging"


def main() -> None:
    """Write `scattering_factors.json`, one line an element."""
    known = LobatoParametrization().parameters
    lines = []
    for number, symbol in enumerate(chemical_symbols[1:104], start=1):
        a, b = known[symbol]
        row = {"symbol": symbol, "a": [float(v) for v in a], "b": [float(v) for v in b]}
        lines.append(f'  "{number}": {json.dumps(row)}')
    head = {
        "source": "I. Lobato, D. Van Dyck, Acta Cryst. A 70 (2014) 636, neutral atoms",
        "formula": "f(g) = sum a (2 + b g^2) / (1 + b g^2)^2 in angstrom, g in 1/angstrom",
        "command": "python tools/make_scattering_factors.py",
    }
    about = ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in head.items())
    body = ",\n".join(lines)
    path = OUT / "scattering_factors.json"
    path.write_text(f'{{\n{about},\n"elements": {{\n{body}\n}}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
