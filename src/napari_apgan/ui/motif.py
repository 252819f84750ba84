"""The motif: which element the next click adds, where elements are labelled in turn."""

from __future__ import annotations

from collections.abc import Sequence

from napari_apgan.errors import UserError


class Motif:
    """The elements that clicks add one after the other, round and round.

    Parameters
    ----------
    on : bool
        Whether elements change after each click; off, a click adds the same one again.
    """

    def __init__(self, *, on: bool = False) -> None:
        self.on = on
        self._chosen: tuple[str, ...] = ()
        self._place = 0

    @property
    def text(self) -> str:
        """What the user chose; empty for all elements in the order of their digits."""
        return " ".join(self._chosen)

    def choose(self, text: str, names: Sequence[str]) -> None:
        """Choose the motif: ``Pb Ti O O``; empty for all elements.

        Raises
        ------
        UserError
            When the project has no such element.
        """
        chosen = tuple(text.replace(",", " ").replace("-", " ").split())
        unknown = [n for n in chosen if n not in names]
        if unknown:
            raise UserError(
                f"The project has no element {unknown[0]}: a motif is made of "
                f"{', '.join(names) or 'elements that you add first'}."
            )
        self._chosen, self._place = chosen, 0

    def order(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the motif as the elements of the project allow it now."""
        chosen = tuple(n for n in self._chosen if n in names)
        return chosen or tuple(names)

    def after(self, current: str, names: Sequence[str], step: int = 1) -> str:
        """Return the element that follows; the current one where nothing is to change.

        The user may have chosen another element since: the motif then goes on from there.
        """
        order = self.order(names)
        if not self.on or current not in order:
            return current
        here = self._place % len(order)
        if order[here] != current:
            here = min(
                (i for i, n in enumerate(order) if n == current),
                key=lambda i: (i - here) % len(order),
            )
        self._place = (here + step) % len(order)
        return order[self._place]
