"""``apgan simulate``: training pairs with exact truth, from a named example or a structure file."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_apgan.errors import UserError
from napari_apgan.simulate import DESCRIPTIONS, EXAMPLES, SimulationSettings
from napari_apgan.simulate.examples import find_settings, from_file
from napari_apgan.simulate.pairs import SimulatedPair, simulate_pairs, write_simulated
from napari_apgan.simulate.settings import changed, read_settings

from .common import AsJson, Output, Seed, console, print_json, progress_bar


def whole_numbers(text: str, count: int, option: str) -> tuple[int, ...]:
    """Turn ``1,1,0`` into whole numbers; `UserError` when there are not as many as wanted."""
    try:
        found = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        found = ()
    if len(found) != count:
        raise UserError(
            f"{option} takes {count} whole numbers with commas between them, not {text!r}."
        )
    return found


def frame_shape(text: str) -> tuple[int, int]:
    """Turn ``256`` or ``256,512`` (rows, columns) into a shape."""
    parts = whole_numbers(text, 2 if any(c in text for c in ",x") else 1, "--shape")
    return parts[0], parts[-1]


def base_settings(
    what: str | None, settings_file: Path | None, zone: str | None
) -> SimulationSettings:
    """Return the settings that the other options then change.

    Raises
    ------
    UserError
        When nothing is named, or what is named cannot be found or turned.
    """
    if what is None and settings_file is None:
        raise UserError(
            f"Say what to simulate: {', '.join(EXAMPLES)}, a structure file, or --settings FILE."
        )
    base = None if settings_file is None else read_settings(settings_file)
    if what is not None:
        named = what in EXAMPLES or what.endswith(".json")
        found = find_settings(what) if named else from_file(Path(what))
        # A structure by name, seen as the settings say.
        base = found if base is None else base.model_copy(update={"structure": found.structure})
    assert base is not None
    return base if zone is None else along(base, zone)


def along(settings: SimulationSettings, zone: str) -> SimulationSettings:
    """Return settings whose structure is seen along a zone axis."""
    structure = settings.structure
    known = getattr(structure, "zone", None)
    if known is None:
        raise UserError(
            f"A {structure.kind} has no zone axis to choose: leave --zone out, or give a structure "
            "file."
        )
    chosen = whole_numbers(zone, 3, "--zone")
    written = "".join(map(str, chosen)) if isinstance(known, str) else chosen
    return changed(settings, {"structure": {"zone": written}})


class Tally:
    """Counts what the written pairs hold."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.atoms: Counter[str] = Counter()
        self.vacancies = 0
        self._recorded: list[dict[str, Any]] = []
        self._began = time.perf_counter()

    def add(self, made: SimulatedPair) -> None:
        """Count a pair."""
        self.names.append(made.pair.name)
        self.atoms.update(made.pair.atoms["element"].tolist())
        self.vacancies += len(made.vacancies)
        self._recorded.append(made.record["degradation"])

    def mean(self, name: str) -> float | None:
        """Return the mean of something recorded; None where it was not."""
        known = [float(r[name]) for r in self._recorded if r[name] is not None]
        return sum(known) / len(known) if known else None

    def summary(self, settings: SimulationSettings, folder: Path, asked: int) -> dict[str, Any]:
        """Return what was made, as numbers."""
        return {
            "folder": str(folder),
            "pairs": len(self.names),
            "asked": asked,
            "names": self.names,
            "atoms": dict(self.atoms),
            "vacancies": self.vacancies,
            "snr": self.mean("snr"),
            "dose_e_per_a2": self.mean("dose_e_per_a2"),
            "missing_fraction": self.mean("missing_fraction"),
            "pixel_size_pm": settings.pixel_size_pm,
            "shape": list(settings.shape),
            "seconds": time.perf_counter() - self._began,
        }


def sentence(result: dict[str, Any]) -> str:
    """Return a summary as a sentence."""
    atoms = ", ".join(f"{count} {name}" for name, count in result["atoms"].items()) or "no column"
    noise = "" if result["snr"] is None else f", SNR {result['snr']:.3g}"
    dose = result["dose_e_per_a2"]
    noise += "" if dose is None else f", {dose:.3g} e/Å²"
    return (
        f"{result['pairs']} of {result['asked']} pairs in {result['folder']}: {atoms}{noise} "
        f"({result['seconds']:.1f} s)."
    )


