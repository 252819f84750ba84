"""The cases of ``apgan bench precision``: what is imaged, how noisy, and how it is labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_apgan.elements import Element, make_elements
from napari_apgan.errors import UserError
from napari_apgan.simulate import EXAMPLES
from napari_apgan.simulate.imaging import Engine
from napari_apgan.simulate.pairs import SimulatedPair, record_pair
from napari_apgan.simulate.settings import SimulationSettings, changed

from .cache import cached_ideal
from .labels import Faults, spoil
from .probes import AMPLITUDES_PM, ProbeFrame, load_probes

Split = Literal["training", "validation", "test"]
SPLITS: tuple[Split, ...] = ("training", "validation", "test")
#: Numbers of the frames of each split begin here; so do those of the pseudo-experimental frames and
#: of the probes. No structure, view or noise is shared between them.
FIRST: dict[str, int] = {
    "training": 0,
    "validation": 100_000,
    "test": 200_000,
    "pseudo": 300_000,
    "probes": 400_000,
}

#: Every third test frame of the multilayer is not polarized, from this one on.
UNPOLARIZED_EVERY, UNPOLARIZED_FIRST = 3, 1

#: Labels as hands and peak finders set them.
IMPERFECT = Faults(jitter_pm=20.0, missing=0.02, wrong=0.01)
#: Chen et al. 2023 label their experimental frames by the traditional way, whose error they give as
#: 21.54 pm in the mean: 17.2 pm along each axis.
TRADITIONAL = Faults(jitter_pm=17.2, missing=0.02, wrong=0.01)


@dataclass(frozen=True, slots=True)
class Case:
    """What methods are trained and tested on.

    Parameters
    ----------
    name, title : str
    elements : tuple of str
    polarity : {"bright", "dark"}
        How atoms appear.
    tolerance_px : float
        An atom found farther from the truth is another one: about half the shortest distance.
    settings : SimulationSettings
        Lens, noise and view; the structure is drawn for each frame.
    pairs : int
        Pairs to learn from, those for validation among them (:meth:`split`).
    map_radius_px : float, optional
        Radius of the discs; None: as users get it, a quarter of the spacing.
    faults : Faults, optional
        Of the labels of the training pairs.
    pseudo_experimental : int
        So many of the training pairs are pseudo-experimental: another lens, camera and background,
        labelled with the error of traditional labelling.
    """

    name: str
    title: str
    elements: tuple[str, ...]
    polarity: Literal["bright", "dark"]
    tolerance_px: float
    settings: SimulationSettings
    pairs: int
    map_radius_px: float | None = None
    faults: Faults | None = None
    pseudo_experimental: int = 0

    def split(self) -> tuple[int, int]:
        """Return how many pairs train and how many validate: 52 and 8 of 60, 8 and 2 of 10."""
        validation = max(2, round(0.13 * self.pairs))
        return self.pairs - validation, validation

    @property
    def engine(self) -> Engine:
        """What its frames are imaged with."""
        return self.settings.imaging.engine


@dataclass(frozen=True, slots=True)
class CaseData:
    """The frames of a case.

    Parameters
    ----------
    case : Case
    train, validation, test : list of SimulatedPair
        The labels of `train` may be faulty; its `undisplaced` then belongs to other rows.
    probes : dict
        By gain, see :func:`.probes.load_probes`.
    """

    case: Case
    train: list[SimulatedPair]
    validation: list[SimulatedPair]
    test: list[SimulatedPair]
    probes: dict[str, list[ProbeFrame]]


def elements_of(case: Case) -> list[Element]:
    """Return the output channels of a case."""
    radius = case.map_radius_px
    size_pm = case.settings.pixel_size_pm
    return [
        e.model_copy(
            update={
                "polarity": case.polarity,
                "radius_pm": None if radius is None else radius * size_pm,
            }
        )
        for e in make_elements(case.elements)
    ]


def _graphene(**degradation: Any) -> SimulationSettings:
    """Return multislice graphene as in Chen et al. 2023, with some noise.

    80 kV, Cs -20 µm, C1 +10 nm (abTEM's defocus of -100 Å), a focal spread of 30 Å as abTEM counts
    it, 40 mrad, resting atoms.
    """
    return changed(
        EXAMPLES["graphene"],
        {
            "imaging": {"engine": "abtem", "phonons": 0},
            "view": {"strain_percent": 3.0},
            "degradation": {"snr": None} | degradation,
            "variety": 0.0,
        },
    )


def _multilayer(**degradation: Any) -> SimulationSettings:
    """Return PbTiO3/SrTiO3: a wedge, tilted, with row jitter and the tails of a chromatic probe.

    At this SNR the positions of Ti scatter by about what Chen et al. 2023 found between their full
    frames and those with 30 % of the pixels kept (7 pm).
    """
    return changed(
        EXAMPLES["pto-sto"],
        {
            "structure": {"wedge_deg": 2.0},
            "view": {"strain_percent": 1.0, "tilt_mrad": 1.0},
            "imaging": {"focal_spread_nm": 4.0},
            "degradation": {"snr": 8.0, "jitter_pm": 3.0} | degradation,
        },
    )


def _graphene_case(name: str, words: str, *, pairs: int = 60, **more: Any) -> Case:
    noise = {k: more.pop(k) for k in ("snr", "dose", "loss", "lost_fraction") if k in more}
    title = f"graphene, {words}, {pairs} pairs"
    return Case(name, title, ("C",), "bright", 3.0, _graphene(**noise), pairs, **more)


def _multilayer_case(pairs: int, *, kept: bool) -> Case:
    noise: dict[str, Any] = {"loss": "random", "lost_fraction": 0.7} if kept else {}
    words = "30 % of the pixels kept" if kept else "all pixels"
    return Case(
        f"pto-sto-{pairs}" + "-kept30" * kept,
        f"PbTiO3/SrTiO3, HAADF, {words}, {pairs} pairs",
        ("Pb", "Sr", "Ti"),
        "bright",
        4.0,
        _multilayer(**noise),
        pairs,
    )


_LIST = (
    _graphene_case("graphene-2.35", "SNR 2.35", snr=2.35),
    _graphene_case("graphene-1.38", "SNR 1.38", snr=1.38),
    _graphene_case("graphene-0.22", "SNR 0.22", snr=0.22),
    _graphene_case("graphene-zeroed", "SNR 2.35, 30 % zeroed", snr=2.35, loss="random"),
    # One electron on each pixel of (0.23 Å)².
    _graphene_case("graphene-1e", "1 electron a pixel", dose=1.0 / 0.23**2),
    _graphene_case("graphene-10", "SNR 2.35", pairs=10, snr=2.35),
    _graphene_case(
        "graphene-imperfect",
        "SNR 2.35, labels with 20 pm jitter, 2 % missing, 1 % wrong",
        snr=2.35,
        faults=IMPERFECT,
    ),
    _graphene_case(
        "graphene-mixed",
        "SNR 2.35, 30 of them pseudo-experimental",
        snr=2.35,
        pseudo_experimental=30,
    ),
    *(_multilayer_case(pairs, kept=kept) for kept in (False, True) for pairs in (30, 20, 10)),
)
#: Every case by name.
CASES: dict[str, Case] = {case.name: case for case in _LIST}


def find_case(name: str) -> Case:
    """Return a case; `UserError` when there is none of the name."""
    if name not in CASES:
        raise UserError(f"There is no case called {name!r}: choose from {', '.join(CASES)}.")
    return CASES[name]


def adapted(
    case: Case, *, engine: Engine | None = None, shape: tuple[int, int] | None = None
) -> Case:
    """Return a case imaged by another engine or on other frames, which its title then says."""
    changes: dict[str, Any] = {}
    title = case.title
    if engine is not None and case.settings.imaging.mode == "hrtem" and engine != case.engine:
        changes["imaging"] = {"engine": engine}
        title += f", engine {engine}"
    if shape is not None and shape != case.settings.shape:
        changes["shape"] = shape
        title += f", {shape[0]}x{shape[1]} px"
    return replace(case, title=title, settings=changed(case.settings, changes))


def is_unpolarized(made: SimulatedPair) -> bool:
    """Tell whether a frame of the multilayer has unpolarized interfaces."""
    structure = made.record["settings"]["structure"]
    return bool(structure["kind"] == "multilayer" and structure["polar"] == "none")


def load_case(
    case: Case,
    *,
    cache: Path,
    n_train: int | None = None,
    n_validation: int | None = None,
    n_test: int = 10,
    seed: int = 0,
    n_probes: int = 2,
    amplitudes_pm: Sequence[float] = AMPLITUDES_PM,
) -> CaseData:
    """Simulate the frames of a case, taking the ideal images from the cache where they are.

    Parameters
    ----------
    case : Case
    cache : Path
        Folder of ideal images, shared by all cases.
    n_train, n_validation : int, optional
        Those of the case when left out.
    n_test : int
    seed : int
        Of the frames, not of the trainings: the same seed gives the same test.
    n_probes : int
        Structures that each gain is probed on; 0: no probes.
    amplitudes_pm : sequence of float
        Of the probes.

    Returns
    -------
    CaseData

    Raises
    ------
    UserError
        When abTEM is wanted and not installed, or the cache cannot be written.
    """
    usual = case.split()
    n_train = usual[0] if n_train is None else n_train
    n_validation = usual[1] if n_validation is None else n_validation
    train = [_training_pair(case, cache, seed, k, n_train) for k in range(n_train)]
    validation = [_frame(case, cache, seed, "validation", k) for k in range(n_validation)]
    test = [_frame(case, cache, seed, "test", k) for k in range(n_test)]
    probes: dict[str, list[ProbeFrame]] = {}
    if n_probes:
        probes = load_probes(
            probe_settings(case),
            cache,
            seed=seed,
            first=FIRST["probes"],
            frames=n_probes,
            amplitudes_pm=amplitudes_pm,
        )
    return CaseData(case, train, validation, test, probes)


def _training_pair(case: Case, cache: Path, seed: int, k: int, n_train: int) -> SimulatedPair:
    # So many as the case has among all its pairs, all of them at the end of the training pairs.
    pseudo = k >= n_train - round(case.pseudo_experimental / max(case.split()[0], 1) * n_train)
    if pseudo:
        settings, number = pseudo_settings(case, seed, k), FIRST["pseudo"] + k
        made = record_pair(cached_ideal(settings, seed, number, cache), settings, seed, number)
    else:
        made, number = _frame(case, cache, seed, "training", k), FIRST["training"] + k
    faults = TRADITIONAL if pseudo else case.faults
    if faults is None:
        return made
    rng = np.random.default_rng([seed, number, 2])
    return replace(made, pair=spoil(made.pair, faults, rng))


def _frame(case: Case, cache: Path, seed: int, split: Split, k: int) -> SimulatedPair:
    settings, number = frame_settings(case, seed, split, k), FIRST[split] + k
    return record_pair(cached_ideal(settings, seed, number, cache), settings, seed, number)


def frame_settings(case: Case, seed: int, split: Split, k: int) -> SimulationSettings:
    """Return the settings of frame `k` of a split, its structure drawn."""
    rng = np.random.default_rng([seed, FIRST[split] + k, 3])
    if case.settings.structure.kind == "graphene":
        structure = _draw_graphene(split, rng)
    else:
        structure = _draw_multilayer(split, k, rng)
    return changed(case.settings, {"structure": structure})


def _draw_graphene(split: Split, rng: np.random.Generator) -> dict[str, Any]:
    """Draw the defects of a sheet; no tilt angle of one split occurs in another."""
    lines = ("tilt", "tilt", "5-8-5", "none")[int(rng.integers(4))]
    tilt = 3.0 * float(rng.integers(2, 10)) + SPLITS.index(split) + float(rng.uniform(0.05, 0.95))
    return {
        "lines": lines,
        "tilt_deg": tilt,
        "bend_nm": float(rng.uniform(0.1, 0.6)),
        "vacancy_percent": float(rng.uniform(0.5, 2.0)),
        "holes": int(rng.integers(3)),
        "hole_radius_nm": float(rng.uniform(0.4, 0.9)),
    }


def _draw_multilayer(split: Split, k: int, rng: np.random.Generator) -> dict[str, Any]:
    """Draw the polarization of a multilayer; layers draw their own heights.

    Vortices and unpolarized layers occur only in the test.
    """
    patterns = ("flux_closure", "vortex") if split == "test" else ("flux_closure", "walls")
    polar = patterns[int(rng.integers(2))]
    if split == "test" and k % UNPOLARIZED_EVERY == UNPOLARIZED_FIRST:
        polar = "none"
    return {"polar": polar, "thickness_nm": float(rng.uniform(15.0, 25.0))}


def pseudo_settings(case: Case, seed: int, k: int) -> SimulationSettings:
    """Return the settings of a pseudo-experimental frame of graphene.

    It differs from the simulated ones as the experiment of Chen et al. 2023 did, whose astigmatism
    was not corrected: other foci, a blurring camera with readout noise, an uneven background and
    some dirt.
    """
    rng = np.random.default_rng([seed, FIRST["pseudo"] + k, 3])
    return changed(
        case.settings,
        {
            "structure": _draw_graphene("training", rng),
            "imaging": {
                "aberrations": {
                    "c1_nm": float(rng.uniform(8.0, 12.0)),
                    "a1_nm": float(rng.uniform(1.0, 3.0)),
                    "a1_deg": float(rng.uniform(0.0, 180.0)),
                },
                "focal_spread_nm": 2.6,
            },
            "degradation": {
                "mtf": 0.4,
                "readout": 1.0,
                "background": 0.5,
                "contamination": 0.05,
            },
            "variety": 0.1,
        },
    )


def probe_settings(case: Case) -> SimulationSettings:
    """Return the settings of the probes: no defects, every column at its site."""
    structure: dict[str, Any] = {"displacement_pm": 0.0}
    if case.settings.structure.kind == "graphene":
        structure |= {"lines": "none", "holes": 0, "vacancy_percent": 0.0}
    else:
        structure |= {"polar": "none"}
    return changed(case.settings, {"structure": structure})
