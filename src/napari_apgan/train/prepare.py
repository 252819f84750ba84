"""From pairs to a run folder: a snapshot at one pixel size, and `run.json`. Free of torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from napari_apgan import __version__
from napari_apgan.atoms import positions, with_calibration
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.io.pairs import Pair, write_pairs
from napari_apgan.maps import color_code, default_radius_px
from napari_apgan.models.card import ModelCard, read_card, resolve_model
from napari_apgan.models.recipe import Preset
from napari_apgan.predict.resample import LARGEST_RATIO, SAME_SIZE, resample_frame
from napari_apgan.regions import learn_mask
from napari_apgan.settings import write_atomically
from napari_apgan.simulate.settings import SimulationSettings
from napari_apgan.simulate.zoo_settings import CHANNELS, ZooSettings

from .runfile import INIT_FILE, PAIRS_FOLDER, RUN_FILE, VALIDATION_FOLDER, PairRecord, RunFile
from .settings import RunSettings
from .split import atoms_in

#: Simulated frames that validate a run which trains on nothing else.
HELD_OUT_FRAMES = 4
#: The same for the stream of everything, of which four frames say little.
HELD_OUT_OF_EVERYTHING = 48


def prepare_run(
    pairs: Sequence[Pair],
    run_dir: Path | str,
    settings: RunSettings,
    elements: Sequence[Element],
    *,
    validation: Sequence[Pair] = (),
) -> RunFile:
    """Make a run folder that a trainer can work on, wherever the images go afterwards.

    The pairs are copied into it, brought to one pixel size where their calibrations differ.

    Parameters
    ----------
    pairs : sequence of Pair
        What to learn from; only their complete regions count. May be empty where the settings have
        a stream of simulated frames; where that gives all of every batch, they validate.
    run_dir : Path or str
        Made when it does not exist; it must hold no run yet.
    settings : RunSettings
    elements : sequence of Element
        One output channel each, in this order; those without a labelled atom are left out.
    validation : sequence of Pair, optional
        Kept for validation as a whole; otherwise a part of `pairs` is, or, where only simulated
        frames are learned from, frames simulated apart from them.

    Returns
    -------
    RunFile

    Raises
    ------
    UserError
        When there is nothing to learn from, pixel sizes are known for some pairs only or lie too
        far apart, a setting does not fit, or the model to continue from cannot be used.
    """
    run_dir = Path(run_dir)
    if (run_dir / RUN_FILE).exists():
        raise UserError(f"{run_dir} holds a run already: choose another folder.")
    preset = settings.chosen_preset()
    card = _earlier_card(settings, preset)
    notes: list[str] = []
    settings, pairs, validation = _sources(settings, pairs, validation, notes)
    simulated = _simulated_elements(settings, elements)
    pixel_size = _training_pixel_size([*pairs, *validation], settings, card)
    scaled = [at_pixel_size(p, pixel_size) for p in [*pairs, *validation]]
    n_resampled = sum(scale != 1.0 for _, scale in scaled)
    if n_resampled and pixel_size is not None:
        notes.append(
            f"{n_resampled} of {len(scaled)} frames were resampled to {pixel_size:.3g} pm a pixel."
        )
    training, held = _unique([p for p, _ in scaled]), scaled[len(pairs) :]
    held_pairs = training[len(pairs) :]
    training = training[: len(pairs)]
    chosen = _labelled_elements(training, elements, simulated, notes)
    if preset.network.coding == "rgb":
        color_code(len(chosen))  # refuses more elements than colours tell apart
    if held and not _count_atoms(held_pairs, chosen):
        raise UserError(
            "The validation pairs hold no labelled atom inside a complete region: label some, or "
            "let a part of the training pairs be kept for validation."
        )
    run = RunFile(
        run_id=run_dir.resolve().name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        package_version=__version__,
        settings=settings,
        preset=preset,
        elements=tuple(chosen),
        pixel_size_pm=pixel_size,
        radius_px=_radii(training or held_pairs, chosen, pixel_size, card),
        pairs=_records(training, [s for _, s in scaled], chosen),
        validation_pairs=_records(held_pairs, [s for _, s in held], chosen),
        notes=tuple(notes),
    )
    try:
        if training:
            write_pairs(training, run_dir / PAIRS_FOLDER)
        if held_pairs:
            write_pairs(held_pairs, run_dir / VALIDATION_FOLDER)
        if card is not None:
            # The earlier model may be moved or retrained before this run begins.
            write_atomically(run_dir / INIT_FILE, resolve_model(settings.init).read_bytes())
        run = run.model_copy(update={"dataset_hash": dataset_hash(run_dir)})
        run.write(run_dir)
    except OSError as error:
        raise UserError(
            f"The run folder {run_dir} could not be written: {error.strerror or error}."
        ) from error
    return run


def _earlier_card(settings: RunSettings, preset: Preset) -> ModelCard | None:
    """Return the card of the model to continue from; refuse one of another kind."""
    if settings.init == "scratch":
        return None
    card = read_card(settings.init)
    if card.network.kind != preset.network.kind:
        raise UserError(
            f"The model to continue from was trained with the preset {card.preset!r}, not "
            f"{preset.name!r}: choose that preset, or start from scratch."
        )
    if card.network.coding != preset.network.coding:
        raise UserError(
            "The model to continue from codes its elements in another way (one channel each, or "
            f"colours): choose coding {card.network.coding!r}, or start from scratch."
        )
    return card


def _sources(
    settings: RunSettings, pairs: Sequence[Pair], validation: Sequence[Pair], notes: list[str]
) -> tuple[RunSettings, list[Pair], list[Pair]]:
    """Decide what is learned from and what validates; the settings say so afterwards."""
    stream = settings.stream
    if stream is None:
        if not pairs:
            raise UserError("There is nothing to train on: add at least one labelled frame.")
        return settings, list(pairs), list(validation)
    from napari_apgan.simulate.stream import held_out_pairs  # not while a window opens
    from napari_apgan.simulate.zoo import held_out_frames

    from .streaming import open_stream

    open_stream(stream, settings.seed)  # refuses what no stream can be made of
    if not pairs and settings.stream_share < 1:
        settings = settings.model_copy(update={"stream_share": 1.0})
    if settings.stream_share < 1:
        notes.append(
            f"{settings.stream_share:.0%} of every batch is simulated anew ({stream.title})."
        )
        return settings, list(pairs), list(validation)
    held = [*pairs, *validation]
    notes.append(f"The model learns from frames simulated anew alone ({stream.title}).")
    if not held and isinstance(stream, ZooSettings):
        held = held_out_frames(stream, HELD_OUT_OF_EVERYTHING, settings.seed)
    elif not held and isinstance(stream, SimulationSettings):
        held = held_out_pairs(stream, HELD_OUT_FRAMES, settings.seed)
    return settings, [], held


def _simulated_elements(settings: RunSettings, elements: Sequence[Element]) -> set[str]:
    """Return the elements that the stream shows; refuse those the run does not have."""
    if settings.stream is None:
        return set()
    if isinstance(settings.stream, ZooSettings):
        shown = list(CHANNELS)
    else:
        from napari_apgan.simulate.stream import elements_of

        shown = elements_of(settings.stream, settings.seed)
    unknown = [name for name in shown if name not in {e.name for e in elements}]
    if unknown:
        have = ", ".join(e.name for e in elements) or "none"
        raise UserError(
            f"The simulated frames show {', '.join(unknown)}, which is not among the elements here "
            f"({have}): add it, or choose a structure or mode that does not show it."
        )
    return set(shown)


def dataset_hash(run_dir: Path) -> str:
    """Return the SHA-256 over names and contents of a run's pairs, in order of the names."""
    digest = hashlib.sha256()
    for folder in (PAIRS_FOLDER, VALIDATION_FOLDER):
        for path in sorted((run_dir / folder).glob("*")):
            content = path.read_bytes()
            digest.update(f"{folder}/{path.name}:{len(content)};".encode())
            digest.update(content)
    return digest.hexdigest()


