"""Make the pictures of docs/gallery.md, and sheets beside real images.

    python docs/gallery.py [--only NAME ...] [--data FOLDER --sheets FOLDER]

Without ``--data`` the simulated frames are drawn into docs/images/gallery. With it, each frame is
shown beside the nearest published image of that folder, for the eye of a developer: the sheets hold
other people's images and stay where they are made.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_apgan.frames import Calibration, Frame, make_frame
from napari_apgan.io import open_source
from napari_apgan.simulate.examples import EXAMPLES
from napari_apgan.simulate.match.statistics import measure_statistics, similarity
from napari_apgan.simulate.pairs import SimulatedPair, simulate_pair
from napari_apgan.simulate.settings import SimulationSettings, changed

HERE = Path(__file__).parent / "images" / "gallery"
#: Side of a picture in px, and the grey levels of its palette.
SIDE, GREYS = 224, 24
#: Grey levels lie between these quantiles of a frame.
DARKEST, BRIGHTEST = 0.003, 0.997

#: YBa2Cu3O7: M. A. Beno et al., Appl. Phys. Lett. 51 (1987) 57, rounded.
YBCO = """data_YBa2Cu3O7
_cell_length_a 3.82
_cell_length_b 3.886
_cell_length_c 11.69
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P 1'
loop_
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Y 0.5 0.5 0.5
Ba 0.5 0.5 0.184
Ba 0.5 0.5 0.816
Cu 0 0 0
Cu 0 0 0.355
Cu 0 0 0.645
O 0 0.5 0
O 0 0 0.159
O 0 0 0.841
O 0.5 0 0.378
O 0.5 0 0.622
O 0 0.5 0.378
O 0 0.5 0.622
"""


@dataclass(frozen=True)
class Real:
    """A published image: its file below the data folder, and the part to look at.

    Parameters
    ----------
    path : str
    pixel_size_pm : float
        As checked against its lattice.
    corner : (int, int)
        x, y of the first pixel shown.
    """

    path: str
    pixel_size_pm: float
    corner: tuple[int, int] = (0, 0)

    def frame(self, folder: Path) -> Frame:
        """Read the part shown, with its pixel size."""
        data = open_source(folder / self.path).frame(0).data
        x, y = self.corner
        part = data[y : y + 256, x : x + 256]
        return make_frame(part, Calibration.from_pixel_size(self.pixel_size_pm, origin="user"))


FLOWER = Real("graphene_flower/graphene_flower.tif", 21.8)
MOS2 = Real("se_mos2_dm3/example_Se_implanted_MoS2.dm3", 13.3, (380, 380))
PTO = Real("pto_sro/pto_sro_left.hspy", 15.0, (100, 0))
STO = Real("srtio3_ser/16_STOimage_1.ser", 10.0, (300, 300))
STO_ADF = Real("srtio3_adf_abf/test_ADF_cropped.hdf5", 9.33, (60, 60))
STO_ABF = Real("srtio3_adf_abf/test_ABF_cropped.hdf5", 9.33, (60, 60))
PTIR = Real("ptir_particle/ptir.npz", 12.11, (128, 128))
DYSCO = Real("png_no_scale/dysco3_8nm_field.png", 7.8, (300, 300))
SILICON = Real("png_no_scale/si110_5nm_field.png", 9.8, (128, 128))
BTO = Real("batio3_dm4/BTO_crystal_2.dm4", 35.6, (100, 100))
REBCO = Real("misc/REBCO-ROI_raw.dm3", 54.1)
OSIRIS = Real("misc/Tecnai_Osiris_SrTiO3.tif", 15.0, (128, 128))
PTNC = Real("ptnc_haadf/047_HAADF_15nm_Sample_PtNC_21Oct20.tif", 29.3, (128, 128))


@dataclass(frozen=True)
class Entry:
    """One picture.

    Parameters
    ----------
    name : str
    example : str
        Example that it begins with.
    changes : dict
        What differs from the example, group by group.
    structure : dict, optional
        A structure in place of the example's.
    real : Real, optional
        The nearest published image.
    number : int
        Of the frame.
    """

    name: str
    example: str
    changes: dict[str, Any] = field(default_factory=dict)
    structure: dict[str, Any] | None = None
    real: Real | None = None
    number: int = 0

    def settings(self) -> SimulationSettings:
        """Return whole settings, of one frame exactly as asked."""
        fields = EXAMPLES[self.example].model_dump() | {"variety": 0.0}
        if self.structure is not None:
            fields["structure"] = self.structure
        return changed(SimulationSettings.model_validate(fields), self.changes)


def sheet(**defects: Any) -> dict[str, Any]:
    """Return a sheet of graphene with some defects."""
    return {"kind": "graphene", **defects}


#: Dark atoms, as in the flower's image.
DARK = {
    "imaging": {"aberrations": {"c1_nm": -1.0, "c3_um": -20.0}},
    "pixel_size_pm": 21.8,
    "degradation": {"snr": 8.0},
}
SHEET = {"degradation": {"snr": 4.0}}
#: Crystals that lie straight, and as flat as they come.
UPRIGHT = {"view": {"rotation_deg": 0.0, "strain_percent": 0.3}}
POLAR = {"pixel_size_pm": 29.0, "degradation": {"snr": 6.0}} | UPRIGHT
#: Columns of good crystals stand straight.
STILL = {"displacement_pm": 1.0}


def seen(
    pixel_size_pm: float, snr: float, source_pm: float, jitter_pm: float, **more: Any
) -> dict[str, Any]:
    """Return what makes a dark-field frame look like a published one.

    Rows of these forget the shift of the row before sooner than the examples' do.
    """
    scan = {"snr": snr, "jitter_pm": jitter_pm, "jitter_memory": 0.2}
    return {
        "pixel_size_pm": pixel_size_pm,
        "imaging": {"source_size_pm": source_pm, **more},
        "degradation": scan,
    } | UPRIGHT


def layers(**fields: Any) -> dict[str, Any]:
    """Return a PbTiO3/SrTiO3 multilayer."""
    return {"kind": "multilayer", **fields}


def crystal(formula: str, **fields: Any) -> dict[str, Any]:
    """Return a perovskite."""
    return {"kind": "perovskite", "formula": formula, **fields}


def entries(scratch: Path) -> Iterator[Entry]:
    """Yield the pictures; files that some of them read are written into a folder."""
    yield from _graphene()
    yield from _monolayers()
    yield from _oxides(scratch)
    yield from _particles()
    yield from _dumbbells_and_files(scratch)
    yield from _modes()
    yield from _degradations()


def _graphene() -> Iterator[Entry]:
    for name, defects in {
        "graphene": {},
        "graphene-585": {"lines": "5-8-5"},
        "graphene-57": {"lines": "5-7"},
        "graphene-tilt": {"lines": "tilt"},
        "graphene-vacancies": {"vacancy_percent": 2.0},
        "graphene-silicon": {"dopant": "Si", "dopant_percent": 1.5},
        "graphene-nitrogen": {"dopant": "N", "dopant_percent": 3.0},
        "graphene-holes": {"holes": 2, "hole_radius_nm": 0.8},
        "graphene-dirt": {"contamination_percent": 30.0},
        "graphene-ripples": {"ripple_pm": 500.0},
    }.items():
        yield Entry(name, "graphene", SHEET, sheet(**defects), FLOWER)
    flower = sheet(lines="loop", tilt_deg=30.0, loop_radius_nm=0.8, bend_nm=0.0, **STILL)
    yield Entry("graphene-loop", "graphene", DARK, flower, FLOWER, 5)
    thick = {"imaging": {"engine": "abtem", "phonons": 4}, **SHEET}
    yield Entry("graphene-abtem", "graphene", thick, sheet(lines="5-8-5"), FLOWER)


def _monolayers() -> Iterator[Entry]:
    for name, fields in {
        "mos2": {"vacancy_percent": 3.0, "double_vacancy_percent": 1.0},
        "mos2-selenium": {
            "chalcogen_dopant_percent": 12.0,
            "contamination_percent": 30.0,
            "holes": 1,
        },
        "mos2-twin": {"twin_boundary": True},
        "mos2-metals": {"antisite_percent": 2.0, "metal_dopant": "W", "metal_dopant_percent": 4.0},
        "wse2": {"material": "WSe2"},
    }.items():
        lens = seen(13.3, 2.7, 40.0, 6.0)
        layer = {"kind": "monolayer", **STILL, **fields}
        yield Entry(
            name, "mos2", lens, layer, MOS2, {"mos2-selenium": 4, "mos2-twin": 0}.get(name, 1)
        )


def _oxides(scratch: Path) -> Iterator[Entry]:
    y, x = np.mgrid[-1:1:24j, -1:1:24j]
    swirl = scratch / "field.npy"
    np.save(swirl, np.stack([-y, x]) * np.exp(-2 * (x**2 + y**2)))
    for name, fields in {
        "layers": {},
        "layers-uniform": {"polar": "uniform"},
        "layers-walls": {"polar": "walls"},
        "layers-closure": {"polar": "flux_closure"},
        "layers-vortex": {"polar": "vortex"},
        "layers-field": {"polar": "field", "field_file": swirl},
        "layers-mixed": {"polar": "flux_closure", "intermixing_cells": 1.5},
        "layers-wedge": {"polar": "flux_closure", "wedge_deg": 60.0, "thickness_nm": 5.0},
    }.items():
        # Shifts of the pattern alone, so that they can be seen.
        yield Entry(name, "pto-sto", POLAR, layers(**STILL, **fields), PTO, 1)
    tilted = POLAR | {"view": {"rotation_deg": 0.0, "tilt_mrad": 20.0}}
    yield Entry("layers-mistilt", "pto-sto", tilted, layers(polar="flux_closure", **STILL), PTO, 1)
    cells = {"first_cells": (8, 8), "second_cells": (6, 6)}
    ruthenate = layers(second="SrRuO3", polar="flux_closure", **cells, **STILL)
    yield Entry("layers-ruthenate", "pto-sto", seen(15.0, 50.0, 42.0, 2.0), ruthenate, PTO)
    titanate = seen(10.0, 13.0, 54.0, 12.0)
    yield Entry("srtio3", "srtio3", titanate, crystal("SrTiO3", **STILL), STO)
    barium = crystal("BaTiO3", zone="100", polar="uniform", **STILL)
    yield Entry("batio3", "srtio3", seen(35.6, 23.0, 70.0, 3.0), barium, BTO)
    dysprosium = crystal("DyScO3", zone="110", **STILL)
    yield Entry("dysco3", "srtio3", seen(7.8, 20.0, 60.0, 12.0), dysprosium, DYSCO)
    gaps = {"vacancies_on": "A", "missing_columns_percent": 5.0, "vacancies_percent": 20.0}
    yield Entry("srtio3-vacancies", "srtio3", titanate, crystal("SrTiO3", **STILL, **gaps), STO)
    uncorrected = {"c1_nm": -45.0, "c3_um": 1200.0}
    old = seen(15.0, 4.8, 55.0, 20.0, aperture_mrad=9.5, aberrations=uncorrected)
    yield Entry("srtio3-uncorrected", "srtio3", old, crystal("SrTiO3", **STILL), OSIRIS)


def _particles() -> Iterator[Entry]:
    on_vacuum = seen(12.11, 120.0, 60.0, 6.0)
    alloy = {"metal": "Pt", "alloy": "Ir", "alloy_percent": 30.0, "diameter_nm": 3.5}
    balls = {"shape": "round", "particles": 9, "diameter_nm": 1.6, "film_nm": 4.0}
    for name, changes, fields in (
        ("particle-vacuum", on_vacuum, alloy),
        ("particle-film", {}, {"metal": "Pt", "film_nm": 6.0}),
        ("particle-twin", {}, {"metal": "Au", "twins_percent": 100.0, "film_nm": 2.0}),
        ("particle-hcp", {}, {"metal": "Co", "diameter_nm": 4.0, "film_nm": 2.0}),
        ("particle-round", {}, balls),
    ):
        particle = {"kind": "particle", **STILL, **fields}
        yield Entry(name, "particle", changes, particle, PTIR)


def _dumbbells_and_files(scratch: Path) -> Iterator[Entry]:
    silicon = seen(9.8, 7.0, 35.0, 12.0) | {"view": {"rotation_deg": -12.0}}
    for name, example, changes, fields in (
        ("silicon", "si-110", silicon, {"material": "Si"}),
        ("silicon-twins", "si-110", UPRIGHT, {"material": "Si", "twins_percent": 12.0}),
        ("gaas", "gaas-110", UPRIGHT, {"material": "GaAs"}),
        ("gan", "gaas-110", UPRIGHT, {"material": "GaN", "faults_percent": 8.0}),
    ):
        material = {"kind": "dumbbell", **STILL, **fields}
        yield Entry(name, example, changes, material, SILICON)
    path = scratch / "YBa2Cu3O7.cif"
    path.write_text(YBCO, encoding="utf-8")
    cuprate = {"kind": "file", "path": path, "zone": (1, 0, 0), "thickness_nm": 20.0, **STILL}
    yield Entry("file-cuprate", "srtio3", seen(54.1, 1.3, 75.0, 12.0), cuprate, REBCO)
    yield Entry("file-cuprate-fine", "srtio3", seen(15.0, 8.0, 50.0, 4.0), cuprate, REBCO)


def _modes() -> Iterator[Entry]:
    along = crystal("SrTiO3", zone="110", thickness_nm=15.0, **STILL)
    for mode, real in (("haadf", STO_ADF), ("adf", STO_ADF), ("abf", STO_ABF)):
        changes = seen(9.33, 200.0, 33.0, 1.5, mode=mode) | {"view": {"rotation_deg": 90.0}}
        yield Entry(f"mode-{mode}", "srtio3", changes, along, real)
    thin = {
        "imaging": {"engine": "abtem", "voltage_kv": 300.0, "phonons": 2},
        "pixel_size_pm": 15.0,
        "shape": (192, 192),
        "degradation": {"snr": 6.0},
    } | UPRIGHT
    yield Entry("mode-hrtem", "graphene", thin, crystal("SrTiO3", thickness_nm=4.0))


#: What degrades the same multilayer, one thing at a time.
DEGRADATIONS: dict[str, dict[str, Any]] = {
    "clean": {"snr": None},
    "snr-235": {"snr": 2.35},
    "snr-138": {"snr": 1.38},
    "snr-022": {"snr": 0.22},
    "dose": {"snr": None, "dose": 3000.0},
    "gaussian": {"snr": 1.38, "noise": "gaussian"},
    "readout": {"snr": None, "dose": 3000.0, "readout": 4.0},
    "mtf": {"snr": 1.38, "mtf": 0.15},
    "jitter": {"snr": 10.0, "jitter_pm": 15.0},
    "flyback": {"snr": 10.0, "flyback_px": 40},
    "drift": {"snr": 10.0, "drift_pm": 600.0},
    "shear": {"snr": 10.0, "shear_percent": 12.0},
    "background": {"snr": 10.0, "background": 1.0},
    "contamination": {"snr": 10.0, "contamination": 0.3},
    "binning": {"snr": 10.0, "binning": 4},
    "saturation": {"snr": None, "dose": 30000.0, "saturation": 500.0, "whole_levels": True},
    "dead": {"snr": 10.0, "dead_pixels": 0.01, "dead_lines": 3},
    "lost-30": {"snr": 10.0, "loss": "random", "lost_fraction": 0.3},
    "kept-30": {"snr": 10.0, "loss": "random", "lost_fraction": 0.7},
    "trajectory": {"snr": 10.0, "loss": "trajectory", "lost_fraction": 0.7},
}


def _degradations() -> Iterator[Entry]:
    still = {"jitter_pm": 0.0, "drift_pm": 0.0, "shear_percent": 0.0}
    for name, fields in DEGRADATIONS.items():
        changes = {"degradation": still | fields, "view": {"rotation_deg": 0.0}}
        yield Entry(f"noise-{name}", "pto-sto", changes, layers(polar="flux_closure"), None, 1)


def grey(image: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return grey levels; pixels without a measurement are black."""
    low, high = np.quantile(image[valid], [DARKEST, BRIGHTEST])
    levels = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    # Equal steps: a palette fitted to the picture would clip its peaks.
    steps = np.round((GREYS - 1) * levels) / (GREYS - 1)
    return np.where(valid, np.round(255 * steps), 0).astype(np.uint8)


