"""The regions to be looked at as the rows of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_apgan.project import Project

from .review_work import Place, where_words
from .row_list import Row

if TYPE_CHECKING:
    from napari_apgan.review.ranking import ReviewItem


def place_of(item: ReviewItem) -> Place:
    """Return (source id, frame) of an item."""
    return item.source_id, item.frame


def key_of(item: ReviewItem) -> tuple[Any, ...]:
    """Return what an item is known by when it is judged again."""
    return item.source_id, item.frame, item.box


def same(a: ReviewItem, b: ReviewItem | None) -> bool:
    """Whether two items are the same region, however they were judged."""
    return b is not None and key_of(a) == key_of(b)


def row_of(project: Project, item: ReviewItem, done: bool) -> Row:
    """Say where an item is and what is doubtful there, or that it is done."""
    where, reasons = where_words(project, item), "\n".join(item.reasons)
    if done:
        return Row(key_of(item), f"✓ {where}", ", complete", quiet=True, tip=reasons)
    share = f"{item.score:.0%}" if item.score == 0 or item.score >= 0.01 else "under 1%"
    doubt = f" · {share} doubtful"
    return Row(key_of(item), where, doubt, detail="; ".join(item.reasons), tip=reasons)