def _training_pixel_size(
    pairs: Sequence[Pair], settings: RunSettings, card: ModelCard | None
) -> float | None:
    """Decide the pixel size in pm, None where no frame has one."""
    sizes = [p.frame.calibration.mean_pm for p in pairs]
    known = [s for s in sizes if s is not None]
    if not known:
        if isinstance(settings.stream, SimulationSettings):
            raise UserError(
                "The labelled frames have no pixel size, so simulated ones cannot be brought to "
                "their scale: give them one."
            )
        return None
    if len(known) < len(sizes):
        lacking = [p.name for p, s in zip(pairs, sizes, strict=True) if s is None]
        shown = ", ".join(lacking[:4]) + (" and others" if len(lacking) > 4 else "")
        raise UserError(
            f"{len(lacking)} of {len(sizes)} frames have no pixel size ({shown}): give them one, "
            "or leave them out, so that all can be brought to the same scale."
        )
    wanted = settings.pixel_size_pm or (card.pixel_size_pm if card is not None else None)
    size = wanted or float(np.median(known))
    far = [p.name for p, s in zip(pairs, known, strict=True) if _far(s, size)]
    stream = settings.stream
    if isinstance(stream, SimulationSettings) and _far(stream.pixel_size_pm, size):
        far.append("the simulated frames")
    if far:
        raise UserError(
            f"The pixel size of {far[0]} is more than {LARGEST_RATIO:g} times smaller or larger "
            f"than the {size:.3g} pm to train at: check it, or leave the frame out."
        )
    return size


def _far(size_pm: float, target_pm: float) -> bool:
    return not 1 / LARGEST_RATIO < size_pm / target_pm < LARGEST_RATIO


