"""What is asked of `fast`, and what the results say about it: reached or not, better or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_apgan.bench.training import table

from .methods.method import MAP, OFFERED, READ
from .report import NOTHING, mean_and_spread, title_of
from .rows import Columns
from .run import Outcome
from .tasks import Result

OURS = "fast"
#: Learned methods that it is held against.
RIVALS = ("paper", "fcn1", "fcn2", "atomai")


@dataclass(frozen=True, slots=True)
class Ask:
    """One line of what is asked.

    Parameters
    ----------
    case : str
    label : str
        Kind of positions.
    words : str
        What is asked, without the limit.
    limit : float
    least : bool
        Whether the limit is the smallest value allowed; otherwise the largest.
    read : callable
        Reads the value from a row; None where it was not measured.
    than : str
        Case whose value on the same seed it is divided by; none when empty.
    digits : int
        After the point.
    """

    case: str
    label: str
    words: str
    limit: float
    least: bool
    read: Callable[[Columns], float | None]
    than: str = ""
    digits: int = 3

    def value(self, result: Result, results: Sequence[Result]) -> float | None:
        """Return the value of a result, over that of the other case where one is named."""
        value = self._best(result)
        if not self.than or value is None:
            return value
        task = result.task
        for other in results:
            same = (other.task.method, other.task.seed) == (task.method, task.seed)
            if other.task.case == self.than and same:
                base = self._best(other)
                return None if not base else value / base
        return None

    def _best(self, result: Result) -> float | None:
        """Return the value of the positions asked for; of a map that was read twice, the better."""
        labels = (MAP, READ) if self.label == MAP else (self.label,)
        values = [self.read(result.rows[name]) for name in labels if name in result.rows]
        known = [v for v in values if v is not None]
        if not known:
            return None
        return max(known) if self.least else min(known)

    def meets(self, value: float) -> bool:
        """Say whether a value is within the limit."""
        return value >= self.limit if self.least else value <= self.limit


def worst_gain(row: Columns) -> float | None:
    """Return the largest departure of a gain from 1, of the five kinds."""
    values = [abs(g.value - 1.0) for g in row.gains.values() if g.value is not None]
    return max(values, default=None)


def miscounted(row: Columns) -> float | None:
    """Return how far the coverage of the error bars is from 68.3 %, in percent."""
    share = row.errors.coverage
    return None if share is None else 100 * abs(share - 0.683)


def worst_row(row: Columns) -> float | None:
    """Return the largest bias beside an unpolarized interface, in pm."""
    return max((abs(b.value) for b in row.interface.values()), default=None)


def worst_element(row: Columns) -> float | None:
    """Return the smallest F1 of an element."""
    return min((e.f1 for e in row.elements.values() if e.f1 is not None), default=None)


def _percent_filled(row: Columns) -> float | None:
    return None if row.filled is None else 100 * row.filled


def _over_bayesian(row: Columns) -> float | None:
    return row.errors.over_bayesian


def _over_cramer_rao(row: Columns) -> float | None:
    return row.errors.over_cramer_rao


def _graphene() -> list[Ask]:
    asks = []
    for case, f1 in (
        ("graphene-2.35", 0.998),
        ("graphene-1.38", 0.995),
        ("graphene-zeroed", 0.995),
    ):
        asks += [
            Ask(case, MAP, "error / Bayesian", 1.10, False, _over_bayesian),
            Ask(case, MAP, "F1", f1, True, lambda c: c.f1, digits=4),
            Ask(case, MAP, "vacancies filled (%)", 3.0, False, _percent_filled, digits=1),
            Ask(case, OFFERED, "error / Cramér-Rao", 1.08, False, _over_cramer_rao),
            Ask(case, OFFERED, "|gain - 1|, worst kind", 0.03, False, worst_gain),
            Ask(case, OFFERED, "|coverage - 68.3 %| (%)", 4.0, False, miscounted, digits=1),
        ]  # fmt: skip
    case = "graphene-0.22"
    return [
        *asks,
        Ask(case, MAP, "error / Bayesian", 1.12, False, _over_bayesian),
        Ask(case, MAP, "F1 of atoms with missing neighbours", 0.95, True, lambda c: c.f1_lacking),
        Ask(case, MAP, "vacancies filled (%)", 20.0, False, _percent_filled, digits=1),
        Ask(
            "graphene-10", MAP, "error / that of 60 pairs", 1.10, False,
            lambda c: c.errors.mean_pm, than="graphene-2.35",
        ),
    ]  # fmt: skip


def _multilayer() -> list[Ask]:
    asks = []
    for case, f1, ratio in (("pto-sto-30", 0.99, 1.15), ("pto-sto-30-kept30", 0.97, 1.3)):
        asks += [
            Ask(case, MAP, "F1, worst element", f1, True, worst_element, digits=4),
            Ask(case, OFFERED, "error / Cramér-Rao", ratio, False, _over_cramer_rao),
            Ask(case, OFFERED, "|gain - 1|, worst kind", 0.03, False, worst_gain),
            Ask(case, OFFERED, "|bias| of Ti, worst row (pm)", 1.0, False, worst_row, digits=2),
        ]  # fmt: skip
    return asks


#: Everything that is asked.
ASKS: tuple[Ask, ...] = (*_graphene(), *_multilayer())


def reach_table(outcomes: Sequence[Outcome]) -> str:
    """Return a line for everything that is asked and was measured; empty where nothing was."""
    results = [o for o in outcomes if isinstance(o, Result)]
    rows = [row for ask in ASKS if (row := _row(ask, results))]
    heads = ["asked of `fast`", "positions", "figure", "limit", "measured", "reached by"]
    return table([*heads, "others", "better than all"], rows) if rows else ""


def _row(ask: Ask, results: Sequence[Result]) -> list[str] | None:
    groups: dict[str, list[float]] = {}
    for result in results:
        if result.task.case == ask.case and result.task.method in (OURS, *RIVALS):
            value = ask.value(result, results)
            if value is not None:
                groups.setdefault(title_of(result), []).append(value)
    ours = {name: values for name, values in groups.items() if name.startswith(f"`{OURS}`")}
    if not ours:
        return None
    # Of several budgets or starts the best one stands for it.
    name = min(ours, key=lambda n: _worse(ask, ours[n]))
    values, rivals = ours[name], {k: v for k, v in groups.items() if k not in ours}
    others = "; ".join(f"{k} {mean_and_spread(v, ask.digits)}" for k, v in rivals.items())
    better = all(_beyond_spread(ask, values, theirs) for theirs in rivals.values())
    return [
        f"{ask.case}, {name}",
        ask.label,
        ask.words,
        f"{'≥' if ask.least else '≤'} {ask.limit:g}",
        mean_and_spread(values, ask.digits),
        f"{sum(map(ask.meets, values))} of {len(values)}",
        others or NOTHING,
        ("yes" if better else "no") if rivals else NOTHING,
    ]


def _worse(ask: Ask, values: Sequence[float]) -> float:
    """Return the mean, turned so that more is worse."""
    mean = float(np.mean(values))
    return -mean if ask.least else mean


def _beyond_spread(ask: Ask, ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Say whether ours is better by more than the seeds of both scatter."""
    variance = sum(float(np.var(v, ddof=1)) for v in (ours, theirs) if len(v) > 1)
    return _worse(ask, theirs) - _worse(ask, ours) > float(np.sqrt(variance))
