"""Damaged files open nothing, leave nothing open, and say one sentence."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import Source
from napari_apgan.io import READABLE, _guard, open_source, read_atoms

FILES = (
    "formats/test_STEM_image.dm3",
    "formats/test_stackbuilder_imagestack.dm3",
    "formats/fei_example_tem_stack.emd",
    "formats/example_image.emd",
    "formats/ROI_Random_Scan_movie.mrc",
    "formats/128x128-TEM_search_1.ser",
    "formats/test_loading_image_saved_with_imageJ_stack.tif",
    "formats/test_loading_image_saved_with_DM.tif",
    "pto_sro/pto_sro_left.hspy",
    "srtio3_adf_abf/test_ADF_cropped.hdf5",
    "png_no_scale/si110_5nm_field.png",
    "ptir_particle/ptir.npz",
    "misc/REBCO-ROI_raw.dm3",
)
HDF5 = (".emd", ".hspy", ".hdf5")  # each costs a process, so fewer of them


@pytest.fixture(autouse=True)
def frozen_heap() -> Iterator[None]:
    """Keep what was there before out of the many collections of garbage: they are slow else."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite a few bytes, most of them in the first kilobytes; cut the file now and then."""
    out = bytearray(data)
    reach = len(out) if rng.random() < 0.3 else min(len(out), 4096)
    for position in rng.integers(0, reach, size=int(rng.integers(1, 40))):
        out[position] = int(rng.integers(0, 256))
    if rng.random() < 0.25:
        del out[int(rng.integers(1, len(out))) :]
    return bytes(out)


def open_files(folder: Path) -> list[str]:
    """Files of a folder that this process holds open (Linux only)."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:
            continue
    return [link for link in links if link.startswith(str(folder))]


def opened(path: Path) -> Source | UserError:
    """The source, or the sentence; anything else passes through and fails the test."""
    try:
        return open_source(path)
    except UserError as error:
        return error.with_traceback(None)


@pytest.mark.data
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_a_source_or_a_sentence(
    name: str, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_guard, "PROBE_SECONDS", 4.0)  # some of these make HDF5 loop for ever
    original = (real_data / name).read_bytes()
    rng = np.random.default_rng(FILES.index(name))
    refused = 0
    for number in range(7 if name.endswith(HDF5) else 14):
        path = tmp_path / f"{number}{Path(name).suffix}"
        path.write_bytes(damage(original, rng))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            outcome = opened(path)
        if isinstance(outcome, UserError):
            refused += 1
            assert path.name in str(outcome)
            assert "\n" not in str(outcome)
        else:
            frame = outcome.frame(0)
            assert np.isfinite(frame.data).all()
            size = frame.calibration.mean_pm
            assert size is None or 0.5 <= size <= 1e6
        del outcome
    gc.collect()
    if sys.platform == "linux":
        assert open_files(tmp_path) == []
    if not name.endswith((".mrc", ".dm3", ".ser")):
        assert refused


def test_random_bytes_under_every_suffix_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(7)
    for suffix in sorted(READABLE):
        path = tmp_path / f"noise{suffix}"
        path.write_bytes(rng.integers(0, 256, 3000, dtype=np.uint8).tobytes())
        with pytest.raises(UserError, match="noise"):
            open_source(path)
    assert "".join(capfd.readouterr()) == ""  # the sentence is all that a user sees


def test_a_damaged_table_is_a_table_or_a_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = "".join(f"Pb,{x:.3f},{y:.3f}\r\r\n" for x, y in rng.random((40, 2)) * 100)
    refusals: list[str] = []
    for number in range(60):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(damage(b"element,x_px,y_px\r\r\n" + rows.encode(), rng))
        try:
            table = read_atoms(path)
        except UserError as error:
            refusals.append(str(error))
            continue
        assert np.isfinite(table[["x_px", "y_px"]].to_numpy()).all()
    assert refusals
    assert all(".csv" in sentence and "\n" not in sentence for sentence in refusals)
