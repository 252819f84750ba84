"""The two import rules of the architecture, and that imports point downwards."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "napari_apgan"
QT = {"qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "napari", "superqt", "magicgui", "vispy"}

#: Rooms from the ground up: a room may import itself and those before it.
FLOORS = [
    {"errors"},
    {"elements", "settings"},
    {"frames", "regions"},
    {"atoms", "serving"},
    {"maps"},
    {"io"},
    {"measure"},
    {"project"},
    {"models", "simulate"},
    {"predict"},
    {"train"},
    {"label"},
    {"review"},
    {"bench", "demo"},
    {"ui", "cli"},
]

TORCH_ALLOWED = {
    "models/coding.py",
    "models/networks.py",
    "models/networks_base.py",
    "models/networks_fast.py",
    "models/networks_fcn.py",
    "models/losses.py",
    "models/modelfile.py",
    "train/dataset.py",
    "train/loop.py",
    "train/mapstats.py",
    "train/muon.py",
    "train/stepper.py",
    "train/steps.py",
    "train/checkpoint.py",
    "train/warmstart.py",
    "predict/detect.py",
    "predict/inference.py",
    "predict/running.py",
    "predict/server.py",
}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, *, top_only: bool = False) -> Iterator[str]:
    """Absolute names of everything a module imports (TYPE_CHECKING blocks aside)."""
    tree = tree_of(path)
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = ["napari_apgan", *path.relative_to(PACKAGE).with_suffix("").parts]
            base = here[: -node.level] if node.level else []
            stem = [*base, *(node.module.split(".") if node.module else [])]
            yield from (".".join([*stem, alias.name]) for alias in node.names)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_the_core_knows_nothing_of_qt_or_napari() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in modules()
        if room(path) != "ui"
        for name in imports(path)
        if name.split(".")[0] in QT
    }
    # The command line and benchmarks open windows only through `ui`.
    assert not found


def test_torch_is_imported_at_the_top_of_few_modules_only() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        for name in imports(path, top_only=True)
        if name.split(".")[0] in {"torch", "safetensors.torch"}
    }
    assert found <= TORCH_ALLOWED, found - TORCH_ALLOWED


def test_imports_point_downwards() -> None:
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    upward = set()
    for path in modules():
        here = room(path)
        if here == "__init__":
            continue
        for name in imports(path, top_only=True):
            parts = name.split(".")
            if parts[0] != "napari_apgan" or len(parts) < 2 or parts[1] not in floor:
                continue
            if parts[1] != here and floor[parts[1]] >= floor[here]:
                upward.add(f"{path.relative_to(PACKAGE)} -> {parts[1]}")
    assert not upward


#: What the window imports, and may bring neither torch nor Qt.
OF_THE_WINDOW = [
    "napari_apgan.models",
    "napari_apgan.models.presets",
    "napari_apgan.models.card",
    "napari_apgan.models.bundled",
    "napari_apgan.simulate.zoo",
    "napari_apgan.train",
    "napari_apgan.train.launcher",
    "napari_apgan.train.runfolder",
    "napari_apgan.train.prepare",
    "napari_apgan.predict",
    "napari_apgan.predict.protocol",
    "napari_apgan.predict.files",
    "napari_apgan.simulate",
    "napari_apgan.simulate.protocol",
    "napari_apgan.simulate.examples",
    "napari_apgan.simulate.process",
    "napari_apgan.simulate.stream",
    "napari_apgan.train.streaming",
    "napari_apgan.label.protocol",
    "napari_apgan.label.process",
    "napari_apgan.review",
    "napari_apgan.review.ranking",
    "napari_apgan.project",
    "napari_apgan.cli",
]

#: What it shows while it opens; abTEM and ASE alone would take seconds.
FORMS = ["napari_apgan.simulate.protocol", "napari_apgan.train.prepare"]

#: Imports each module as if it were the first of the package, and says what has come with it.
#: Other packages stay: the first module that brings one answers for it, and so does every later.
TRY_IMPORTS = """
import importlib, json, sys

modules, watched = json.loads(sys.argv[1])
brought = {}
for module in modules:
    for name in [n for n in sys.modules if n.split(".")[0] == "napari_apgan"]:
        del sys.modules[name]
    try:
        importlib.import_module(module)
        brought[module] = sorted(set(watched) & set(sys.modules))
    except Exception as error:
        brought[module] = [repr(error)]
print(json.dumps(brought))
"""


def brought_by(modules: list[str], watched: list[str]) -> dict[str, list[str]]:
    """Return which of the watched packages were there after each of the modules."""
    done = subprocess.run(
        [sys.executable, "-c", TRY_IMPORTS, json.dumps([modules, watched])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def heavy_imports() -> dict[str, list[str]]:
    return brought_by(OF_THE_WINDOW, ["torch", "napari", "qtpy", "PyQt6", "PySide6"])


@pytest.fixture(scope="module")
def slow_imports() -> dict[str, list[str]]:
    return brought_by(FORMS, ["abtem", "ase", "scipy.ndimage", "scipy.sparse", "scipy.spatial"])


@pytest.mark.parametrize("module", OF_THE_WINDOW)
def test_what_the_window_uses_leaves_torch_and_qt_out(
    module: str, heavy_imports: dict[str, list[str]]
) -> None:
    assert heavy_imports[module] == []


@pytest.mark.parametrize("module", FORMS)
def test_forms_of_the_simulation_wait_for_no_engine(
    module: str, slow_imports: dict[str, list[str]]
) -> None:
    assert slow_imports[module] == []
