"""How detection without labels is counted."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.bench.detecting import bench_detect, cage_centres, continued
from napari_apgan.errors import UserError


def lattice(count: int = 5, side: float = 25.0) -> np.ndarray:
    at = np.arange(count) * side
    return np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)


def test_cage_centres_are_the_middles_of_cells():
    centres = cage_centres(lattice())
    expected = lattice(4) + 12.5
    distance = np.hypot(*(centres[:, None] - expected).transpose(2, 0, 1))
    assert distance.min(axis=1).max() < 1e-9
    assert distance.min(axis=0).max() < 1e-9


def test_a_lattice_goes_on_by_one_site_on_every_side():
    beyond = {tuple(p) for p in continued(lattice(3)).tolist()}
    on_axis = {(-25.0, y) for y in (0.0, 25.0, 50.0)} | {(75.0, y) for y in (0.0, 25.0, 50.0)}
    on_axis |= {(y, x) for x, y in on_axis}
    assert beyond == on_axis


def test_simulated_frames_are_scored_in_two_groups():
    result = bench_detect(None, frames=8)
    assert {line.case for line in result.lines} <= {
        "simulated, held out: crystals and random lattices",
        "simulated, held out: lone atoms and none",
    }
    assert len(result.lines) == 2
    for line in result.lines:
        assert line.f1 == pytest.approx(
            2 * line.recall * line.precision / max(line.recall + line.precision, 1e-9)
        )
    assert "| case" in result.report()
    assert max(line.f1 for line in result.lines) > 0.5


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(UserError, match="There is no folder"):
        bench_detect(tmp_path / "none")


@pytest.mark.data
def test_real_images_are_detected_as_asked(real_data):
    result = bench_detect(real_data, frames=0, cases=("pto_sro", "graphene_flower"))
    perovskite, graphene = result.lines
    assert perovskite.recall >= 0.97
    assert perovskite.precision >= 0.95
    assert graphene.f1 >= 0.85
