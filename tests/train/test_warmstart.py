"""Starting from a model that knows atoms by their contrast, and training such a model."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_apgan.cli.train import load_sources
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.maps import default_radius_px
from napari_apgan.models import bundled
from napari_apgan.models.card import ModelCard, read_card, resolve_model
from napari_apgan.models.modelfile import Model, load_model
from napari_apgan.models.networks import build_network
from napari_apgan.simulate.zoo import ZooStream
from napari_apgan.simulate.zoo_settings import ZooSettings, channel_elements, disc_radius_px
from napari_apgan.train import RunFile, RunSettings, prepare_run
from napari_apgan.train.events import Done, EventLog
from napari_apgan.train.loop import Training
from napari_apgan.train.streaming import StreamCrops, open_stream
from napari_apgan.train.warmstart import copy_weights

from .conftest import ELEMENTS, TINY, lattice_pair

pytestmark = pytest.mark.usefixtures("no_kernel")

SMALL = ZooSettings(shape=(72, 72), crystals=0.0)


def element(name: str, polarity: Any) -> Element:
    return Element(name=name, color="#123456", polarity=polarity)


def network_of(n_elements: int, seed: int) -> Any:
    torch.manual_seed(seed)
    return build_network(RunSettings().chosen_preset(), n_elements)


def contrasts(seed: int = 1) -> Model:
    preset = RunSettings().chosen_preset()
    card = ModelCard(
        preset="fast",
        network=preset.network,
        elements=tuple(channel_elements()),
        radius_px={"bright": 3.0, "dark": 3.0},
        normalisation=preset.normalisation,
    )
    return Model(card, network_of(2, seed))


def outputs(network: Any, n_elements: int) -> torch.Tensor:
    weight = network.state_dict()[f"{network.element_layers[0]}.weight"]
    return weight.reshape(n_elements, -1)


def test_an_unknown_element_starts_from_the_channel_of_its_contrast():
    earlier, network = contrasts(), network_of(3, 2)
    elements = [element("C", "dark"), element("Pb", "bright"), element("Ti", "bright")]
    assert copy_weights(network, elements, earlier) == []
    of, to = outputs(earlier.network, 2), outputs(network, 3)
    torch.testing.assert_close(to[0], of[1])
    torch.testing.assert_close(to[1], of[0])
    torch.testing.assert_close(to[2], of[0])


def test_names_alone_say_nothing_of_contrast():
    earlier, network = contrasts(), network_of(2, 2)
    before = outputs(network, 2).clone()
    assert copy_weights(network, ["Pb", "dark"], earlier) == ["Pb"]
    torch.testing.assert_close(outputs(network, 2)[0], before[0])
    torch.testing.assert_close(outputs(network, 2)[1], outputs(earlier.network, 2)[1])


def test_a_run_from_the_bundled_start_keeps_the_radii_of_its_own_labels(tmp_path: Path):
    pair = lattice_pair()
    settings = RunSettings(init="bundled", steps=1)
    names = sorted(set(pair.atoms["element"]))
    run = prepare_run([pair], tmp_path / "r", settings, [element(n, "bright") for n in names])
    assert set(run.radius_px.values()) == {default_radius_px(pair.atoms)}
    assert (tmp_path / "r" / "init.safetensors").read_bytes() == resolve_model(
        "bundled"
    ).read_bytes()


def test_the_bundled_weights_fit_the_preset_fast():
    card = read_card("bundled")
    preset = RunSettings().chosen_preset()
    assert card.network == preset.network
    assert card.normalisation == preset.normalisation
    network = network_of(1, 0)
    assert copy_weights(network, [element("Au", "bright")], load_model("bundled")) == []


def test_missing_weights_are_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundled, "WEIGHTS", tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="lacks the bundled weights"):
        read_card("bundled")


def test_crops_bring_the_radius_and_the_channel_of_their_frame():
    with StreamCrops(
        open_stream(SMALL, 0), ["bright", "dark"], [3.0, 3.0], "contrast", None, 0
    ) as s:
        stream = ZooStream(SMALL, 0)
        for number in range(8):
            pair, crop = stream.frame(number), s.draw(72)
            names = set(pair.atoms["element"])
            if len(names) == 1:
                other = 1 if names == {"bright"} else 0
                assert not crop.learn[other].any()
                assert crop.learn[1 - other].any()
                assert not crop.target[other].any()
            whole = crop.target[0 if "bright" in names else 1]
            radius = disc_radius_px(pair)
            assert radius is not None
            assert whole.max() <= 1


def test_a_model_of_everything_is_trained_validated_and_resumed(tmp_path: Path):
    settings = RunSettings(
        steps=4, device="cpu", threads=1, stream=SMALL, recipe=TINY | {"validate_every": 2}
    )
    run = prepare_run([], tmp_path / "r", settings, channel_elements())
    assert run.pixel_size_pm is None
    assert run.settings.stream == SMALL
    assert RunFile.read(tmp_path / "r").settings.stream == SMALL
    log = EventLog(tmp_path / "r" / "events.jsonl")
    try:
        done = Training(tmp_path / "r", log, lambda: False).run()
    finally:
        log.close()
    assert isinstance(done, Done)
    assert done.score is not None
    assert set(done.score.element_f1) == {"bright", "dark"}
    assert read_card(tmp_path / "r").by_contrast


def test_everything_takes_no_training_set(tmp_path: Path):
    pairs, elements, stream = load_sources(None, "everything", pixel_size=None, missing="auto")
    assert pairs == []
    assert [e.name for e in elements] == ["bright", "dark"]
    assert stream == ZooSettings()
    with pytest.raises(UserError, match="contrast alone"):
        load_sources(tmp_path, "everything", pixel_size=None, missing="auto")


def test_only_a_model_of_the_same_atoms_is_trained_on_at_a_lower_rate(tmp_path: Path):
    def rate(name: str, init: str) -> float:
        settings = RunSettings(init=init, steps=1, device="cpu", threads=1, recipe=TINY)
        prepare_run([lattice_pair()], tmp_path / name, settings, ELEMENTS)
        with closing(EventLog(tmp_path / name / "events.jsonl")) as log:
            training = Training(tmp_path / name, log, lambda: False)
            assert isinstance(training.run(), Done)
        return training.rate

    assert rate("first", "scratch") == 1.0
    lower = rate("second", str(tmp_path / "first" / "best.safetensors"))
    assert lower == RunSettings().chosen_preset().recipe.warm_rate < 1.0
    assert rate("bundled", "bundled") == 1.0
