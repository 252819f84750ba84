"""The task `lattice` of the labelling helper: sites and notes, thinned by whoever asked."""

from __future__ import annotations

from .lay import LatticeOptions, lay_lattice
from .process import Job
from .sites import PRESENCE, counted_sites


def run(job: Job) -> None:
    """Propose lattices on the frame; options as :class:`~.lay.LatticeOptions`."""
    options = job.checked(LatticeOptions)
    proposal = lay_lattice(job.frame(), options, progress=job.progress, cancelled=job.cancelled)
    job.check()
    sites = proposal.sites
    path = job.out_dir / "sites.npz"
    sites.save(path)
    job.files["sites"] = str(path)
    job.values = {
        "notes": list(proposal.notes),
        "cells": [
            {
                "lengths_px": [float(v) for v in lattice.cell.lengths_px],
                "angle_deg": float(lattice.cell.angle_deg),
                "n_cells": lattice.n_cells,
            }
            for lattice in proposal.lattices
        ],
    }
    job.sentence = counted_sites(sites, PRESENCE)
