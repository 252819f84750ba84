"""``apgan info``: what is in an image, pairs folder, project, run or model."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io import READABLE, list_sources, read_atoms, read_pairs
from napari_apgan.models.bundled import BUNDLED, FOLDER, bundled_path
from napari_apgan.models.card import read_card
from napari_apgan.project import Project
from napari_apgan.train import RunFolder

from .common import AsJson, MissingPixels, console, missing_policy, print_json

#: A row of the table that says what the bundled weights are: ``| key | value |``.
_ROW = re.compile(r"^\| (\w[\w ]*) \| (.+) \|$", re.MULTILINE)


def describe(path: Path, *, missing: str = "auto") -> dict[str, Any]:
    """Tell what a path (or ``bundled``) holds, as a JSON-able mapping; `kind` says what it is.

    Raises
    ------
    UserError
        When it is nothing that this program knows.
    """
    if (path / "project.json").is_file():
        return _project(path)
    if (path / "run.json").is_file():
        return _run(path)
    if str(path) == BUNDLED and not path.exists():
        return _bundled()
    if not path.exists():
        raise UserError(f"There is no file or folder {path}.")
    if path.suffix == ".safetensors":
        return _model(path)
    if path.suffix.lower() == ".csv":
        return _atoms(path)
    if path.suffix.lower() in READABLE:
        return _image(path, missing)
    if path.is_dir() and any(file.suffix.lower() == ".csv" for file in path.iterdir()):
        return _pairs(path, missing)
    raise UserError(
        f"{path} is no image, project, run, model, pairs folder or atom table that apgan can read."
    )


def _calibration(calibration: Calibration) -> dict[str, Any]:
    return {
        "pixel_size_x_pm": calibration.x_pm,
        "pixel_size_y_pm": calibration.y_pm,
        "pixel_size_from": calibration.origin,
        "note": calibration.note,
    }


def _image(path: Path, missing: str) -> dict[str, Any]:
    images = []
    for source in list_sources(path):
        source.missing = missing_policy(missing)
        frame = source.frame(0)
        images.append(
            {
                "name": source.name,
                "dataset": source.dataset,
                "frames": source.n_frames,
                "rows": source.shape[0],
                "columns": source.shape[1],
                "type": str(source.dtype),
                **_calibration(source.calibration),
                "missing_fraction": round(frame.missing_fraction, 6),
                "missing_note": frame.note,
                "metadata": dict(source.metadata),
            }
        )
    return {"kind": "image", "path": str(path), "images": images}


def _pairs(path: Path, missing: str) -> dict[str, Any]:
    pairs = read_pairs(path, missing=missing_policy(missing))
    sizes = [p.frame.calibration.mean_pm for p in pairs]
    known = [size for size in sizes if size is not None]
    shapes = {p.frame.shape for p in pairs}
    counts = Counter(name for p in pairs for name in p.atoms["element"])
    return {
        "kind": "pairs",
        "path": str(path),
        "pairs": len(pairs),
        "origins": dict(Counter(p.origin for p in pairs)),
        "sizes": [f"{rows} x {columns}" for rows, columns in sorted(shapes)],
        "smallest_pixel_size_pm": min(known, default=None),
        "largest_pixel_size_pm": max(known, default=None),
        "pairs_without_pixel_size": len(sizes) - len(known),
        "atoms": counts.total(),
        "elements": dict(counts),
        "missing_fraction": round(sum(p.frame.missing_fraction for p in pairs) / len(pairs), 6),
        "notes": sorted({p.note for p in pairs if p.note}),
    }


def _project(path: Path) -> dict[str, Any]:
    with Project.open(path, read_only=True) as project:
        labelled = project.frames_with_labels()
        return {
            "kind": "project",
            "path": str(path),
            "elements": [e.name for e in project.elements],
            "sources": [
                {"id": s.id, "name": s.name, "frames": s.n_frames, **_calibration(s.calibration)}
                for s in project.sources
            ],
            "labelled_frames": len(labelled),
            "atoms": sum(project.count_atoms(*where) for where in labelled),
            "training_set": len(project.pairs),
            "runs": [run.name for run in project.runs()],
            "rounds": [r.model_dump(mode="json") for r in project.rounds],
        }


def _model(path: Path) -> dict[str, Any]:
    return {"kind": "model", "path": str(path), **read_card(path).model_dump(mode="json")}


def _bundled() -> dict[str, Any]:
    """Tell what the weights of the package are, and after it what their header says."""
    told = _model(bundled_path())
    rows = _ROW.findall((FOLDER / "README.md").read_text(encoding="utf-8"))
    about = {key.replace(" ", "_"): value.replace("`", "") for key, value in rows}
    return {"kind": "model", "path": told["path"], "about": about, **told}


def _run(path: Path) -> dict[str, Any]:
    folder = RunFolder(path)
    run = folder.run_file
    stream = run.settings.stream
    return {
        "kind": "run",
        "path": str(path),
        "status": folder.status(),
        "message": folder.message(),
        "preset": run.preset.name,
        "elements": run.element_names,
        "pairs": len(run.pairs),
        "fresh_frames": stream.title if stream else None,
        "pixel_size_pm": run.pixel_size_pm,
        "model": str(folder.best_model) if folder.best_model else None,
    }


def _atoms(path: Path) -> dict[str, Any]:
    table = read_atoms(path)
    counts = {str(name): int(n) for name, n in table["element"].value_counts().items()}
    return {
        "kind": "atoms",
        "path": str(path),
        "atoms": len(table),
        "frames": int(table["frame"].nunique()),
        "elements": counts,
    }


def _lines(value: Any, indent: int = 0) -> list[str]:
    """Lay a description out for a person."""
    pad = "  " * indent
    lines: list[str] = []
    for key, item in value.items():
        label = key.replace("_", " ")
        if isinstance(item, dict):
            if item:
                lines += [f"{pad}{label}:", *_lines(item, indent + 1)]
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            for number, part in enumerate(item, start=1):
                lines += [f"{pad}{label} {number}:", *_lines(part, indent + 1)]
        elif isinstance(item, list):
            lines.append(f"{pad}{label}: {', '.join(map(str, item)) or 'none'}")
        elif item not in (None, ""):
            text = f"{item:.6g}" if isinstance(item, float) else str(item)
            lines.append(f"{pad}{label}: {text}")
    return lines


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def info(
        paths: Annotated[
            list[Path],
            typer.Argument(metavar="FILE…", help="What to look into; or the word bundled."),
        ],
        missing: MissingPixels = "auto",
        as_json: AsJson = False,
    ) -> None:
        """Say what is in images, pairs folders, projects, runs, models and atom tables."""
        found: list[dict[str, Any]] = []
        for path in paths:
            try:
                found.append(describe(path, missing=missing))
            except UserError as error:
                if len(paths) == 1:
                    raise
                console.print(f"[red]{path}:[/] {error}")
        if as_json:
            print_json(found[0] if len(paths) == 1 and found else found)
        else:
            typer.echo("\n\n".join("\n".join(_lines(part)) for part in found))
        if len(found) < len(paths):
            raise typer.Exit(2)
