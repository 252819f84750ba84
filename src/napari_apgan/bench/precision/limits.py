"""How well the atoms of a simulated frame can be found at all: its bounds, with its own noise."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.measure import bayesian_pm, cramer_rao_pm, learn_kernel, mean_radial_pm
from napari_apgan.settings import write_atomically
from napari_apgan.simulate.pairs import SimulatedPair

Floats = NDArray[np.float64]

#: Raised when the bounds are computed in another way, so that kept ones are computed again.
VERSION = 2
#: Groups of pixels, by brightness, whose noise is measured.
NOISE_GROUPS = 12


@dataclass(frozen=True, slots=True)
class Limits:
    """Smallest mean radial errors (pm), one for each true atom; NaN where there is no bound.

    Parameters
    ----------
    cramer_rao_pm : (N,) array
        Of positions without bias (Cramér-Rao).
    bayesian_pm : (N,) array
        Of positions that also use how far atoms are displaced on average.
    """

    cramer_rao_pm: Floats
    bayesian_pm: Floats

    @staticmethod
    def unknown(n: int) -> Limits:
        """Return limits of `n` atoms that nothing is known about."""
        return Limits(np.full(n, np.nan), np.full(n, np.nan))


def noise_of(pair: SimulatedPair) -> Floats:
    """Return the (Y, X) standard deviation of a simulated frame's noise.

    Measured on the frame itself, whose noise-free image is known: the variance is a line in the
    expected brightness, which holds for counting, for readout and for both.
    """
    expected = pair.expected.astype(np.float64)
    frame = pair.pair.frame
    level = expected[frame.valid]
    squared = np.square(frame.data.astype(np.float64)[frame.valid] - level)
    # The mean of groups of like brightness: a line through single squares would be noise itself.
    groups = np.array_split(np.argsort(level, kind="stable"), NOISE_GROUPS)
    x, y = (np.array([values[g].mean() for g in groups]) for values in (level, squared))
    slope, offset = 0.0, float(y.mean())
    if np.ptp(x) > 1e-9 * max(abs(float(x.mean())), 1e-9):
        slope, offset = np.polyfit(x, y, 1, w=1 / np.maximum(y, 1e-12 + 1e-3 * y.max()))
    floor = 0.1 * float(squared.mean()) + 1e-30
    return np.sqrt(np.maximum(offset + slope * expected, floor))


def frame_limits(
    pair: SimulatedPair, polarity: Mapping[str, Polarity], *, prior_pm: float
) -> Limits:
    """Return the limits of a simulated frame, with the kernel that its noise-free image shows.

    Parameters
    ----------
    pair : SimulatedPair
    polarity : mapping
        Whether the atoms of an element are bright or dark.
    prior_pm : float
        Standard deviation of the displacements along one axis.
    """
    atoms, noisy = pair.pair.atoms, pair.pair.frame
    ideal = Frame(pair.expected, np.ones_like(noisy.valid), noisy.calibration)
    try:
        # Atoms beyond the border come after those of the frame; they are neighbours, too.
        kernel, table = learn_kernel(ideal, atoms, polarity=polarity)
    except UserError:
        return Limits.unknown(len(atoms))
    noise = noise_of(pair)
    axes = cramer_rao_pm(noisy, table, noise=noise, kernel=kernel)
    known = bayesian_pm(noisy, table, noise=noise, kernel=kernel, prior_pm=prior_pm)
    return Limits(*(_mean(both[: len(atoms)]) for both in (axes, known)))


def _mean(axes_pm: Floats) -> Floats:
    """Return the bound of the mean radial error; NaN where no pixel tells anything."""
    mean = mean_radial_pm(axes_pm)
    mean[~np.isfinite(mean)] = np.nan
    return mean


def write_limits(path: Path, limits: Sequence[Limits]) -> None:
    """Keep the limits of some frames."""
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        allow_pickle=False,
        version=np.array(VERSION),
        sizes=np.array([len(each.cramer_rao_pm) for each in limits], dtype=np.int64),
        cramer_rao_pm=np.concatenate([each.cramer_rao_pm for each in limits]),
        bayesian_pm=np.concatenate([each.bayesian_pm for each in limits]),
    )
    write_atomically(path, stream.getvalue())


def read_limits(path: Path, sizes: Sequence[int]) -> list[Limits] | None:
    """Return kept limits of frames with so many atoms; None where there are none of this kind."""
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        if int(arrays["version"]) != VERSION or arrays["sizes"].tolist() != list(sizes):
            return None
        cuts = np.cumsum(sizes)[:-1]
        both = (np.split(arrays[name], cuts) for name in ("cramer_rao_pm", "bayesian_pm"))
        return [Limits(*pair) for pair in zip(*both, strict=True)]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
