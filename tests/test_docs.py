"""What the documents name exists: files, commands, options and keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from napari_apgan.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if not (page.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_and_options_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"(?:^ {4}|`)(apgan [^`\n]+)", text, flags=re.MULTILINE):
        words = line.split("#")[0].split()[1:]
        if not words or not words[0].islower():
            continue  # `apgan VERB --help`
        command, options = COMMANDS[words[0]], words[1:]
        if hasattr(command, "commands") and options and options[0] in command.commands:
            command = command.commands[options[0]]
        known = {name for parameter in command.params for name in parameter.opts}
        used = {w.split("=")[0] for w in options if re.fullmatch(r"-{1,2}[a-z][\w-]*.*", w)}
        assert used - {"--help"} <= known, (line, used - known)


def test_the_guide_lists_every_key() -> None:
    from napari_apgan.ui.keys import KEYS

    table = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").split("## Keys")[1]
    rows = "\n".join(r for r in table.split("\n## ")[0].splitlines() if r.startswith("|"))
    for key in KEYS:
        name = key.label
        assert (name.isdigit() and "1 … 9" in rows) or re.search(
            rf"(?<![\w+]){re.escape(name)}(?![\w+])", rows
        ), f"{name} is not in the guide"
