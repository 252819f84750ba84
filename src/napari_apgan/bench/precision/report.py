"""Results as Markdown tables, in docs/benchmarks.md between two markers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from napari_apgan.bench.training import table
from napari_apgan.errors import UserError
from napari_apgan.io.tables import save_file

from .interfaces import ROWS
from .methods.by_name import TITLES
from .rows import Columns, Errors
from .run import Missing, Outcome
from .tasks import Budget, Result

BEGIN, END = "<!-- precision: begin -->", "<!-- precision: end -->"
NOTHING = "–"
#: The five gains as heads of columns.
GAIN_HEADS = {
    "single": "single atom",
    "random": "random",
    "uniform": "one sublattice",
    "wall": "180° wall",
    "smooth": "smooth field",
}

Read = Callable[[Columns], float | None]


class Line:
    """One row of the tables: a method and a kind of positions, over its seeds.

    Parameters
    ----------
    results : sequence of Result
        Of the same method and budget, one for each seed.
    label : str
        Kind of positions.
    """

    def __init__(self, results: Sequence[Result], label: str) -> None:
        self.results = results
        self.label = label
        self.columns = [r.rows[label] for r in results]

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{title_of(self.results[0])}, {self.label}"

    def text(self, read: Read, digits: int = 2, *, scale: float = 1.0, sign: bool = False) -> str:
        """Return the mean over the seeds, with their spread where there are several."""
        values = [v for c in self.columns if (v := read(c)) is not None]
        return mean_and_spread([scale * v for v in values], digits, sign=sign)


def mean_and_spread(values: Sequence[float], digits: int, *, sign: bool = False) -> str:
    """Write a mean and, of several, the standard deviation among them."""
    if not values:
        return NOTHING
    mean = f"{np.mean(values):{'+' if sign else ''}.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def title_of(result: Result) -> str:
    """Return the method's name, with where it began and its budget."""
    task = result.task
    more = task.budget.model_copy(update={"threads": None}).words
    name = TITLES.get(task.method, f"`{task.method}`")
    return f"{name} ({more})" if more else name


def lines_of(results: Sequence[Result]) -> list[Line]:
    """Return the rows of one case, in the order of the results."""
    groups: dict[tuple[str, Budget], list[Result]] = {}
    for result in results:
        groups.setdefault((result.task.method, result.task.budget), []).append(result)
    return [
        Line([r for r in group if label in r.rows], label)
        for group in groups.values()
        for label in group[0].rows
    ]


def report(outcomes: Sequence[Outcome]) -> str:
    """Return all tables, case by case, and where they were measured."""
    parts = []
    for _, group in groupby(outcomes, key=lambda o: (o.task.case, o.task.numbers)):
        of_case = list(group)
        results = [o for o in of_case if isinstance(o, Result)]
        if results:
            parts.append(_case(results))
        parts += _missing([o for o in of_case if isinstance(o, Missing)])
    parts.append(machines(outcomes))
    return "\n\n".join(p for p in parts if p)


def _missing(missing: Sequence[Missing]) -> list[str]:
    """Say once for each method why it has no row."""
    seen = {}
    for each in missing:
        name = TITLES.get(each.task.method, f"`{each.task.method}`")
        seen[name] = f"{name}, {each.task.case}: {each.reason}"
    return ["\n".join(f"* {words}" for words in seen.values())] if seen else []


def _case(results: Sequence[Result]) -> str:
    """Return the tables of one case."""
    first, lines = results[0], lines_of(results)
    row = next(iter(first.rows.values()))
    head = (
        f"### {first.title[:1].upper()}{first.title[1:]}\n\n"
        f"{first.n_train} + {first.n_validation} frames to learn from and to validate, "
        f"{row.n_frames} test frames with {row.n_true} atoms, {row.n_lacking} of them with missing "
        f"neighbours, {row.n_near_defects} near defects, {row.n_border} in the border band; "
        f"{row.n_vacancies} vacancies, {row.vacuum_nm2:.3g} nm² of vacuum."
    )
    elements = _elements(lines, list(row.elements)) if len(row.elements) > 1 else ""
    tables = [_finding(lines), elements, _positions(lines), _interface(lines), _bounds(lines)]
    tables += [_gains(lines), _cost(lines)]
    return "\n\n".join(t for t in [head, *tables, *_amplitudes(lines)] if t)


