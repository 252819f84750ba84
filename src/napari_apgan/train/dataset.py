"""The training set in memory, and the batches drawn from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_apgan.errors import UserError
from napari_apgan.io.pairs import Pair
from napari_apgan.models.recipe import Augmentation, Recipe

from .augment import augment
from .crops import Crop, TrainingFrame, choose_placement, cut_crop, make_training_frame
from .split import Split, atoms_in
from .streaming import StreamCrops

#: Crops are not made smaller than this for the sake of small labelled regions (px).
SMALLEST_SIDE = 64
#: Simulated frames that one epoch shows where nothing else is trained on: as many as the paper's
#: training sets hold.
FRAMES_PER_EPOCH = 10


@dataclass(frozen=True, slots=True)
class Batch:
    """(N, 2, Y, X) input, (N, C, Y, X) output map, (N, 1 or C, Y, X) mask of the loss; float32."""

    x: Tensor
    target: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(self.x.to(device), self.target.to(device), self.mask.to(device))

    def first(self, count: int) -> Batch:
        """Return the first of its crops."""
        return Batch(self.x[:count], self.target[:count], self.mask[:count])


class Dataset:
    """Draws augmented crops from all training frames, each as often as its labelled area deserves.

    With a stream, a share of every batch comes from it.

    Parameters
    ----------
    pairs : sequence of Pair
    split : Split
    elements : sequence of str
    radius_px : mapping
        Of each element's discs.
    recipe : Recipe
    normalisation : str
    seed : int
    stream : StreamCrops, optional
    stream_share : float
        Part of each batch that the stream gives; 1 leaves the pairs aside.

    Raises
    ------
    UserError
        When nothing is left to train on.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        split: Split,
        elements: Sequence[str],
        radius_px: dict[str, float],
        recipe: Recipe,
        normalisation: str,
        seed: int,
        stream: StreamCrops | None = None,
        stream_share: float = 0.0,
    ) -> None:
        self._stream = stream
        self._share = stream_share if stream is not None else 0.0
        self.rng = np.random.default_rng(seed)
        self._radii = [radius_px[e] for e in elements]
        self._augmentation = recipe.augmentation
        self._plain = recipe.augmentation.plain
        #: Crops a step.
        self.batch = recipe.batch
        frames = [
            make_training_frame(
                pair,
                learn,
                elements,
                max(self._radii),
                normalisation,
                turned=recipe.augmentation.rotate,
            )
            for pair, learn in zip(pairs, split.train, strict=True)
            if learn.any() and self._share < 1
        ]
        self._frames: list[TrainingFrame] = [f for f in frames if f.learn.any()]
        if not self._frames and self._share < 1:
            raise UserError(
                "Nothing is left to train on: the complete regions hold no measured pixel outside "
                "what is kept for validation."
            )
        shown = self._frames + ([stream.first] if stream is not None and not self._frames else [])
        #: Side of the crops in px, a multiple of 8.
        self.side: int = _crop_side(shown, recipe.crop_px)
        area = np.array([f.learn.sum() for f in shown], dtype=np.float64)
        self._chance = area / area.sum()
        self._atoms = _atoms_by_element(self._frames, len(self._radii))
        #: Part of the labelled crops that stay plain before `Augmentation.until`.
        self.plain_share = _plain_share(sum(map(len, self._atoms)), self._augmentation)
        self._probed = shown[0]
        #: Crops that would cover the labelled area once, and the simulated ones drawn beside them.
        self.crops_per_epoch = max(1, round(float(area.sum()) / self.side**2), len(self._frames))
        if self._frames:
            self.crops_per_epoch = round(self.crops_per_epoch / (1 - self._share))
        else:
            self.crops_per_epoch *= FRAMES_PER_EPOCH

    @property
    def simulated_crops(self) -> int:
        """Crops drawn from the stream so far."""
        return 0 if self._stream is None else self._stream.position

    def skip_simulated(self, count: int) -> None:
        """Go on in the stream as after so many crops."""
        if self._stream is not None:
            self._stream.seek(count)

    def close(self) -> None:
        """End the thread of the stream."""
        if self._stream is not None:
            self._stream.close()

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch."""
        return math.ceil(self.crops_per_epoch / self.batch)

    def probe(self) -> Tensor:
        """Return a (1, 2, Y, X) piece of the first frame, always the same."""
        frame = self._probed
        cut = np.s_[: self.side, : self.side]
        x = np.stack([np.where(frame.valid, frame.image, 0)[cut], frame.valid[cut]])
        return torch.from_numpy(x[None].astype(np.float32))

    def _choose(self) -> tuple[TrainingFrame, NDArray[np.float64] | None]:
        """Choose a frame, and an atom of it or just any labelled place."""
        if self._atoms and self.rng.random() < self._augmentation.near_atoms:
            atoms = self._atoms[self.rng.integers(len(self._atoms))]
            number, x, y = atoms[self.rng.integers(len(atoms))]
            return self._frames[int(number)], np.array([x, y])
        return self._frames[self.rng.choice(len(self._frames), p=self._chance)], None

    def _draw_labelled(self, used: float) -> Crop:
        changes = self._changes(used, self.plain_share)
        frame, anchor = self._choose()
        placement = choose_placement(frame, self.side, changes, self.rng, anchor)
        crop = cut_crop(frame, placement, self.side, self._radii)
        return augment(crop, changes, self.rng)

    def _draw_simulated(self, used: float) -> Crop:
        if self._stream is None:
            raise ValueError("there is no stream to draw from")
        return augment(self._stream.draw(self.side), self._changes(used, 0.0), self.rng)

    def _changes(self, used: float, plain_share: float) -> Augmentation:
        """Choose what may happen to a crop."""
        plain = used >= self._augmentation.until or self.rng.random() < plain_share
        return self._plain if plain else self._augmentation

    def draw(self, used: float = 0.0) -> Batch:
        """Draw the next random batch.

        Parameters
        ----------
        used : float
            Part of the training's budget that is used up, 0..1.
        """
        simulated = 0
        if self._share:
            # On average the share, whatever the batch.
            simulated = int(self.batch * self._share + self.rng.random())
        crops = [
            self._draw_simulated(used) if k < simulated else self._draw_labelled(used)
            for k in range(self.batch)
        ]
        x = np.stack([[c.image, c.valid.astype(np.float32)] for c in crops])
        target = np.stack([c.target for c in crops])
        # One mask for all channels, or one each where a frame speaks of some elements only.
        mask = np.stack(np.broadcast_arrays(*(np.atleast_3d(c.learn.T).T for c in crops)))
        return Batch(
            torch.from_numpy(x).contiguous(memory_format=torch.channels_last),
            torch.from_numpy(target),
            torch.from_numpy(mask.astype(np.float32)),
        )


def _atoms_by_element(
    frames: Sequence[TrainingFrame], n_elements: int
) -> list[NDArray[np.float64]]:
    """Return (N, 3) for each element that has atoms to learn: number of the frame, x, y in px."""
    rows = [
        np.column_stack([np.full(len(f.xy), k), f.xy, f.channel])[atoms_in(f.xy, f.learn)]
        for k, f in enumerate(frames)
    ]
    atoms = np.concatenate([*rows, np.zeros((0, 4))])
    found = [atoms[atoms[:, 3] == c, :3] for c in range(n_elements)]
    return [a for a in found if len(a)]


def _plain_share(n_atoms: int, augmentation: Augmentation) -> float:
    """Return the part of the crops that so many labels allow to leave as they are."""
    if not augmentation.enough_atoms:
        return 0.0
    return n_atoms / (n_atoms + augmentation.enough_atoms)


def _crop_side(frames: Sequence[TrainingFrame], wanted_px: int) -> int:
    """Return the side of the crops: as wanted, but not far beyond the frames or their labels.

    Around a small labelled box a large crop would be mostly work without a lesson.
    """
    whole, labelled = 0, 0
    for frame in frames:
        whole = max(whole, *frame.image.shape)
        for axis in (0, 1):
            labelled = max(labelled, int(np.ptp(np.flatnonzero(frame.learn.any(axis=axis)))) + 1)
    return 8 * math.ceil(min(wanted_px, whole, max(SMALLEST_SIDE, 1.5 * labelled)) / 8)
