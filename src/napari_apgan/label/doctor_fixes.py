"""Apply the doctor's fixes to a table of atoms and its regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_apgan.atoms import concat, make_atoms, next_id
from napari_apgan.regions import Region

from .doctor_types import Fix


@dataclass(frozen=True, slots=True)
class Fixed:
    """Labels after a fix.

    Parameters
    ----------
    atoms : DataFrame
    regions : tuple of Region
    radius_px : dict
        New radii by element; empty when none was set.
    """

    atoms: pd.DataFrame
    regions: tuple[Region, ...]
    radius_px: dict[str, float]


def apply_fix(fix: Fix, atoms: pd.DataFrame, regions: Sequence[Region] = ()) -> Fixed:
    """Return the labels with one fix applied; atoms that are gone already are passed over.

    Moved and changed atoms lose what was measured at their old place, and become ``corrected``.

    Parameters
    ----------
    fix : Fix
    atoms : DataFrame
        Atom table.
    regions : sequence of Region
    """
    table, areas = atoms.copy(), tuple(regions)
    if fix.act == "delete":
        table = table[~table["id"].isin(fix.ids)]
    elif fix.act in ("move", "change element"):
        for number, point in zip(fix.ids, fix.points, strict=True):
            row = table["id"] == number
            if fix.act == "move":
                table.loc[row, ["x_px", "y_px"]] = (point.x, point.y)
                table.loc[row, ["x_pm", "y_pm", "sigma_x_pm", "sigma_y_pm"]] = np.nan
            table.loc[row, "element"] = point.element
            table.loc[row, "origin"] = "corrected"
            table.loc[row, "flag"] = ""
    elif fix.act == "add":
        xy = [(p.x, p.y) for p in fix.points]
        first = next_id(table["id"])
        new = make_atoms(
            xy, [p.element for p in fix.points], origin="corrected", id=first + np.arange(len(xy))
        )
        table = concat([table, new])
    elif fix.act == "set region" and fix.region is not None:
        kept = [fix.region if r.id == fix.region.id else r for r in areas]
        new_one = all(r.id != fix.region.id for r in areas)
        areas = (*kept, fix.region) if new_one else tuple(kept)
    return Fixed(table.reset_index(drop=True), areas, dict(fix.radius_px))
