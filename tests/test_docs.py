"""What the documents name exists, and what exists is named: files, commands, options and keys."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import typer

from napari_apgan.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
#: What the keys' table calls keys that the program lists by their other names.
OTHER_NAMES = {"Backspace": "Delete", "1 … 9": "1", "?": "F1"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)\s]+)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if not _leads_somewhere(page, t)]
    assert not missing


def _leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    if not file.exists():
        return False
    return not anchor or anchor in _anchors(file.read_text(encoding="utf-8"))


def _anchors(text: str) -> set[str]:
    """Return the anchors that headings get: lower case, blanks to hyphens, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def _command_lines(text: str) -> Iterator[str]:
    """Yield what follows `apgan` in code: also behind another program, as `xvfb-run … apgan …`."""
    fenced = "\n".join(re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE))
    indented = "\n".join(re.findall(r"^ {4}(\S.*)$", text, flags=re.MULTILINE))
    inline = "\n".join(re.findall(r"`([^`\n]+)`", text))
    for line in "\n".join([fenced, indented, inline]).splitlines():
        found = re.search(r"(?:^|\s)apgan ((?!-)[^#]*)", line.split(" # ")[0])
        if found:
            yield found.group(1).split(" > ")[0].strip()


def test_command_lines_are_found_behind_other_programs_and_in_the_midst_of_text() -> None:
    text = 'Say `apgan info FILE`.\n\n    xvfb-run -s "-screen 0" apgan bench opening --runs 2\n'
    assert set(_command_lines(text)) == {"info FILE", "bench opening --runs 2"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_and_options_exist(page: Path) -> None:
    for line in _command_lines(page.read_text(encoding="utf-8")):
        words = line.split()
        if not words[0].islower() or not words[0].isalpha():
            continue  # `apgan VERB --help`, `apgan-demo/`
        assert words[0] in COMMANDS, line
        command, options = COMMANDS[words[0]], words[1:]
        if hasattr(command, "commands"):
            assert set(options[:1]) & set(command.commands), line
            command = command.commands[options[0]]
        known = {name for parameter in command.params for name in parameter.opts}
        used = {w.split("=")[0] for w in options if re.fullmatch(r"-{1,2}[a-z][\w-]*.*", w)}
        assert used - {"--help"} <= known, (line, used - known)


def test_every_command_is_in_a_document() -> None:
    named = {
        line.split()[0] for p in PAGES for line in _command_lines(p.read_text(encoding="utf-8"))
    }
    assert set(COMMANDS) <= named


def test_every_bench_is_in_the_benchmarks() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    named = {w[1] for line in _command_lines(page) if (w := line.split())[0] == "bench"}
    assert set(COMMANDS["bench"].commands) == named


def _listed_keys() -> set[str]:
    """Return the keys in the first column of the guide's table."""
    table = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").split("## Keys")[1]
    rows = [r for r in table.split("\n## ")[0].splitlines() if r.startswith("| ")][1:]
    return {k.strip() for row in rows for k in row.split("|")[1].split(",")}


def test_the_guide_lists_every_key() -> None:
    from napari_apgan.ui.keys import KEYS

    listed = _listed_keys()
    missing = [k.label for k in KEYS if k.label not in listed and not k.label.isdigit()]
    assert not missing
    assert "1 … 9" in listed


def test_every_key_of_the_guide_does_something() -> None:
    from napari_apgan.ui.keys import KEYS

    known = {key.label for key in KEYS}
    assert {k for k in _listed_keys() if OTHER_NAMES.get(k, k) not in known} == set()


def _gallery(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gallery", module)  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def test_the_gallery_shows_every_picture_that_its_script_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {entry.name for entry in _gallery(monkeypatch).entries(tmp_path)}
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"images/gallery/([\w-]+)\.png", page))
    kept = {path.stem for path in (ROOT / "docs" / "images" / "gallery").glob("*.png")}
    assert made == shown == kept


def test_the_gallery_has_every_kind_of_structure_mode_and_degradation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_apgan.simulate.structures import STRUCTURES

    settings = [entry.settings() for entry in _gallery(monkeypatch).entries(tmp_path)]
    assert {s.structure.kind for s in settings} == set(STRUCTURES)
    assert {s.imaging.mode for s in settings} == {"hrtem", "haadf", "adf", "abf"}
    assert {s.degradation.loss for s in settings} == {"none", "random", "trajectory"}
    # Every setting of the noise is away from its usual value in one of the pictures.
    usual = type(settings[0].degradation)()
    never = [
        name
        for name in type(usual).model_fields
        if all(getattr(s.degradation, name) == getattr(usual, name) for s in settings)
    ]
    assert set(never) <= {"gain", "offset"}  # a picture's grey levels are stretched anyway
