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


def base_settings(what: str | None, settings_file: Path | None, zone: str | None) -> Any:
    """Return the settings that the other options then change."""
    if settings_file is not None:
        base = read_settings(settings_file)
        if what is not None:
            structure = find_settings(what).structure if what in EXAMPLES else None
            base = base.model_copy(
                update={"structure": structure or from_file(Path(what)).structure}
            )
    elif what is None:
        raise UserError(
            f"Say what to simulate: {', '.join(EXAMPLES)}, a structure file, or --settings FILE."
        )
    elif what in EXAMPLES or what.endswith(".json"):
        base = find_settings(what)
    else:
        base = from_file(Path(what))
    if zone is None:
        return base
    if "zone" not in type(base.structure).model_fields:
        raise UserError(
            f"A {base.structure.kind} has no zone axis to choose: leave --zone out, or give a "
            "structure file."
        )
    chosen: Any = whole_numbers(zone, 3, "--zone")
    if base.structure.kind != "file":
        chosen = "".join(str(n) for n in chosen)
    return changed(base, {"structure": {"zone": chosen}})


def summary(
    settings: SimulationSettings, folder: Path, made: list[dict[str, Any]], asked: int, took: float
) -> dict[str, Any]:
    """Return what was made, as numbers."""
    atoms: Counter[str] = Counter()
    for one in made:
        atoms.update(one["atoms"])
    return {
        "folder": str(folder),
        "pairs": len(made),
        "asked": asked,
        "names": [one["name"] for one in made],
        "atoms": dict(atoms),
        "vacancies": sum(one["vacancies"] for one in made),
        "snr": _mean([one["snr"] for one in made]),
        "dose_e_per_a2": _mean([one["dose"] for one in made]),
        "missing_fraction": _mean([one["missing"] for one in made]),
        "pixel_size_pm": settings.pixel_size_pm,
        "shape": list(settings.shape),
        "seconds": took,
    }


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def say(result: dict[str, Any]) -> str:
    """Return the summary as a sentence."""
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
        from napari_apgan.simulate.pairs import simulate_pairs, write_simulated

        noise: dict[str, Any] = {}
        if snr is not None or dose is not None:
            noise |= {"snr": snr, "dose": dose}
        if drop is not None:
            noise |= {"loss": "random" if drop else "none", "lost_fraction": drop}
        lens = {k: v for k, v in {"engine": engine, "mode": mode}.items() if v is not None}
        changes: dict[str, Any] = {"degradation": noise, "imaging": lens}
        if pixel_size is not None:
            changes["pixel_size_pm"] = pixel_size
        if shape is not None:
            changes["shape"] = frame_shape(shape)
        if variety is not None:
            changes["variety"] = variety
        chosen = changed(base_settings(what, settings, zone), changes)
        if print_settings:
            print_json(chosen.model_dump(mode="json"))
            return
        refuse_taken(output, chosen, first, n)
        began = time.perf_counter()
        made: list[dict[str, Any]] = []
        stopped = False
        try:
            with progress_bar(chosen.title) as move:
                pairs = simulate_pairs(chosen, n, seed=seed, first=first, on_progress=move)
                for one in write_simulated(pairs, output):
                    degradation = one.record["degradation"]
                    made.append(
                        {
                            "name": one.pair.name,
                            "atoms": Counter(one.pair.atoms["element"].tolist()),
                            "vacancies": len(one.vacancies),
                            "snr": degradation["snr"],
                            "dose": degradation["dose_e_per_a2"],
                            "missing": degradation["missing_fraction"],
                        }
                    )
        except KeyboardInterrupt:
            stopped = True
        result = summary(chosen, output, made, n, time.perf_counter() - began)
        console.print(("Stopped. " if stopped else "") + say(result), soft_wrap=True, markup=False)
        if as_json:
            print_json(result)
        if stopped:
            raise typer.Exit(1)