def at_pixel_size(pair: Pair, size_pm: float | None) -> tuple[Pair, float]:
    """Resample a pair to square pixels of `size_pm`; nothing happens within 2 %.

    Returns
    -------
    pair : Pair
    scale : float
        New pixels per old pixel, the mean of both axes.
    """
    x_pm, y_pm = pair.frame.calibration.x_pm, pair.frame.calibration.y_pm
    if size_pm is None or x_pm is None or y_pm is None:
        return pair, 1.0
    scale = (y_pm / size_pm, x_pm / size_pm)
    if all(abs(np.log(s)) <= SAME_SIZE for s in scale):
        return pair, 1.0
    frame = resample_frame(pair.frame, scale)
    factor = np.array([frame.shape[1] / pair.frame.shape[1], frame.shape[0] / pair.frame.shape[0]])
    atoms = pair.atoms.copy()
    # Pixels are areas: the first one's left edge, at -1/2, stays where it is.
    atoms[["x_px", "y_px"]] = (positions(atoms) + 0.5) * factor - 0.5
    regions = tuple(
        r.model_copy(
            update={
                "polygon": tuple(
                    map(tuple, ((np.asarray(r.polygon) + 0.5) * factor - 0.5).tolist())
                )
            }
        )
        for r in pair.regions
    )
    atoms = with_calibration(atoms, frame.calibration)
    return replace(pair, frame=frame, atoms=atoms, regions=regions), float(np.sqrt(factor.prod()))


def _unique(pairs: Sequence[Pair]) -> list[Pair]:
    """Give pairs that share a name (also without regard to case) a number each."""
    seen: dict[str, int] = {}
    out = []
    for pair in pairs:
        key = pair.name.casefold()
        seen[key] = seen.get(key, 0) + 1
        out.append(pair if seen[key] == 1 else replace(pair, name=f"{pair.name}~{seen[key]}"))
    return out


def _count_atoms(pairs: Sequence[Pair], elements: Sequence[Element]) -> dict[str, int]:
    """Count labelled atoms inside complete regions by element; absent where there are none."""
    counts: dict[str, int] = {}
    names = {e.name for e in elements}
    for pair in pairs:
        inside = atoms_in(positions(pair.atoms), learn_mask(pair.regions, pair.frame.shape))
        for name in pair.atoms["element"].to_numpy()[inside]:
            if name in names:
                counts[name] = counts.get(name, 0) + 1
    return counts


def _labelled_elements(
    pairs: Sequence[Pair], elements: Sequence[Element], simulated: set[str], notes: list[str]
) -> list[Element]:
    """Return the elements with a labelled atom inside a complete region, or on simulated frames."""
    if pairs and not any(learn_mask(p.regions, p.frame.shape).any() for p in pairs):
        raise UserError(
            "No region is marked as complete, so nothing says where the background is: mark one "
            "in which every atom is labelled."
        )
    counts = _count_atoms(pairs, elements)
    if pairs and not counts:
        raise UserError(
            "No labelled atom lies inside a complete region: label atoms there, or mark the region "
            "around those you have."
        )
    learned = simulated.union(counts)
    unused = [e.name for e in elements if e.name not in learned]
    if unused:
        notes.append(
            f"{', '.join(unused)}: no atom is labelled inside a complete region, so the model does "
            "not learn it."
        )
    return [e for e in elements if e.name in learned]


def _radii(
    pairs: Sequence[Pair],
    elements: Sequence[Element],
    pixel_size: float | None,
    card: ModelCard | None,
) -> dict[str, float]:
    """Radius of each element's discs in px: the user's, the earlier model's, or by the spacing."""
    with_neighbours = [p for p in pairs if len(p.atoms) > 1]
    spacing = [default_radius_px(p.atoms) for p in with_neighbours] or [3.0]
    count = [len(p.atoms) for p in with_neighbours] or [1]
    usual = float(np.average(spacing, weights=count))
    # A model that knows atoms by their contrast has seen discs of all sizes.
    if card is not None and card.by_contrast:
        card = None
    if card is not None:
        usual = float(np.mean(list(card.radius_px.values())))
    radii = {}
    for element in elements:
        if element.radius_pm is not None and pixel_size is not None:
            radii[element.name] = float(np.clip(element.radius_pm / pixel_size, 1.0, 40.0))
        elif card is not None and element.name in card.radius_px:
            radii[element.name] = card.radius_px[element.name]
        else:
            radii[element.name] = usual
    return radii


def _records(
    pairs: Sequence[Pair], scales: Sequence[float], elements: Sequence[Element]
) -> tuple[PairRecord, ...]:
    return tuple(
        PairRecord(
            name=p.name,
            source=p.source,
            origin=p.origin,
            shape=p.frame.shape,
            atoms=sum(_count_atoms([p], elements).values()),
            scale=s,
        )
        for p, s in zip(pairs, scales, strict=False)
    )
