"""What one row of the tables holds."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from .gains import Gain
from .interfaces import RowBias


class Errors(BaseModel):
    """Errors of matched atoms in pm; None where nothing was there to count.

    Parameters
    ----------
    n : int
        Matched atoms.
    mean_pm, std_pm, rms_pm : float
        Of the distance between predicted and true position.
    bias_x_pm, bias_y_pm : float
        Mean of predicted minus true position.
    skill : float
        1 - (rms error / rms displacement)²; 0 is the answer that ignores the image.
    gain : float
        Slope of estimated on true displacements of the test frames.
    cramer_rao_pm, bayesian_pm : float
        Mean bounds of the same atoms.
    over_cramer_rao, over_bayesian : float
        Mean error over the mean bound, of the atoms that have one.
    coverage, coverage_95 : float
        Part of the errors along x and y that lie within their error bar, and within 1.96 of them;
        0.683 and 0.95 are right.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = 0
    mean_pm: float | None = None
    std_pm: float | None = None
    rms_pm: float | None = None
    bias_x_pm: float | None = None
    bias_y_pm: float | None = None
    skill: float | None = None
    gain: float | None = None
    cramer_rao_pm: float | None = None
    bayesian_pm: float | None = None
    over_cramer_rao: float | None = None
    over_bayesian: float | None = None
    coverage: float | None = None
    coverage_95: float | None = None


class ElementColumns(BaseModel):
    """What is told of one element."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_true: int
    f1: float | None
    errors: Errors


class Columns(BaseModel):
    """One row of the tables: a kind of positions of one method, pooled over the test frames.

    Parameters
    ----------
    n_frames, n_true, n_predicted : int
    f1, precision, recall : float or None
        All atoms, elements must agree.
    f1_lacking, f1_near_defects, f1_border : float or None
        Of atoms with fewer neighbours than usual, within 1.5 spacings of a defect, and in the 8 px
        band along the edge, each with the false atoms of the same places.
    n_lacking, n_near_defects, n_border : int
        True atoms there.
    n_vacancies : int
    filled : float or None
        Part of the empty sites on which an atom was drawn.
    missed : float or None
        Part of the empty sites left empty, but beside an atom that was not found either: the answer
        shows a larger hole than there is.
    vacuum_nm2 : float
    false_per_nm2 : float or None
        Atoms drawn in the vacuum, per nm² of it.
    errors : Errors
        Of all matched atoms.
    confidence_error : float or None
        Expected calibration error of the atoms' confidences: mean distance from the share of atoms
        that are real.
    unflagged : Errors or None
        The same of those whose fit succeeded, for fitted positions.
    flagged : float or None
        Part of the matched atoms whose fit failed.
    elements : mapping
        F1 and errors of each element.
    interface : mapping
        Bias of the rows of B columns along unpolarized interfaces, in the direction across it that
        points to the element first in the alphabet.
    gains : mapping
        By kind of displacement, all amplitudes together.
    gains_by_amplitude : mapping
        By kind, then by amplitude in pm (as text).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_frames: int
    n_true: int
    n_predicted: int
    f1: float | None
    precision: float | None
    recall: float | None
    f1_lacking: float | None
    f1_near_defects: float | None
    f1_border: float | None
    n_lacking: int
    n_near_defects: int
    n_border: int
    n_vacancies: int
    filled: float | None
    missed: float | None
    vacuum_nm2: float
    false_per_nm2: float | None
    errors: Errors
    confidence_error: float | None = None
    unflagged: Errors | None = None
    flagged: float | None = None
    elements: dict[str, ElementColumns] = {}
    interface: dict[str, RowBias] = {}
    gains: dict[str, Gain] = {}
    gains_by_amplitude: dict[str, dict[str, Gain]] = {}
