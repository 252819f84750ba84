"""What a score holds: numbers with intervals, rows, and the table."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Estimate(BaseModel):
    """A number with its standard error and 95 % interval, from a bootstrap over the atoms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    error: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Value and interval, as a table shows them."""
        if self.low is None or self.high is None:
            return f"{self.value:.3g}"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


class Row(BaseModel):
    """The score of one element, of all of them, or of a baseline.

    Parameters
    ----------
    name : str
    n_true, n_pred, n_matched : int
    precision, recall, f1 : Estimate or None
        None where nothing was there to count.
    error_mean_px, error_std_px, rmse_px, error_mean_pm, error_std_pm, rmse_pm : Estimate or None
        Distance (radial) between a predicted atom and its true position, over matched atoms:
        mean, standard deviation, root of the mean square.
    bias_x_px, bias_y_px, bias_x_pm, bias_y_pm : Estimate or None
        Mean of predicted minus true position.
    gain : Estimate or None
        Slope of the estimated against the true displacement from the undisplaced site; 1 is
        right, below 1 shrinks displacements.
    skill : Estimate or None
        1 - (rms error / rms displacement)²; 0 is the answer that ignores the image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    n_true: int
    n_pred: int
    n_matched: int
    precision: Estimate | None = None
    recall: Estimate | None = None
    f1: Estimate | None = None
    error_mean_px: Estimate | None = None
    error_std_px: Estimate | None = None
    rmse_px: Estimate | None = None
    error_mean_pm: Estimate | None = None
    error_std_pm: Estimate | None = None
    rmse_pm: Estimate | None = None
    bias_x_px: Estimate | None = None
    bias_y_px: Estimate | None = None
    bias_x_pm: Estimate | None = None
    bias_y_pm: Estimate | None = None
    gain: Estimate | None = None
    skill: Estimate | None = None


class Score(BaseModel):
    """How well predicted atoms agree with the truth.

    Parameters
    ----------
    tolerance_px : float
        Largest distance of a match.
    pixel_size_pm : float or None
        None when the calibration is not known: then nothing is given in pm.
    elements : list of Row
        One for each element; a match counts only when the elements agree.
    overall : Row
        All atoms; elements must agree.
    location_only : Row
        All atoms, whatever their element.
    no_information : Row or None
        The undisplaced lattice taken as the answer, when it is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance_px: float
    pixel_size_pm: float | None
    elements: list[Row]
    overall: Row
    location_only: Row
    no_information: Row | None = None

    @property
    def rows(self) -> list[Row]:
        """Every row, in the order of the table."""
        tail = [self.overall, self.location_only]
        return [*self.elements, *tail, *([self.no_information] if self.no_information else [])]

    def row(self, name: str) -> Row:
        """Return the row called `name`.

        Raises
        ------
        KeyError
            When there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def table(self) -> str:
        """Return the score as text, one line a row, in pm where the pixel size is known."""
        unit = "pm" if self.pixel_size_pm is not None else "px"
        heads = ["", "true", "pred", "precision", "recall", "F1", f"error ({unit})"]
        heads += [f"RMSE ({unit})", f"bias x, y ({unit})"]
        extended = any(r.gain is not None or r.skill is not None for r in self.rows)
        heads += ["gain", "skill"] if extended else []
        lines = [heads, *(_cells(r, unit, extended) for r in self.rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(heads))]
        return "\n".join(
            "  ".join(
                cell.ljust(w) if k == 0 else cell.rjust(w)
                for k, (cell, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )


def _cells(row: Row, unit: str, extended: bool) -> list[str]:
    """Return the texts of one line of the table."""

    def text(estimate: Estimate | None, digits: int = 3) -> str:
        if estimate is None:
            return "–"
        spread = "" if estimate.error is None else f" ± {estimate.error:.{digits}f}"
        return f"{estimate.value:.{digits}f}{spread}"

    mean, std = getattr(row, f"error_mean_{unit}"), getattr(row, f"error_std_{unit}")
    rmse = getattr(row, f"rmse_{unit}")
    bias = [getattr(row, f"bias_{axis}_{unit}") for axis in "xy"]
    digits = 2 if unit == "pm" else 3
    cells = [row.name, str(row.n_true), str(row.n_pred)]
    cells += [text(row.precision), text(row.recall), text(row.f1)]
    cells.append("–" if mean is None else f"{mean.value:.{digits}f} ± {std.value:.{digits}f}")
    cells.append(text(rmse, digits))
    cells.append("–" if bias[0] is None else ", ".join(f"{b.value:+.{digits}f}" for b in bias))
    return cells + ([text(row.gain), text(row.skill)] if extended else [])
