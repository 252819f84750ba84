"""The tasks `elements` and `between` of the labelling helper."""

from __future__ import annotations

from napari_apgan.io.reference import open_reference

from .name_atoms import BetweenOptions, ElementOptions, atoms_between, name_atoms
from .process import Job


def run(job: Job) -> None:
    """Suggest elements for the labels, or find the atoms between them."""
    if job.request.task == "between":
        options = job.checked(BetweenOptions)
        job.progress(0, 0, "looking between the atoms")
        found = atoms_between(job.frame(), job.atoms(), options)
        job.give_table("atoms", found)
        job.sentence = f"{len(found):,} atoms stand between."
        return
    wanted = job.checked(ElementOptions)
    maps = {name: open_reference(ref).frame(0) for name, ref in wanted.maps.items()}
    named = name_atoms(
        job.frame(),
        job.atoms(),
        wanted,
        maps=maps,
        progress=job.progress,
        cancelled=job.cancelled,
    )
    job.give_table("atoms", named.atoms)
    job.values = {
        "classes": list(named.classes),
        "notes": list(named.notes),
        "by_maps": bool(maps),
    }
    n = named.n_doubtful
    job.sentence = f"{len(named.atoms):,} atoms · {n:,} to check" if n else "None is doubtful."
