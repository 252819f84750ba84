"""Fixtures that every test shares."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

# Before napari is imported anywhere: its own settings must not leak into or out of the tests.
os.environ.setdefault("QT_API", "pyqt6")
os.environ.setdefault("PYTEST_QT_API", os.environ["QT_API"])
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(prefix="apgan-napari-")) / "settings.yaml")

# Before torch is: threads that spin while they wait cost as much as those that work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Torch sums in the same order everywhere, and leaves the other core to the other tests.

    What trains or measures in this process may have set more.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def isolated_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a data folder of its own, so nothing of the user's is read or written."""
    home = tmp_path / "apgan-home"
    monkeypatch.setenv("APGAN_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images; tests that need it are skipped where it is absent."""
    override = os.environ.get("APGAN_TEST_DATA")
    folder = Path(override) if override else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "README.md").exists():
        pytest.skip(f"the folder of real images is not at {folder}")
    return folder


CIF = """data_{name}
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {a}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M '{group}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{sites}
"""


def cubic_cif(path: Path, a: float, sites: Sequence[tuple], group: str = "P 1") -> Path:
    """Write a cube of `a` angstrom and its sites: element, x, y, z and, if not 1, occupancy."""
    lines = [
        f"{element}{k} {element} {x} {y} {z} {occupancy[0] if occupancy else 1}"
        for k, (element, x, y, z, *occupancy) in enumerate(sites)
    ]
    path.write_text(CIF.format(name=path.stem, a=a, group=group, sites="\n".join(lines)))
    return path


@pytest.fixture(scope="session")
def write_cif() -> Callable[..., Path]:
    """Write a crystallographic file; test modules cannot import this one."""
    return cubic_cif