def picture(frame: Frame, side: int = SIDE) -> Image.Image:
    """Return the middle of a frame as a picture."""
    rows, columns = frame.shape
    top, left = max(rows - side, 0) // 2, max(columns - side, 0) // 2
    part = np.s_[top : top + side, left : left + side]
    return Image.fromarray(grey(frame.data[part], frame.valid[part]))


def beside(made: SimulatedPair, real: Frame) -> Image.Image:
    """Return a simulated frame, its atoms, and a real one on one length scale."""
    zoom = 2
    ours = picture(made.pair.frame, 256)
    theirs = picture(real, 256)
    ratio = (real.calibration.mean_pm or 1.0) / (made.pair.frame.calibration.mean_pm or 1.0)
    theirs = theirs.resize((round(theirs.width * ratio), round(theirs.height * ratio)))
    pictures = [p.resize((p.width * zoom, p.height * zoom)) for p in (ours, theirs)]
    both = Image.new("L", (sum(p.width for p in pictures) + 8, max(p.height for p in pictures)))
    both.paste(pictures[0], (0, 0))
    both.paste(pictures[1], (pictures[0].width + 8, 0))
    return both


def figures(ours: Frame, theirs: Frame) -> str:
    """Return the similarity of two frames, and the numbers of both that it comes from."""
    one, other = measure_statistics(ours, side=256), measure_statistics(theirs, side=256)
    scale = (ours.calibration.mean_pm or 1.0, theirs.calibration.mean_pm or 1.0)
    rows = [
        ("SNR", one.snr, other.snr),
        ("width (pm)", one.width_px * scale[0], other.width_px * scale[1]),
        ("jitter (pm)", one.jitter_px * scale[0], other.jitter_px * scale[1]),
        ("its memory", one.jitter_memory, other.jitter_memory),
        ("skewness", one.skewness, other.skewness),
    ]
    told = "; ".join(f"{name} {a:.3g} / {b:.3g}" for name, a, b in rows)
    return f"similarity {similarity(one, other):.2f}; {told}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="names of the pictures to make")
    parser.add_argument("--data", type=Path, help="folder of the published images")
    parser.add_argument("--sheets", type=Path, default=Path("gallery-sheets"))
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        for entry in entries(Path(scratch)):
            if chosen.only and entry.name not in chosen.only:
                continue
            if chosen.data is not None and entry.real is None:
                continue
            made = simulate_pair(entry.settings(), seed=7, number=entry.number)
            counts = made.pair.atoms["element"].value_counts().to_dict()
            told = ", ".join(f"{count} {name}" for name, count in counts.items())
            if chosen.data is None or entry.real is None:
                HERE.mkdir(parents=True, exist_ok=True)
                drawn = picture(made.pair.frame).quantize(GREYS)
                drawn.save(HERE / f"{entry.name}.png", optimize=True)
            else:
                chosen.sheets.mkdir(parents=True, exist_ok=True)
                real = entry.real.frame(chosen.data)
                beside(made, real).save(chosen.sheets / f"{entry.name}.png")
                told = figures(made.pair.frame, real)
            sys.stdout.write(f"{entry.name}: {told}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
