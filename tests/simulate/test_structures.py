"""Every kind of structure, with any settings: the truth is the mean of the projected atoms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from napari_apgan.elements import SYMBOLS
from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import ViewSettings, draw_view, place
from napari_apgan.simulate.structures import STRUCTURES, BaseStructure, Structure, build

SHAPE, PIXEL_PM, REACH_PM = (48, 56), 20.0, 1400.0
#: Above these, frames of small specimens would take long to compare atom by atom.
LARGEST = {"thickness_nm": 4.0, "film_nm": 2.0, "diameter_nm": 3.0, "particles": 2.0}


def values(name: str, field: FieldInfo) -> st.SearchStrategy[Any]:
    """Return what a field may be, from its type and bounds; else its default."""
    kind, default = field.annotation, field.get_default(call_default_factory=True)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind in (int, float):
        low, high = 0.0, max(2.0 * float(default), 1.0)
        for bound in field.metadata:
            if isinstance(bound, annotated_types.Ge):
                low = float(bound.ge)  # type: ignore[arg-type]
            if isinstance(bound, annotated_types.Gt):
                low = float(bound.gt) + 0.1  # type: ignore[arg-type]
            if isinstance(bound, annotated_types.Le):
                high = float(bound.le)  # type: ignore[arg-type]
        # Bounds are generous; what people use lies near the default.
        high = min(high, max(4 * abs(float(default)), 10.0), LARGEST.get(name, math.inf))
        if kind is int:
            return st.integers(math.ceil(low), math.floor(high))
        return st.just(default) | st.floats(low, high).map(lambda v: round(v, 3))
    if name in ("zone", "right"):
        return st.sampled_from([(1, 1, 0), (0, 0, 1), (1, 1, 2), (0, 0, 0), (2, 1, 0)])
    return st.just(default)


@st.composite
def structures(draw: st.DrawFn, kind: str, path: Path) -> BaseStructure:
    """Draw settings of which up to four differ from the defaults."""
    fields = STRUCTURES[kind].model_fields
    free = sorted(set(fields) - {"kind", "path"})
    chosen = draw(st.lists(st.sampled_from(free), max_size=4, unique=True))
    changes = {name: draw(values(name, fields[name])) for name in chosen}
    for name, most in LARGEST.items():
        if name in fields and name not in changes:
            changes[name] = min(most, fields[name].get_default())
    if "path" in fields:
        changes["path"] = path
    return STRUCTURES[kind].model_validate(changes)


@pytest.fixture(scope="module")
def rutile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ase")
    from ase.spacegroup import crystal

    path = tmp_path_factory.mktemp("structures") / "rutile.cif"
    crystal(
        ("Ti", "O"),
        [(0, 0, 0), (0.305, 0.305, 0)],
        spacegroup=136,
        cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
    ).write(path)
    return path


@pytest.mark.parametrize("kind", sorted(STRUCTURES))
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_the_truth_is_the_mean_of_the_projected_atoms(
    kind: str, data: st.DataObject, seed: int, rutile: Path
) -> None:
    structure = data.draw(structures(kind, rutile))
    rng = np.random.default_rng(seed)
    try:
        specimen = build(structure, rng, REACH_PM)
    except UserError as error:
        event("refused")
        assert_sentence(str(error))
        return
    view = draw_view(ViewSettings(strain_percent=3.0, tilt_mrad=5.0), rng)
    scene = place(specimen, view, SHAPE, PIXEL_PM)

    columns = scene.columns
    c, s = math.cos(view.rotation_rad), math.sin(view.rotation_rad)
    (e_xx, e_xy), (_, e_yy) = view.strain
    projected: dict[int, list[tuple[float, float, int]]] = {}
    for (x, y, z), number, column in zip(
        specimen.xyz_pm.tolist(), specimen.number.tolist(), specimen.column.tolist(), strict=True
    ):
        if column >= 0:
            u, v = (1 + e_xx) * x + e_xy * y, e_xy * x + (1 + e_yy) * y
            right = c * u - s * v + view.offset_pm[0] + z * view.tilt_mrad[0] * 1e-3
            down = s * u + c * v + view.offset_pm[1] + z * view.tilt_mrad[1] * 1e-3
            at = (right / PIXEL_PM + (SHAPE[1] - 1) / 2, down / PIXEL_PM + (SHAPE[0] - 1) / 2)
            projected.setdefault(column, []).append((*at, number))
    assert sorted(projected) == list(range(len(columns))), "every column has atoms"
    for column, atoms in projected.items():
        number = SYMBOLS.index(str(columns.element[column])) + 1
        ours = [(x, y) for x, y, n in atoms if n == number]
        mean = [math.fsum(v) / len(ours) for v in zip(*ours, strict=True)]
        assert math.dist(mean, columns.xy_px[column]) < 1e-6
        assert columns.n_atoms[column] == len(atoms)


@pytest.mark.parametrize("kind", sorted(STRUCTURES))
def test_every_specimen_is_sound(kind: str, rutile: Path) -> None:
    specimen = build(made(kind, rutile), np.random.default_rng(4), REACH_PM)
    assert np.isfinite(specimen.xyz_pm).all()
    assert specimen.xyz_pm[:, 2].min() == pytest.approx(0, abs=1e-6)
    assert (specimen.thermal_pm > 0).all()
    assert ((specimen.number >= 1) & (specimen.number <= len(SYMBOLS))).all()
    assert (specimen.sublattice != "").all()
    assert (specimen.grain >= 0).all()
    assert specimen.n_columns > 20


@pytest.mark.parametrize("kind", sorted(STRUCTURES))
def test_columns_are_displaced_once_and_as_far_as_asked(kind: str, rutile: Path) -> None:
    still = build(made(kind, rutile, displacement_pm=0), np.random.default_rng(4), 2500.0)
    moved = build(made(kind, rutile, displacement_pm=10), np.random.default_rng(4), 2500.0)
    held = still.column >= 0
    step = (moved.xyz_pm - still.xyz_pm)[held]
    first = np.unique(still.column[held], return_index=True)[1]
    assert np.allclose(step, step[first][still.column[held]], atol=1e-9), "as a whole"
    lengths = np.hypot(*step[first, :2].T)
    # A Rayleigh distribution: its standard deviation is 0.52 of its mean.
    assert lengths.mean() == pytest.approx(10, abs=4 * 5.2 / math.sqrt(len(lengths)))
    assert np.array_equal(moved.site_pm, still.site_pm)


@pytest.mark.parametrize("kind", sorted(STRUCTURES))
def test_settings_come_back_from_json_as_what_they_were(kind: str, rutile: Path) -> None:
    structure = made(kind, rutile)
    adapter: TypeAdapter[Any] = TypeAdapter(Structure)
    again = adapter.validate_json(adapter.dump_json(structure))
    assert type(again) is STRUCTURES[kind]
    assert again == structure


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Structure).validate_python({"kind": "snowflake"})


def made(kind: str, path: Path, **changes: object) -> BaseStructure:
    """Return default settings of a kind, small enough to be quick."""
    fields = STRUCTURES[kind].model_fields
    small = {
        name: min(most, fields[name].get_default())
        for name, most in LARGEST.items()
        if name in fields
    }
    given_path = {"path": path} if "path" in fields else {}
    return STRUCTURES[kind].model_validate(small | given_path | changes)


def assert_sentence(text: str) -> None:
    assert text[0].isupper()
    assert text.endswith(".")
    assert "\n" not in text