def _finding(lines: Sequence[Line]) -> str:
    heads = ["atoms found", "F1", "missing neighbours, F1", "near defects, F1", "border, F1"]
    heads += ["vacancies filled", "vacancies missed", "false atoms per nm² of vacuum"]
    rows = [
        [
            line.name,
            line.text(lambda c: c.f1, 4),
            line.text(lambda c: c.f1_lacking, 3),
            line.text(lambda c: c.f1_near_defects, 3),
            line.text(lambda c: c.f1_border, 3),
            _percent(line.text(lambda c: c.filled, 1, scale=100)),
            _percent(line.text(lambda c: c.missed, 1, scale=100)),
            line.text(lambda c: c.false_per_nm2, 2),
        ]
        for line in lines
    ]
    return table(heads, rows)


def _elements(lines: Sequence[Line], names: Sequence[str]) -> str:
    heads = ["elements"]
    for name in names:
        heads += [f"{name}, F1", f"{name}, error (pm)", f"{name}, bias x, y (pm)"]
        heads += [f"{name}, / Cramér-Rao"]
    rows = []
    for line in lines:
        cells = [line.name]
        for name in names:

            def error(read: Callable[[Errors], float | None], name: str = name) -> Read:
                return lambda c: read(c.elements[name].errors) if name in c.elements else None

            def f1(c: Columns, name: str = name) -> float | None:
                return c.elements[name].f1 if name in c.elements else None

            x = line.text(error(lambda e: e.bias_x_pm), 1, sign=True)
            y = line.text(error(lambda e: e.bias_y_pm), 1, sign=True)
            cells += [line.text(f1, 4), line.text(error(lambda e: e.mean_pm), 2), f"{x}, {y}"]
            cells.append(line.text(error(lambda e: e.over_cramer_rao), 2))
        rows.append(cells)
    return table(heads, rows)


def _interface(lines: Sequence[Line]) -> str:
    """Return the biases beside unpolarized interfaces, row by row."""
    names = [f"{k:+d}" if k else "0" for k in range(-ROWS, ROWS + 1)]
    rows = []
    for line in lines:
        cells = [line.name]
        for name in names:

            def both(c: Columns, name: str = name) -> tuple[float | None, float | None]:
                bias = c.interface.get(name)
                return (None, None) if bias is None else (bias.value, bias.error)

            cells.append(_with_error(line, both, 2))
        rows.append(cells)
    if all(cell == NOTHING for row in rows for cell in row[1:]):
        return ""
    return table(["bias beside unpolarized interfaces (pm)", *(f"row {n}" for n in names)], rows)


def _positions(lines: Sequence[Line]) -> str:
    heads = ["positions", "error (pm)", "its standard deviation (pm)", "bias x, y (pm)", "skill"]
    heads += ["gain", "within 1 error bar", "within 1.96", "fits failed"]
    heads.append("confidence off by")
    rows = []
    for line in lines:
        x = line.text(lambda c: c.errors.bias_x_pm, 2, sign=True)
        y = line.text(lambda c: c.errors.bias_y_pm, 2, sign=True)
        rows.append(
            [
                line.name,
                line.text(lambda c: c.errors.mean_pm, 2),
                line.text(lambda c: c.errors.std_pm, 2),
                f"{x}, {y}",
                line.text(lambda c: c.errors.skill, 3),
                line.text(lambda c: c.errors.gain, 3),
                _percent(line.text(lambda c: c.errors.coverage, 1, scale=100)),
                _percent(line.text(lambda c: c.errors.coverage_95, 1, scale=100)),
                _percent(line.text(lambda c: c.flagged, 1, scale=100)),
                _percent(line.text(lambda c: c.confidence_error, 2, scale=100)),
            ]
        )
    return table(heads, rows)


