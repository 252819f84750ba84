"""The probability map that a user watches sharpen while the training runs."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np

from napari_apgan.errors import UserError
from napari_apgan.io.pairs import Pair
from napari_apgan.models.card import ModelCard
from napari_apgan.models.modelfile import Model
from napari_apgan.models.networks import AtomNetwork
from napari_apgan.predict.inference import predict_maps
from napari_apgan.regions import learn_mask
from napari_apgan.settings import write_atomically

from .events import Preview
from .runfile import PREVIEW_FILE

#: Never more often than this (s), and never for more than a tenth of the time.
SHORTEST_INTERVAL_S = 0.5
LARGEST_SHARE = 0.1
#: After a preview failed (s).
LONGEST_INTERVAL_S = 20.0
#: Side of the part that is drawn, px.
LARGEST_SIDE = 512


class Previewer:
    """Draws the map of one pair now and then.

    Parameters
    ----------
    run_dir : Path
    pair : Pair
    card : ModelCard
    """

    def __init__(self, run_dir: Path, pair: Pair, card: ModelCard) -> None:
        self._path = run_dir / PREVIEW_FILE
        self._pair = pair
        self._card = card
        self._box = _middle(pair)
        self._next = 0.0

    def draw(self, network: AtomNetwork, step: int, device: str) -> Preview | None:
        """Draw the map if it is time to; return the event, or None."""
        begun = time.monotonic()
        if begun < self._next:
            return None
        try:
            maps = predict_maps(
                Model(self._card, network.eval()), self._pair.frame, device=device, box=self._box
            )
        except UserError:
            # No memory, or no numbers: a picture is not worth a training, which will see to both.
            self._next = begun + LONGEST_INTERVAL_S
            return None
        buffer = io.BytesIO()
        np.save(buffer, np.rint(maps * 255).astype(np.uint8), allow_pickle=False)
        write_atomically(self._path, buffer.getvalue())
        ended = time.monotonic()
        self._next = ended + max(SHORTEST_INTERVAL_S, (ended - begun) / LARGEST_SHARE)
        return Preview(
            step=step,
            path=PREVIEW_FILE,
            pair=self._pair.name,
            box=self._box,
            elements=self._card.element_names,
        )


def _middle(pair: Pair) -> tuple[int, int, int, int]:
    """Return (x0, y0, x1, y1) of at most 512 px a side around the middle of the labels."""
    mask = learn_mask(pair.regions, pair.frame.shape)
    box = []
    for axis, size in ((0, pair.frame.shape[1]), (1, pair.frame.shape[0])):
        where = np.flatnonzero(mask.any(axis=axis))
        centre = int(where.mean()) if len(where) else size // 2
        side = min(size, LARGEST_SIDE)
        low = min(max(centre - side // 2, 0), size - side)
        box.append((low, low + side))
    return box[0][0], box[1][0], box[0][1], box[1][1]
