"""A folder of files becomes a table, whatever the files hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.io.tiffs import tiff_bytes
from napari_apgan.label.survey import (
    SurveyReference,
    find_images,
    reference_from_frame,
    survey_file,
    survey_folder,
)
from napari_apgan.label.survey_image import find_basis, show, symmetry

SIZE = 20.0


def lattice(
    a: tuple[float, float],
    b: tuple[float, float],
    *,
    seed: int = 0,
    noise: float = 0.3,
    shift: float = 0.0,
    side: int = 128,
    sign: float = 1.0,
) -> np.ndarray:
    """Gaussian peaks on the lattice of a and b (px), with noise."""
    n = np.arange(-60, 61)
    i, j = (v.ravel() for v in np.meshgrid(n, n))
    x = i * a[0] + j * b[0] + shift
    y = i * a[1] + j * b[1] + shift
    near = (x > -6) & (x < side + 6) & (y > -6) & (y < side + 6)
    yy, xx = np.mgrid[:side, :side]
    image = np.zeros((side, side))
    for px, py in zip(x[near], y[near], strict=True):
        image += np.exp(-((xx - px) ** 2 + (yy - py) ** 2) / 5)
    image = 5 + sign * image + np.random.default_rng(seed).normal(0, noise, image.shape)
    return image.astype(np.float32)


SQUARE = ((10.0, 1.0), (-1.0, 10.0))
HEXAGONAL = ((9.0, 0.0), (4.5, 7.794))


def save(path: Path, image: np.ndarray, size_pm: float | None = SIZE) -> Path:
    known = (
        Calibration() if size_pm is None else Calibration.from_pixel_size(size_pm, origin="file")
    )
    path.write_bytes(tiff_bytes(image, known, "YX"))
    return path


@pytest.fixture
def reference() -> SurveyReference:
    known = Calibration.from_pixel_size(SIZE, origin="file")
    return reference_from_frame(make_frame(lattice(*SQUARE, seed=9), known), "the model")


@pytest.mark.parametrize(
    ("vectors", "name", "spacing"), [(SQUARE, "square", 10.05), (HEXAGONAL, "hexagonal", 7.794)]
)
def test_lattices_are_named_and_measured(tmp_path, vectors, name, spacing) -> None:
    row = survey_file(save(tmp_path / "a.tif", lattice(*vectors)))
    assert row.lattice == name
    assert row.spacing_px == pytest.approx(spacing, rel=0.02)
    assert row.spacing_pm == pytest.approx(spacing * SIZE, rel=0.02)
    assert row.fits is None


def test_a_folder_is_told_apart(tmp_path, reference) -> None:
    save(tmp_path / "1_good.tif", lattice(*SQUARE, seed=1))
    shutil.copy(tmp_path / "1_good.tif", tmp_path / "2_copy.tif")
    save(tmp_path / "3_again.tif", 2 * lattice(*SQUARE, seed=1) + 1)
    save(tmp_path / "4_other_place.tif", lattice((9.9, 1.0), (-1.0, 10.0), seed=4, shift=3.0))
    save(tmp_path / "5_hexagonal.tif", lattice(*HEXAGONAL, seed=5))
    save(tmp_path / "6_no_scale.tif", lattice(*SQUARE, seed=6, shift=4.0), None)
    save(tmp_path / "7_false_scale.tif", lattice(*SQUARE, seed=7, shift=2.0), SIZE * 1.12)
    save(tmp_path / "8_dark.tif", lattice(*SQUARE, seed=8, shift=1.0, sign=-1.0))
    noise = np.random.default_rng(0).normal(9, 1, (128, 128)).astype(np.float32)
    save(tmp_path / "9_noise.tif", noise)
    save(tmp_path / "a_flat.tif", np.full((128, 128), 7, np.float32))
    (tmp_path / "b_broken.dm3").write_bytes(b"\x00\x00\x00\x03 not a dm file")
    (tmp_path / "c_empty.tif").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no image")
    rows = {r.path.name[0]: r for r in survey_folder(tmp_path, reference=reference)}
    assert len(rows) == 12
    assert rows["1"].fits
    assert rows["1"].material > 0.5
    assert rows["2"].duplicate_of == tmp_path / "1_good.tif"
    assert rows["3"].duplicate_of is None
    assert rows["3"].looks_like == tmp_path / "1_good.tif"
    assert rows["4"].fits
    assert rows["4"].looks_like is None
    assert rows["5"].fits is False
    assert "material" in rows["5"].why
    assert rows["6"].fits is False
    assert "pixel size is not known" in rows["6"].why
    assert rows["7"].fits is False
    assert rows["7"].scale == pytest.approx(1.12, abs=0.02)
    assert rows["8"].fits is False
    assert "contrast" in rows["8"].why
    assert rows["9"].blank == "nothing but noise"
    assert not rows["9"].fits
    assert "same value" in rows["a"].blank
    assert rows["b"].error
    assert rows["b"].fits is False
    assert "empty" in rows["c"].error


def test_rows_stream_and_stop_when_cancelled(tmp_path) -> None:
    for k in range(4):
        save(tmp_path / f"{k}.tif", lattice(*SQUARE, seed=k, side=64))
    told: list[tuple[int, int, str]] = []
    got: list[str] = []
    for row in survey_folder(
        tmp_path, progress=lambda *a: told.append(a), cancelled=lambda: len(got) == 2
    ):
        got.append(row.path.name)
    assert got == ["0.tif", "1.tif"]
    assert told == [(0, 4, "0.tif"), (1, 4, "1.tif")]


def test_projects_hidden_files_and_emi_beside_ser_are_passed_over(tmp_path) -> None:
    image = lattice(*SQUARE, side=64)
    (tmp_path / "p.apgan").mkdir()
    (tmp_path / "sub").mkdir()
    save(tmp_path / "p.apgan" / "a.tif", image)
    save(tmp_path / ".hidden.tif", image)
    save(tmp_path / "sub" / "b.tif", image)
    for name in ("16_x.emi", "16_x_1.ser", "17_y.emi"):
        (tmp_path / name).write_bytes(b"x")
    names = [p.name for p in find_images(tmp_path)]
    assert names == ["16_x_1.ser", "17_y.emi", "b.tif"]
    assert "b.tif" not in [p.name for p in find_images(tmp_path, recursive=False)]


def test_a_folder_without_images_says_so(tmp_path) -> None:
    with pytest.raises(UserError, match="no image"):
        find_images(tmp_path)
    with pytest.raises(UserError, match="no folder"):
        find_images(tmp_path / "nowhere")


def test_a_sharper_image_has_finer_detail() -> None:
    from scipy.ndimage import gaussian_filter

    image = lattice(*SQUARE, noise=0.0)
    noise = np.random.default_rng(1).normal(0, 0.1, image.shape)
    sharp = show(make_frame(image + noise)).finest_px
    blurred = show(make_frame(gaussian_filter(image, 2.5) + noise)).finest_px
    assert sharp is not None
    assert blurred is not None
    assert sharp < blurred


def test_peaks_at_random_are_no_lattice() -> None:
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(10):
        peaks = np.column_stack([rng.uniform(-0.4, 0.4, (14, 2)), np.full(14, 4.0)])
        found += find_basis(peaks) is not None
    assert found <= 2


def test_symmetries_have_their_names() -> None:
    def of(ratio: float, angle: float) -> str:
        rad = np.radians(angle)
        return symmetry(0.1 * np.array([[1, 0], [ratio * np.cos(rad), ratio * np.sin(rad)]]))

    assert [of(1, 90), of(1.5, 90), of(1, 60), of(1, 75), of(1.4, 75)] == [
        "square",
        "rectangular",
        "hexagonal",
        "rhombic",
        "oblique",
    ]


def test_real_files_are_measured_or_refused(real_data) -> None:
    def row(name: str):
        return survey_file(real_data / name)

    graphene = row("graphene_flower/graphene_flower.tif")
    assert graphene.lattice == "hexagonal"
    assert graphene.spacing_px == pytest.approx(9.75, rel=0.02)  # {10-10} planes: 6.5 px C-C
    mos2 = row("se_mos2_dm3/example_Se_implanted_MoS2.dm3")
    assert mos2.lattice == "hexagonal"
    assert mos2.spacing_pm == pytest.approx(274, rel=0.06)  # {10-10} of MoS2
    tecnai = row("misc/Tecnai_Osiris_SrTiO3.tif")
    assert tecnai.lattice == "square"
    assert tecnai.spacing_pm == pytest.approx(0.89 * 390.5, rel=0.02)  # its scale is 11 % off


def test_one_field_exposed_again_looks_like_itself(real_data) -> None:
    files = [
        real_data / "ptnc_haadf" / f"{n}_HAADF_15nm_Sample_PtNC_{d}Oct20.tif"
        for n, d in (("045", 20), ("047", 21), ("048", 21), ("049", 20))
    ]
    alike = [r.looks_like for r in survey_folder(files)]
    assert alike == [None, None, files[1], None]