def refuse_taken(folder: Path, settings: SimulationSettings, first: int, n: int) -> None:
    """Raise `UserError` where pairs of the same names lie already."""
    for number in range(first, first + n):
        name = f"{settings.structure.kind}_{number:04d}"
        if (folder / f"{name}.tif").exists():
            raise UserError(
                f"{folder} holds {name} already: choose another folder, or go on after the last "
                "one with --first."
            )


def changes_of(
    snr: float | None,
    dose: float | None,
    drop: float | None,
    engine: str | None,
    mode: str | None,
) -> dict[str, Any]:
    """Return what the options change in the noise and the lens."""
    noise: dict[str, Any] = {}
    if snr is not None or dose is not None:
        noise |= {"snr": snr, "dose": dose}
    if drop is not None:
        noise |= {"loss": "random" if drop else "none", "lost_fraction": drop}
    lens = {k: v for k, v in {"engine": engine, "mode": mode}.items() if v is not None}
    return {"degradation": noise, "imaging": lens}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    listed = "; ".join(f"{name}: {text}" for name, text in DESCRIPTIONS.items())

    @app.command(help=f"Make training pairs with exact atoms. Examples: {listed}")
    def simulate(
        what: Annotated[
            str | None,
            typer.Argument(help="An example's name, a structure file, or settings (.json)."),
        ] = None,
        output: Output = Path("simulated-pairs"),
        n: Annotated[int, typer.Option("-n", min=1, help="How many pairs.")] = 10,
        snr: Annotated[float | None, typer.Option(help="var(signal) / var(noise).")] = None,
        dose: Annotated[float | None, typer.Option(help="Electrons per Å², instead.")] = None,
        drop: Annotated[
            float | None, typer.Option(help="Fraction of the pixels lost at random.")
        ] = None,
        engine: Annotated[str | None, typer.Option(help="fast or abtem (multislice).")] = None,
        mode: Annotated[str | None, typer.Option(help="hrtem, haadf, adf or abf.")] = None,
        zone: Annotated[str | None, typer.Option(help="Zone axis, such as 1,1,0.")] = None,
        pixel_size: Annotated[float | None, typer.Option(help="Pixel size in pm.")] = None,
        shape: Annotated[str | None, typer.Option(help="ROWS,COLUMNS of a frame.")] = None,
        variety: Annotated[
            float | None, typer.Option(help="How much frames differ in noise and lens: 0 to 1.")
        ] = None,
        settings: Annotated[
            Path | None, typer.Option(help="Settings to begin with (JSON).")
        ] = None,
        first: Annotated[int, typer.Option(min=0, help="Number of the first frame.")] = 0,
        seed: Seed = 0,
        print_settings: Annotated[
            bool, typer.Option("--print-settings", help="Print the settings; make nothing.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        changes = changes_of(snr, dose, drop, engine, mode)
        given = {"pixel_size_pm": pixel_size, "variety": variety}
        changes |= {name: value for name, value in given.items() if value is not None}
        if shape is not None:
            changes["shape"] = frame_shape(shape)
        chosen = changed(base_settings(what, settings, zone), changes)
        if print_settings:
            print_json(chosen.model_dump(mode="json"))
            return
        refuse_taken(output, chosen, first, n)
        if chosen.imaging.engine == "abtem" and chosen.imaging.mode != "hrtem":
            console.print("Multislice takes minutes for a STEM frame; Ctrl+C keeps what is made.")
        tally = Tally()
        stopped = ""
        try:
            with progress_bar(chosen.title) as move:
                pairs = simulate_pairs(chosen, n, seed=seed, first=first, on_progress=move)
                for made in write_simulated(pairs, output):
                    tally.add(made)
        except KeyboardInterrupt:
            stopped = "Stopped. "
        result = tally.summary(chosen, output, n)
        console.print(stopped + sentence(result), soft_wrap=True, markup=False)
        if as_json:
            print_json(result)
        if stopped:
            raise typer.Exit(1)
