"""The acts of labelling, each one edit of the project."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from napari_apgan.atoms import positions
from napari_apgan.elements import Element
from napari_apgan.frames import Calibration
from napari_apgan.maps import default_radius_px
from napari_apgan.regions import Region

from . import compose, tables
from .documents import PairEntry
from .edits import Batch, RemoveAtoms, SetRegions
from .folder import model_pixel_size
from .library import WithImages
from .runs import list_runs

#: Pixel sizes that differ by less than this fraction count as the same.
_SAME_SIZE = 0.02


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What a new pixel size meant.

    Parameters
    ----------
    rescaled_frames : list of int
        Frames with labels, whose positions in pm followed.
    runs_at_other_size : dict of str to float
        Runs whose model was trained at another pixel size (pm); frames are resampled for those.
    """

    rescaled_frames: list[int]
    runs_at_other_size: dict[str, float]

    def sentence(self) -> str:
        """Say it to the user."""
        n = len(self.rescaled_frames)
        text = f"Lengths follow the new pixel size on {n} labelled frame{'s' * (n != 1)}."
        if self.runs_at_other_size:
            names = ", ".join(self.runs_at_other_size)
            text += f" Trained at another pixel size: {names}; train again for best results."
        return text


class WithLabels(WithImages):
    """A project and what a user does with it."""

    def add_atoms(self, source_id: str, frame: int, table: pd.DataFrame) -> list[int]:
        """Add atoms under new ids, which are returned in the order of the rows.

        Ids in the table are ignored; elements that the project lacks are added in the same edit.
        """
        if table.empty:
            return []
        edit, ids = compose.new_atoms(self, source_id, frame, table)
        self.apply(edit)
        return ids

    def remove_atoms(self, source_id: str, frame: int, ids: Iterable[int]) -> None:
        """Remove atoms by id."""
        wanted = list(dict.fromkeys(int(i) for i in ids))
        if not wanted:
            return
        table = self.atoms(source_id, frame)
        rows = tables.rows_of(table, wanted)
        self.apply(RemoveAtoms.of(source_id, frame, table.iloc[np.sort(rows)]))

    def change_atoms(self, source_id: str, frame: int, ids: Sequence[int], **columns: Any) -> None:
        """Set columns of some atoms, to one value for all or one each: ``x_px=…, element="Ti"``.

        Elements that the project lacks are added in the same edit.
        """
        if not len(ids) or not columns:
            return
        edit = compose.changed_atoms(self, source_id, frame, ids, columns)
        named = columns.get("element", ())
        names = [named] if isinstance(named, str) else list(dict.fromkeys(named))
        more = compose.with_elements(self, names) if names else None
        self.apply(Batch(name=edit.title(), edits=(more, edit)) if more else edit)

    def set_regions(self, source_id: str, frame: int, regions: Sequence[Region]) -> None:
        """Set all regions of a frame, with the ids they have."""
        before = tuple(self.regions(source_id, frame))
        if before != tuple(regions):
            self.apply(
                SetRegions(source_id=source_id, frame=frame, before=before, after=tuple(regions))
            )

    def add_region(self, source_id: str, frame: int, region: Region) -> Region:
        """Add a region under a new id and return it."""
        added = region.model_copy(update={"id": self.record(source_id).next_region_id})
        self.set_regions(source_id, frame, [*self.regions(source_id, frame), added])
        return added

    def set_elements(
        self, elements: Sequence[Element], *, moves: Mapping[str, str] | None = None
    ) -> None:
        """Set the elements: add, recolour, reorder, rename, remove.

        Parameters
        ----------
        elements : sequence of Element
        moves : mapping, optional
            Old name to new name: atoms of a renamed or removed element go there.

        Raises
        ------
        UserError
            When a removed element still has atoms that `moves` does not place.
        """
        edit = compose.changed_elements(self, elements, moves or {})
        if edit.before != edit.after or edit.relabelled:
            self.apply(edit)

    def set_calibration(self, source_id: str, calibration: Calibration) -> CalibrationReport:
        """Set the pixel size of a source; everything in pm follows, also what is labelled."""
        edit = compose.changed_calibration(self, source_id, calibration)
        if edit.before != edit.after:
            self.apply(edit)
        frames = [d.frame for d in self.filled_documents("atoms", source_id)]
        return CalibrationReport(frames, self.runs_at_other_size(calibration))

    def runs_at_other_size(self, calibration: Calibration) -> dict[str, float]:
        """Return the runs whose model was trained at another pixel size than this, in pm."""
        size = calibration.mean_pm
        trained = {p.name: model_pixel_size(p) for p in list_runs(self._folder)}
        return {
            name: other
            for name, other in trained.items()
            if size is not None and other is not None and abs(other / size - 1) > _SAME_SIZE
        }

    def set_pairs(self, entries: Iterable[PairEntry]) -> None:
        """Set the whole training set."""
        edit = compose.changed_pairs(self, entries)
        if edit is not None:
            self.apply(edit)

    def add_pair(self, source_id: str, frame: int, *, round: int | None = None) -> None:
        """Put a frame into the training set; its round is the one to come unless given."""
        number = self.next_round if round is None else round
        edit = compose.joined_pairs(self, [(source_id, frame)], number)
        if edit is not None:
            self.apply(edit)

    def remove_pair(self, source_id: str, frame: int) -> None:
        """Take a frame out of the training set; its labels stay."""
        self.set_pairs(p for p in self.pairs if (p.source_id, p.frame) != (source_id, frame))

    @property
    def next_round(self) -> int:
        """Number of the round that the next training starts; 1 before the first."""
        return max((r.number for r in self.rounds), default=0) + 1

    def accept_prediction(
        self,
        source_id: str,
        frame: int,
        table: pd.DataFrame,
        round: int,
        *,
        tolerance_px: float | None = None,
    ) -> list[int]:
        """Turn predicted atoms into labels, but never where there is a label already.

        Parameters
        ----------
        source_id : str
        frame : int
        table : DataFrame
            The predicted atoms to accept.
        round : int
            The round that the model came from.
        tolerance_px : float, optional
            A predicted atom nearer than this to a label of any element is left out; by default a
            quarter of the usual spacing.

        Returns
        -------
        list of int
            The new ids.
        """
        labels = positions(self.atoms(source_id, frame))
        if tolerance_px is None:
            tolerance_px = default_radius_px(table)
        free = table
        if len(labels) and len(table):
            from scipy.spatial import cKDTree  # 0.2 s that opening the window need not wait for

            distance = np.asarray(cKDTree(labels).query(positions(table))[0])
            free = table[distance > tolerance_px]
        return self.add_atoms(source_id, frame, free.assign(origin="predicted", round=round))
