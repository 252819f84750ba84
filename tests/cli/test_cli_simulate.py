"""``apgan simulate`` and training on what it simulates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_apgan.cli import run
from napari_apgan.io.pairs import read_pairs
from napari_apgan.simulate import EXAMPLES, SimulationSettings
from napari_apgan.train import RunFile

SMALL = ["--shape", "64,80", "--variety", "0"]


def said(capsys: pytest.CaptureFixture[str]) -> tuple[dict, str]:
    """What was printed for machines, and what for people."""
    out, err = capsys.readouterr()
    return json.loads(out) if out.strip() else {}, " ".join(err.split())


def test_pairs_are_written_and_summed_up(tmp_path, capsys):
    folder = tmp_path / "pairs"
    options = ["-n", "3", "--snr", "1.38", "--drop", "0.3", "--seed", "7", "--pixel-size", "25"]
    assert run(["simulate", "graphene", "-o", str(folder), *SMALL, *options, "--json"]) == 0
    result, told = said(capsys)
    pairs = read_pairs(folder)
    assert result["names"] == [p.name for p in pairs] == [f"graphene_{k:04d}" for k in range(3)]
    assert result["pairs"] == result["asked"] == 3
    assert result["atoms"] == {"C": sum(len(p.atoms) for p in pairs)}
    assert result["snr"] == pytest.approx(1.38, rel=0.05)
    assert result["missing_fraction"] == pytest.approx(0.3, abs=0.001)
    assert result["shape"] == [64, 80]
    assert "3 of 3 pairs in" in told
    for pair in pairs:
        assert pair.frame.shape == (64, 80)
        assert pair.frame.calibration.x_pm == 25
        assert pair.simulation["seed"] == 7


def test_more_pairs_go_on_after_the_last_and_none_is_overwritten(tmp_path, capsys):
    command = ["simulate", "graphene", "-o", str(tmp_path), *SMALL, "-n", "2"]
    assert run(command) == 0
    assert run(command) == 2
    assert "holds graphene_0000 already" in said(capsys)[1]
    assert run([*command, "--first", "2"]) == 0
    assert len(read_pairs(tmp_path)) == 4


def test_settings_can_be_printed_changed_and_used(tmp_path, capsys):
    assert run(["simulate", "graphene", "--print-settings", "--dose", "900"]) == 0
    printed, _ = said(capsys)
    chosen = SimulationSettings.model_validate(printed)
    assert chosen.degradation.dose == 900
    assert chosen.degradation.snr is None
    assert chosen.structure == EXAMPLES["graphene"].structure
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(printed | {"shape": [48, 64], "variety": 0}))
    folder = tmp_path / "pairs"
    assert run(["simulate", "--settings", str(mine), "-o", str(folder), "-n", "1", "--json"]) == 0
    result, _ = said(capsys)
    assert result["shape"] == [48, 64]
    assert result["dose_e_per_a2"] == pytest.approx(900)
    assert run(["simulate", "mos2", "--settings", str(mine), "--print-settings"]) == 0
    mixed = SimulationSettings.model_validate(said(capsys)[0])
    assert mixed.structure == EXAMPLES["mos2"].structure
    assert mixed.degradation.dose == 900


def test_a_structure_file_is_cut_along_its_zone_axis(tmp_path, capsys):
    pytest.importorskip("ase")
    from ase.build import bulk
    from ase.io import write

    path = tmp_path / "gold.cif"
    write(path, bulk("Au", cubic=True))
    folder = tmp_path / "pairs"
    command = ["simulate", str(path), "-o", str(folder), "-n", "1", *SMALL, "--json"]
    assert run([*command, "--zone", "1,1,0"]) == 0
    result, _ = said(capsys)
    assert set(result["atoms"]) == {"Au"}
    assert result["names"] == ["file_0000"]
    assert tuple(read_pairs(folder)[0].simulation["settings"]["structure"]["zone"]) == (1, 1, 0)
    capsys.readouterr()
    assert run([*command, "--zone", "0,0,0", "--first", "1"]) == 2
    told = said(capsys)[1]
    assert "zone" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Say what to simulate: graphene"),
        (["cheese"], "neither an example (graphene"),
        (["graphene", "--dose", "-2"], "dose"),
        (["graphene", "--snr", "2", "--dose", "2"], "cannot both be asked for"),
        (["graphene", "--drop", "1.5"], "lost pixels"),
        (["graphene", "--zone", "1,1,0"], "no zone axis"),
        (["graphene", "--shape", "many"], "--shape takes"),
        (["graphene", "--shape", "4"], "sides must be between"),
        (["graphene", "--engine", "magic"], "imaging.engine"),
        (["none.json"], "cannot be read"),
        (["graphene", "--settings", "none.json"], "cannot be read"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_two(arguments, sentence, tmp_path, capsys):
    assert run(["simulate", *arguments, "-o", str(tmp_path / "out")]) == 2
    told = said(capsys)[1]
    assert sentence in told
    assert told.startswith("apgan: ")
    assert "Traceback" not in told
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_what_is_written(tmp_path, capsys, monkeypatch):
    from napari_apgan.simulate import pairs

    real = pairs.simulate_pair

    def interrupted(settings, seed, number):
        if number == 2:
            raise KeyboardInterrupt
        return real(settings, seed, number)

    monkeypatch.setattr(pairs, "simulate_pair", interrupted)
    assert run(["simulate", "graphene", "-o", str(tmp_path), *SMALL, "-n", "9", "--json"]) == 1
    result, told = said(capsys)
    assert "Stopped. 2 of 9 pairs" in told
    assert result["pairs"] == len(read_pairs(tmp_path)) == 2


@pytest.fixture
def small_settings(tmp_path: Path) -> str:
    path = tmp_path / "stream.json"
    chosen = EXAMPLES["graphene"].model_dump(mode="json") | {"shape": [64, 64], "variety": 0}
    path.write_text(json.dumps(chosen))
    return str(path)


def test_a_model_is_trained_on_simulated_frames_alone(tmp_path, small_settings, capsys):
    out = tmp_path / "run"
    command = ["train", "-o", str(out), "--simulate", small_settings, "--steps", "2"]
    assert run([*command, "--device", "cpu", "--json"]) == 0
    result, _ = said(capsys)
    assert result["event"] == "done"
    assert result["score"]["split"] == "simulated"
    file = RunFile.read(out)
    assert file.settings.stream_share == 1.0
    assert file.element_names == ["C"]
    assert (out / "best.safetensors").exists()


def test_what_cannot_be_trained_on_is_refused(tmp_path, small_settings, capsys):
    out = str(tmp_path / "run")
    assert run(["train", "-o", out]) == 2
    assert "Say what to train on" in said(capsys)[1]
    assert run(["train", "-o", out, "--simulate", "cheese"]) == 2
    assert "no example called" in said(capsys)[1]
    bad = ["train", "-o", out, "--simulate", small_settings, "--simulated-share", "2"]
    assert run(bad) == 2
    assert "part between 0 and 1" in said(capsys)[1]
    pairs = tmp_path / "pairs"
    assert run(["simulate", "particle", "-o", str(pairs), *SMALL, "-n", "1"]) == 0
    capsys.readouterr()
    assert run(["train", str(pairs), "-o", out, "--simulate", small_settings]) == 2
    assert "show C, which is not among the elements here (Pt)" in said(capsys)[1]


def test_an_unknown_coding_is_refused(tmp_path, small_settings, capsys):
    wrong = ["train", "-o", str(tmp_path / "out"), "--simulate", small_settings, "--coding", "cmyk"]
    assert run(wrong) == 2
    assert "--coding takes elements or rgb" in said(capsys)[1]
