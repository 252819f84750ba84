"""A model file is complete, refuses damage with a sentence, and its card needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.models import ModelCard, read_card
from napari_apgan.models.card import CARD_KEY
from napari_apgan.models.modelfile import load_model, save_model
from napari_apgan.models.networks import build_network
from napari_apgan.models.presets import PRESETS


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(
        preset="fast",
        network=PRESETS["fast"].network,
        elements=tuple(make_elements(["Pb", "Ti"])),
        radius_px={"Pb": 3.0, "Ti": 2.5},
        pixel_size_pm=12.5,
    )


@pytest.fixture
def saved(card: ModelCard, tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "best.safetensors"
    save_model(path, build_network(card), card)
    return path


def test_a_saved_model_answers_as_before(card: ModelCard, tmp_path: Path) -> None:
    network = build_network(card).eval()
    written = save_model(tmp_path / "m.safetensors", network, card)
    model = load_model(tmp_path / "m.safetensors")
    x = torch.randn(1, 2, 20, 20)
    with torch.no_grad():
        assert torch.equal(network(x), model.network(x))
    assert model.card == written == read_card(tmp_path / "m.safetensors")
    assert len(written.weights_sha256) == 64
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_channels_last_weights_are_saved_in_the_plain_layout(
    card: ModelCard, tmp_path: Path
) -> None:
    network = build_network(card).to(memory_format=torch.channels_last)
    save_model(tmp_path / "m.safetensors", network, card)
    loaded = load_model(tmp_path / "m.safetensors").network.state_dict()
    assert all(torch.equal(v, loaded[k]) for k, v in network.state_dict().items())


def test_a_run_folder_stands_for_its_best_model(saved: Path) -> None:
    assert load_model(saved.parent).card.preset == "fast"
    (saved.parent / "empty").mkdir()
    with pytest.raises(UserError, match="no model yet"):
        load_model(saved.parent / "empty")


def test_the_file_can_be_replaced_while_its_model_is_in_use(card: ModelCard, saved: Path) -> None:
    model = load_model(saved)
    save_model(saved, build_network(card), card)
    with torch.no_grad():
        assert torch.isfinite(model.network(torch.zeros(1, 2, 8, 8))).all()


def test_weights_that_are_not_finite_are_never_saved(card: ModelCard, tmp_path: Path) -> None:
    network = build_network(card)
    with torch.no_grad():
        next(network.parameters()).flatten()[0] = float("nan")
    with pytest.raises(UserError, match="not a finite number"):
        save_model(tmp_path / "m.safetensors", network, card)
    assert not list(tmp_path.iterdir())


def _rewrite(path: Path, change: str) -> None:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    name = sorted(state)[0]
    if change == "value":
        state[name] = state[name] + 1
    elif change == "shape":
        state[name] = torch.zeros(3)
    elif change == "missing":
        del state[name]
    elif change == "no card":
        metadata = {}
    elif change == "newer":
        metadata[CARD_KEY] = json.dumps(json.loads(metadata[CARD_KEY]) | {"schema_version": 99})
    elif change == "torn card":
        metadata[CARD_KEY] = metadata[CARD_KEY][:-20]
    save_file(state, path, metadata)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("value", "checksum"),
        ("shape", "do not fit the network"),
        ("missing", "do not fit the network"),
        ("no card", "carries no model card"),
        ("newer", "newer version"),
        ("torn card", "card of .* is damaged"),
    ],
)
def test_a_file_that_was_tampered_with_is_refused(saved: Path, change: str, sentence: str) -> None:
    _rewrite(saved, change)
    with pytest.raises(UserError, match=sentence):
        load_model(saved)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"\x10" + b"\0" * 7 + b"{}" * 8])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    for read in (load_model, read_card):
        with pytest.raises(UserError, match="damaged"):
            read(path)


def test_a_truncated_model_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        load_model(saved)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no model"):
        read_card(tmp_path / "none.safetensors")


def test_presets_and_cards_are_read_without_torch(saved: Path) -> None:
    code = (
        "import sys; from napari_apgan.models import PRESETS, read_card; "
        f"print(read_card({str(saved)!r}).element_names, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['Pb', 'Ti'] False"
