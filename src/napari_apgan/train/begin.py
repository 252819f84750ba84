"""What a training begins with: its pairs, what of them is held out, its crops, its first card."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from napari_apgan import __version__
from napari_apgan.atoms import positions
from napari_apgan.io.pairs import Pair, read_pairs
from napari_apgan.models.card import ModelCard, contrast_of

from .dataset import Dataset
from .runfile import PAIRS_FOLDER, VALIDATION_FOLDER, RunFile
from .split import Split, atoms_in, split_folder, split_pairs
from .streaming import StreamCrops, open_stream


def usable_cores() -> int:
    """Count the cores this process may use; a cluster or container may lend only some."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_split(run_dir: Path, run: RunFile) -> tuple[list[Pair], Split]:
    """Read the run's pairs and decide what is held out."""
    # Where all is simulated while training, nothing but the validation's pairs lies there.
    pairs = read_pairs(run_dir / PAIRS_FOLDER) if run.pairs else []
    radius = max(run.radius_px.values())
    if not (run_dir / VALIDATION_FOLDER).is_dir():
        split = split_pairs(
            pairs,
            run.element_names,
            fraction=run.settings.validation,
            receptive_field_px=run.preset.network.receptive_field_px,
            radius_px=radius,
            seed=run.settings.seed,
        )
        return pairs, split
    held = read_pairs(run_dir / VALIDATION_FOLDER)
    return [*pairs, *held], split_folder(pairs, held, radius_px=radius)


def count_atoms(pairs: Sequence[Pair], split: Split, *, held_out: bool) -> int:
    """Count the labelled atoms that are trained on, or those held out."""
    masks = split.validation if held_out else split.train
    return sum(
        int(atoms_in(positions(pair.atoms), mask).sum())
        for pair, mask in zip(pairs, masks, strict=True)
    )


def open_dataset(run: RunFile, pairs: Sequence[Pair], split: Split) -> Dataset:
    """Return what the run's batches are drawn from."""
    return Dataset(
        pairs,
        split,
        run.element_names,
        run.radius_px,
        run.preset.recipe,
        run.preset.normalisation,
        run.settings.seed,
        _stream(run),
        run.settings.stream_share,
    )


def _stream(run: RunFile) -> StreamCrops | None:
    """Return the crops simulated while the run trains, None where it asks for none."""
    if run.settings.stream is None:
        return None
    return StreamCrops(
        open_stream(run.settings.stream, run.settings.seed),
        run.element_names,
        [run.radius_px[name] for name in run.element_names],
        run.preset.normalisation,
        run.pixel_size_pm,
        run.settings.seed,
    )


def first_card(run: RunFile) -> ModelCard:
    """Return the card of a model that has no score yet."""
    return ModelCard(
        preset=run.preset.name,
        network=run.preset.network,
        elements=run.elements,
        radius_px=run.radius_px,
        pixel_size_pm=run.pixel_size_pm,
        contrast=contrast_of(run.elements),
        normalisation=run.preset.normalisation,
        run_id=run.run_id,
        dataset_hash=run.dataset_hash,
        package_version=__version__,
    )
