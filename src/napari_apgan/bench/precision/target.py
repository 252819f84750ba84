"""How long a network trains until it meets the first line of what is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from napari_apgan.bench.training import table

from .methods.by_name import recipe_of
from .methods.method import MAP
from .report import NOTHING, mean_and_spread
from .rows import Columns
from .run import Loader, Maker, Missing, Outcome, run_tasks
from .tasks import Budget, Numbers, Redo, Result, Task

#: Budgets tried one after another, in seconds.
BUDGETS_S = (30, 60, 120, 300)
#: Where the training begins.
STARTS = ("scratch", "bundled")
CASE = "graphene-2.35"


class Goal(BaseModel):
    """What counts as met, for positions read from the map.

    Parameters
    ----------
    over_bayesian : float
        Largest error over the frames' Bayesian bound.
    f1 : float
        Smallest F1.
    filled : float
        Largest part of the vacancies filled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    over_bayesian: float = 1.10
    f1: float = 0.998
    filled: float = 0.03

    def met(self, row: Columns) -> bool:
        """Say whether a row meets it; what was not measured is not met."""
        ratio, f1, filled = row.errors.over_bayesian, row.f1, row.filled
        if ratio is None or f1 is None or filled is None:
            return False
        return ratio <= self.over_bayesian and f1 >= self.f1 and filled <= self.filled


def to_target(
    work: Path,
    *,
    make: Maker,
    load: Loader,
    seeds: Sequence[int],
    numbers: Numbers,
    method: str = "fast",
    starts: Sequence[str] = STARTS,
    budgets_s: Sequence[float] = BUDGETS_S,
    threads: int | None = None,
    goal: Goal | None = None,
    redo: Redo = "nothing",
    results: Path | None = None,
) -> list[Outcome]:
    """Train with one budget after another until the goal is met, for each start and seed.

    Every budget is a training of its own, as a user would choose it: its schedule ends with it, so
    a longer training is not a shorter one continued.

    Returns
    -------
    list of Result or Missing
        By start, then seed, then budget; those that were tried.
    """
    goal = goal or Goal()
    out: list[Outcome] = []
    for start in starts:
        for seed in seeds:
            for seconds in budgets_s:
                budget = Budget(minutes=seconds / 60, init=start, threads=threads)
                task = Task(
                    case=CASE,
                    method=method,
                    seed=seed,
                    numbers=numbers,
                    budget=budget,
                    recipe=recipe_of(method),
                )
                (outcome,) = run_tasks(
                    [task], work, make=make, load=load, redo=redo, results=results
                )
                out.append(outcome)
                if isinstance(outcome, Missing) or goal.met(outcome.rows[MAP]):
                    break
    return out


def target_report(outcomes: Sequence[Outcome], goal: Goal | None = None) -> str:
    """Return the table of budgets, and when each start met the goal."""
    goal = goal or Goal()
    rows, sentences = [], []
    for start in dict.fromkeys(o.task.budget.init for o in outcomes):
        ours = [o for o in outcomes if o.task.budget.init == start]
        results = [o for o in ours if isinstance(o, Result)]
        for minutes in sorted({r.task.budget.minutes or 0.0 for r in results}):
            rows.append(_row([r for r in results if r.task.budget.minutes == minutes], goal))
        sentences.append(_sentence(start, ours, goal))
    heads = ["start", "budget (s)", "training (s)", "seeds", "error / Bayesian", "F1"]
    heads += ["vacancies filled (%)", "met by"]
    asked = (
        f"Asked: error ≤ {goal.over_bayesian:g} × the Bayesian bound, F1 ≥ {goal.f1:g}, at most "
        f"{100 * goal.filled:g} % of the vacancies filled; positions of the map."
    )
    found = "\n".join(f"* {s}" for s in sentences)
    return "\n\n".join([table(heads, rows), asked, found]) if rows else found


def _row(results: Sequence[Result], goal: Goal) -> list[str]:
    """Return the line of one start and budget, over the seeds that were tried."""
    columns = [r.rows[MAP] for r in results]
    budget = results[0].task.budget

    def text(values: Sequence[float | None], digits: int) -> str:
        return mean_and_spread([v for v in values if v is not None], digits)

    return [
        budget.init,
        f"{60 * (budget.minutes or 0):g}",
        text([r.about.train_s for r in results], 0),
        str(len(results)),
        text([c.errors.over_bayesian for c in columns], 3),
        text([c.f1 for c in columns], 4),
        text([None if c.filled is None else 100 * c.filled for c in columns], 1),
        f"{sum(goal.met(c) for c in columns)} of {len(columns)}",
    ]


def _sentence(start: str, outcomes: Sequence[Outcome], goal: Goal) -> str:
    """Say when every seed had met the goal from one start."""
    reasons = [o.reason for o in outcomes if isinstance(o, Missing)]
    if reasons:
        return f"From {start}: {reasons[0]}"
    seeds = {o.task.seed for o in outcomes}
    met = {
        o.task.seed: f"{60 * (o.task.budget.minutes or 0):g}"
        for o in outcomes
        if isinstance(o, Result) and goal.met(o.rows[MAP])
    }
    times = ", ".join(met[s] for s in sorted(met)) or NOTHING
    if met.keys() == seeds:
        return f"From {start}: met within {times} s (one figure for each seed)."
    return f"From {start}: met by {len(met)} of {len(seeds)} seeds ({times} s)."
