"""Random acts on a project, for tests and for a process of its own that they kill.

    python random_edits.py PROJECT ACTIONS.json

does the acts one after the other and prints the number of the journal's last line after each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from napari_apgan.atoms import make_atoms
from napari_apgan.frames import Calibration
from napari_apgan.project import Project
from napari_apgan.project.documents import PairEntry
from napari_apgan.regions import Region

Snapshot = dict[str, Any]


def snapshot(project: Project) -> Snapshot:
    """Everything that edits change, in a form that compares exactly."""
    state: Snapshot = {"elements": project.elements, "pairs": project.pairs}
    for record in project.sources:
        state[record.id] = record.calibration
    for source_id, frame in project.frames_with_labels():
        key = f"{source_id}/{frame}"
        state[key] = project.atoms(source_id, frame).fillna(-1.5).to_dict("list")
        state[key + "/regions"] = project.regions(source_id, frame)
    return state


def act(project: Project, source_id: str, action: tuple[str, int, int]) -> None:
    """Do one random thing; `a` and `b` choose what to."""
    name, a, b = action
    frame = a % 2
    ids = project.atoms(source_id, frame)["id"].tolist()
    chosen = [ids[b % len(ids)]] if ids else []
    if name == "add":
        xy = np.column_stack([np.arange(a % 3 + 1) * 1.1, np.full(a % 3 + 1, b / 7)])
        project.add_atoms(source_id, frame, make_atoms(xy, ["Pb", "Ti", "Sr"][b % 3]))
    elif name == "remove":
        project.remove_atoms(source_id, frame, chosen)
    elif name == "move":
        project.change_atoms(source_id, frame, chosen, x_px=b / 3, sigma_x_pm=a / 9)
    elif name == "region":
        project.add_region(source_id, frame, Region.rectangle(0, 0, a + 1, b + 1))
    elif name == "elements":
        project.set_elements(project.elements[::-1])
    elif name == "rename" and project.elements:
        first, *others = project.elements
        renamed = first.model_copy(update={"name": f"E{a}{b}"})
        project.set_elements([renamed, *others], moves={first.name: renamed.name})
    elif name == "calibrate":
        project.set_calibration(source_id, Calibration.from_pixel_size(5 + a, origin="user"))
    elif name == "pair":
        project.set_pairs([PairEntry(source_id=source_id, frame=frame, round=b)])
    elif name == "undo":
        project.undo()
    elif name == "redo":
        project.redo()


def main(path: str, actions: str) -> None:
    """Do the acts in a file."""
    project = Project.open(path)
    source_id = project.sources[0].id
    for name, a, b in json.loads(Path(actions).read_text()):
        if name == "save":
            project.save()
        else:
            act(project, source_id, (name, a, b))
        print(project.edit_number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
