"""Check that what is published holds what it must, and nothing that it must not."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

NEEDED = ("napari_apgan/napari.yaml", "napari_apgan/py.typed", "napari_apgan/cli/__init__.py")


def problems(names: list[str], inside: str, *, text: dict[str, str]) -> list[str]:
    """Return what is wrong with an archive whose package stands below `inside`."""
    wrong = [f"lacks {need}" for need in NEEDED if f"{inside}{need}" not in names]
    wrong += [f"holds {n}" for n in names if n.endswith((".pyc", ".pkl", ".dm3", ".dm4"))]
    wrong += [f"{n} is not the manifest" for n, body in text.items() if "display_name" not in body]
    return wrong


def main(folder: Path) -> int:
    """Inspect the newest wheel and sdist in a folder."""
    wheel = max(folder.glob("*.whl"), key=lambda p: p.stat().st_mtime)
    sdist = max(folder.glob("*.tar.gz"), key=lambda p: p.stat().st_mtime)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        manifest = archive.read("napari_apgan/napari.yaml").decode()
        wrong = [f"wheel {w}" for w in problems(names, "", text={"napari.yaml": manifest})]
        entry = next(n for n in names if n.endswith("entry_points.txt"))
        if "napari_apgan:napari.yaml" not in archive.read(entry).decode():
            wrong.append("wheel lacks the napari.manifest entry point")
        if any(n.startswith(("tests/", "docs/")) for n in names):
            wrong.append("wheel holds tests or docs")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
        top = names[0].split("/")[0]
        wrong += [f"sdist {w}" for w in problems(names, f"{top}/src/", text={})]
    size = wheel.stat().st_size / 1e6
    if size > 20:
        wrong.append(f"wheel is {size:.1f} MB")
    print(*(wrong or [f"{wheel.name}: {size:.2f} MB, {sdist.name}: fine"]), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
