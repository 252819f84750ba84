"""Speed: what is measured, in processes of their own, and how the tables tell it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_apgan.bench import speed
from napari_apgan.bench.network_size import network_size, sizes_table
from napari_apgan.bench.speed import Row, SpeedResult
from napari_apgan.bench.speed_target import Target, judge
from napari_apgan.bench.speed_worker import (
    Job,
    Measured,
    mirrored_atoms,
    mirrored_frame,
    peak_mb,
    run,
)
from napari_apgan.bench.training import this_machine
from napari_apgan.errors import UserError
from napari_apgan.io.pairs import write_pairs
from napari_apgan.maps import output_map
from napari_apgan.models.card import HeldOutScore
from napari_apgan.simulate import make_sample
from napari_apgan.train import RunFolder
from napari_apgan.train.events import EventLog, Failed, Started, Validated
from napari_apgan.train.runfile import EVENTS_FILE


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(make_sample(seed=1, n_frames=2, shape=(96, 96)).pairs, folder)
    return folder


def test_a_frame_continued_by_its_mirror_images_shows_its_atoms_there() -> None:
    pair = make_sample(seed=2, n_frames=1, shape=(64, 72)).pairs[0]
    frame = mirrored_frame(pair.frame, 150)
    assert frame.shape == (150, 150)
    np.testing.assert_array_equal(frame.data[64:128, :72], pair.frame.data[::-1])
    drawn = output_map(pair.atoms, ["Pb", "Sr", "Ti"], (64, 72), 3.0)
    wanted = np.pad(drawn, ((0, 0), (0, 86), (0, 78)), mode="symmetric")
    atoms = mirrored_atoms(pair.atoms, (64, 72), 150)
    # Discs at the seams reach over them in the one and are mirrored in the other.
    inner = np.s_[:, 68:124, 76:140]
    got = output_map(atoms, ["Pb", "Sr", "Ti"], (150, 150), 3.0)
    np.testing.assert_allclose(got[inner], wanted[inner], atol=1e-5)


@pytest.mark.parametrize(
    ("work", "count"), [("maps", 96**2), ("train", None), ("read", None), ("refine", None)]
)
def test_every_kind_of_work_is_measured(pairs: Path, work: str, count: int | None) -> None:
    found = run(Job(work=work, pairs=pairs, preset="fast", size=96))
    assert found.wall_s > 0
    assert found.cpu_s > 0
    assert found.count == count if count else found.count > 20
    assert found.peak_mb is None or found.peak_mb > 20


def test_the_peak_of_memory_is_that_of_the_process() -> None:
    before = peak_mb()
    if before is None:
        pytest.skip("this system does not tell")
    held = np.ones(30_000_000)
    assert peak_mb() >= before + 100 or peak_mb() > held.nbytes / 1e6


def test_measuring_goes_through_processes_of_their_own(pairs: Path) -> None:
    jobs = speed._jobs(["fast"], [64], "cpu", 1, pairs)
    assert {job.work for job in jobs} == {
        "maps", "atomai", "atomai forward", "read", "refine", "train",
    }  # fmt: skip
    wanted = [job for job in jobs if job.work in ("maps", "atomai")]
    rows = {row.work: row for row in speed._measure_all(wanted, repeats=1)}
    assert rows["maps"].found is not None
    assert rows["maps"].found.count == 64 * 64
    assert (rows["atomai"].why == "not installed") != speed.atomai_installed()
    report = _result(*rows.values()).report()
    assert "| fast" in report
    assert "64²" in report


def test_a_measurement_that_fails_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\(maps, 64 px\) failed"):
        speed._in_own_process(Job(work="maps", pairs=tmp_path / "none", preset="fast", size=64))


def test_unknown_presets_and_tiny_images_are_refused() -> None:
    with pytest.raises(UserError, match="no preset"):
        speed.measure(presets=["slow"], sizes=[64])
    with pytest.raises(UserError, match="--sizes"):
        speed.measure(sizes=[])


def _result(*rows: Row, targets: tuple[Target, ...] = ()) -> SpeedResult:
    return SpeedResult(machine=this_machine(), threads=2, repeats=3, rows=rows, targets=targets)


def test_ratios_are_those_of_the_same_size_and_device() -> None:
    ours = Row(
        work="maps",
        preset="fast",
        size=256,
        device="cpu",
        found=Measured(wall_s=0.02, cpu_s=0.03, count=256**2, peak_mb=300),
    )
    peer = Row(
        work="atomai",
        size=256,
        device="cpu",
        found=Measured(wall_s=0.05, cpu_s=0.09, count=256**2, peak_mb=500),
    )
    elsewhere = peer.model_copy(update={"size": 1024})
    result = _result(elsewhere, ours, peer)
    assert result.ratio(ours, "atomai") == pytest.approx((2.5, 3.0))
    assert result.ratio(ours, "atomai forward") is None
    assert "2.50 (3.00)" in result.report()


def test_what_would_take_too_long_is_left_out_and_says_so() -> None:
    slow = Measured(wall_s=5.0, cpu_s=5.0, count=256**2)
    rows = [Row(work="maps", preset="paper", size=256, device="cpu", found=slow)]
    big = Job(work="maps", pairs=Path(), preset="paper", size=1024)
    assert speed._hopeless(big, rows) == "left out: too slow"
    assert speed._hopeless(big.model_copy(update={"preset": "fast"}), rows) == ""
    left = Row(work="maps", preset="paper", size=1024, device="cpu", why="left out: too slow")
    assert speed._hopeless(big.model_copy(update={"size": 4096}), [left]) == "left out: too slow"
    assert "left out: too slow" in _result(*rows, left).report()


def _look(f1: float, step: int, time: float) -> Validated:
    score = HeldOutScore(
        f1=f1, precision=f1, recall=f1, error_pm=7.0, tolerance_px=2, n_atoms=9, split="folder"
    )
    return Validated(step=step, epoch=0, loss=0.1, score=score, threshold=0.5, best=True, time=time)


@pytest.mark.parametrize(("wanted", "seconds", "step"), [(0.9, 20.0, 50), (0.99, None, None)])
def test_the_first_look_at_or_above_the_target_counts(
    tmp_path: Path, wanted: float, seconds: float | None, step: int | None
) -> None:
    log = EventLog(tmp_path / EVENTS_FILE)
    log.write(
        Started(
            host="h", device="cpu", threads=1, preset="fast", pairs=2, split="folder",
            training_atoms=9, validation_atoms=9, time=100.0,
        )
    )  # fmt: skip
    for event in (_look(0.5, 25, 110.0), _look(0.95, 50, 120.0), _look(0.97, 75, 130.0)):
        log.write(event)
    log.close()
    found = judge(RunFolder(tmp_path), preset="fast", wanted_f1=wanted, budget_s=60)
    assert (found.seconds, found.step) == (seconds, step)
    assert found.f1 == (0.95 if step else 0.97)
    assert ("20 s" if step else "not reached") in _result(targets=(found,)).report()


def test_a_failed_training_says_why(tmp_path: Path) -> None:
    log = EventLog(tmp_path / EVENTS_FILE)
    log.write(Failed(message="No memory."))
    log.close()
    with pytest.raises(UserError, match="fast did not end well: No memory"):
        judge(RunFolder(tmp_path), preset="fast", wanted_f1=0.9, budget_s=60)


def test_sizes_of_networks_are_told_per_pixel() -> None:
    fast, fcn2 = network_size("fast"), network_size("fcn2")
    assert 17e3 < fast.multiply_adds < 20e3
    assert fast.weights < fcn2.weights
    told = sizes_table([fast, fcn2])
    assert f"{fast.multiply_adds / 1e3:.1f} thousand" in told
    assert sizes_table([]) == ""