def _bounds(lines: Sequence[Line]) -> str:
    heads = ["bounds", "Cramér-Rao (pm)", "error / Cramér-Rao", "of fits that succeeded"]
    heads += ["Bayesian (pm)", "error / Bayesian"]
    rows = [
        [
            line.name,
            line.text(lambda c: c.errors.cramer_rao_pm, 2),
            line.text(lambda c: c.errors.over_cramer_rao, 3),
            line.text(lambda c: None if c.unflagged is None else c.unflagged.over_cramer_rao, 3),
            line.text(lambda c: c.errors.bayesian_pm, 2),
            line.text(lambda c: c.errors.over_bayesian, 3),
        ]
        for line in lines
    ]
    return table(heads, rows)


def _with_error(
    line: Line, values: Callable[[Columns], tuple[float | None, float | None]], digits: int = 3
) -> str:
    """Write a value with the larger of its two uncertainties: among seeds, and among atoms."""
    pairs = [p for c in line.columns if (p := values(c))[0] is not None]
    means = [v for v, _ in pairs if v is not None]
    if not means:
        return NOTHING
    scatter = [e for _, e in pairs if e is not None]
    errors = [float(np.mean(scatter))] if scatter else []
    errors += [float(np.std(means, ddof=1))] if len(means) > 1 else []
    mean = f"{np.mean(means):.{digits}f}"
    return f"{mean} ± {max(errors):.{digits}f}" if errors else mean


def _gains(lines: Sequence[Line]) -> str:
    rows = []
    for line in lines:
        cells = [line.name]
        for kind in GAIN_HEADS:

            def both(c: Columns, kind: str = kind) -> tuple[float | None, float | None]:
                gain = c.gains.get(kind)
                return (None, None) if gain is None else (gain.value, gain.error)

            cells.append(_with_error(line, both))
        rows.append(cells)
    if all(cell == NOTHING for row in rows for cell in row[1:]):
        return ""
    return table(["gains, all amplitudes", *GAIN_HEADS.values()], rows)


def _amplitudes(lines: Sequence[Line]) -> list[str]:
    """Return the gains by amplitude: the five kinds side by side in each cell would not fit."""
    kinds = [k for k in GAIN_HEADS if any(k in c.gains_by_amplitude for c in lines[0].columns)]
    if not kinds:
        return []
    amplitudes = list(lines[0].columns[0].gains_by_amplitude[kinds[0]])
    rows = []
    for line in lines:
        for kind in kinds:
            cells = [line.name, GAIN_HEADS[kind]]
            for a in amplitudes:

                def both(
                    c: Columns, kind: str = kind, a: str = a
                ) -> tuple[float | None, float | None]:
                    gain = c.gains_by_amplitude.get(kind, {}).get(a)
                    return (None, None) if gain is None else (gain.value, gain.error)

                cells.append(_with_error(line, both))
            rows.append(cells)
    return [table(["gains by amplitude", "kind", *(f"{a} pm" for a in amplitudes)], rows)]


def _cost(lines: Sequence[Line]) -> str:
    rows = [
        [
            line.name,
            str(len(line.results)),
            mean_and_spread([r.about.train_s for r in line.results], 0),
            mean_and_spread([r.about.steps for r in line.results if r.about.steps], 0),
            mean_and_spread([1000 * r.predict_s(line.label) for r in line.results], 0),
        ]
        for line in lines
    ]
    return table(["cost", "seeds", "training (s)", "steps", "a test frame (ms)"], rows)


def _percent(text: str) -> str:
    return text if text == NOTHING else f"{text} %"


def machines(outcomes: Sequence[Outcome]) -> str:
    """Say where, when and with which versions; several lines where tasks ran on several days."""
    lines: dict[str, None] = {}
    for result in (o for o in outcomes if isinstance(o, Result)):
        threads = result.task.budget.threads
        words = f", {threads} thread{'s' * (threads != 1)}" if threads else ""
        lines[f"{result.about.machine}{words}."] = None
    return "  \n".join(lines)


def write_between_markers(path: Path, content: str) -> None:
    """Replace what stands between the two markers of a document.

    Raises
    ------
    UserError
        When the document cannot be read or written, or has no such markers in this order.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise UserError(f"{path} has no place for the table: it needs the lines {BEGIN} and {END}.")
    # The first line is indented: it is the command.
    body = content.rstrip().lstrip("\n")
    new = f"{text[: begin + len(BEGIN)]}\n{body}\n{text[end:]}"
    save_file(path, new)
