"""Elements as colours of one picture: painted, learned and read back as maps of the elements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.maps import color_code, draw_discs
from napari_apgan.models import read_card
from napari_apgan.models.coding import paint, paint_mask, unpaint
from napari_apgan.models.modelfile import Model, load_model
from napari_apgan.models.networks import build_discriminator, build_network
from napari_apgan.models.presets import get_preset
from napari_apgan.predict.inference import predict_frame
from napari_apgan.train import RunSettings, prepare_run
from napari_apgan.train.dataset import Batch
from napari_apgan.train.steps import Learner
from napari_apgan.train.warmstart import copy_weights

from .conftest import ELEMENTS, TINY, lattice_pair
from .test_training import shrink, train

RGB: dict[str, Any] = {"options": {"blocks": 1, "channels": 4}, "receptive_field_px": 23}


def settings(**more: Any) -> RunSettings:
    usual = {"preset": "paper", "coding": "rgb", "network": RGB, "steps": 4, "recipe": TINY}
    return RunSettings(device="cpu", threads=1, **usual | more)


def discs(n_elements: int) -> torch.Tensor:
    places = np.array([[8.3, 8.1], [20.4, 9.0], [13.7, 22.2]])
    maps = [draw_discs(places[k : k + 1], 3.0, (30, 30)) for k in range(n_elements)]
    return torch.from_numpy(np.stack(maps))[None]


def test_the_colours_are_the_papers() -> None:
    assert color_code(1).tolist() == [[0, 1, 0]]
    assert color_code(3).tolist() == [[1, 0, 1], [0, 1, 1], [1, 1, 0]]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_what_is_painted_is_read_back(n: int) -> None:
    maps = discs(n)
    picture = paint(maps)
    assert picture.shape == (1, 3, 30, 30)
    torch.testing.assert_close(unpaint(picture, n), maps, atol=1e-6, rtol=0)


def test_colours_that_no_element_has_are_black() -> None:
    picture = paint(discs(1))
    assert picture[:, [0, 2]].abs().max() == 0
    assert picture[:, 1].max() == 1


def test_a_grey_pixel_is_no_element_for_sure() -> None:
    maps = unpaint(torch.ones(1, 3, 1, 1), 3)
    torch.testing.assert_close(maps, torch.full((1, 3, 1, 1), 0.5))


def test_a_picture_is_learned_where_all_elements_are_known() -> None:
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]).reshape(1, 2, 1, 3)
    assert paint_mask(mask).flatten().tolist() == [1, 0, 0]


def test_the_network_draws_three_colours_and_answers_elements() -> None:
    preset = settings().chosen_preset()
    network = build_network(preset, 2).eval()
    x = torch.rand(1, 2, 20, 20)
    with torch.no_grad():
        assert network.draw(x).shape == (1, 3, 20, 20)
        torch.testing.assert_close(network(x), unpaint(network.draw(x), 2))
    judge = build_discriminator(preset, 2)
    assert judge is not None
    assert judge(torch.rand(1, 3, 32, 32)).shape == (1, 2)


def test_a_step_holds_the_picture_against_the_painted_labels() -> None:
    preset = settings(
        recipe=TINY | {"weights": {"adversarial": 0, "ssim": 0, "psnr": 0, "mse": 1}}
    ).chosen_preset()
    learner = Learner(preset, 1, torch.device("cpu"))
    learner.set_rates(0.0)
    x = torch.rand(1, 2, 30, 30)
    target, mask = discs(1), torch.ones(1, 1, 30, 30)
    learner.network.train()
    with torch.no_grad():
        expected = ((learner.network.draw(x) - paint(target)) ** 2).mean()
    found = learner.step(Batch(x, target, mask))
    assert found["loss"] == pytest.approx(float(expected), rel=1e-4)


def test_a_training_in_colours_ends_in_a_model_that_answers_elements(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run = prepare_run([lattice_pair()], run_dir, settings(), ELEMENTS)
    assert run.preset.network.coding == "rgb"
    shrink_discriminator(run_dir)
    train(run_dir)
    card = read_card(run_dir)
    assert card.network.coding == "rgb"
    assert card.element_names == ["Pb", "Ti"]
    model = load_model(run_dir)
    assert model.network.state_dict()["head.weight"].shape[0] == 3
    found = predict_frame(model, lattice_pair(seed=1).frame, threshold=0.05, device="cpu")
    assert found.maps.shape == (2, 64, 64)
    assert found.elements == ("Pb", "Ti")
    assert np.load(run_dir / "preview.npy").shape == (2, 64, 64)


def shrink_discriminator(run_dir: Path) -> None:
    from napari_apgan.train import RunFile

    run = RunFile.read(run_dir)
    judge = run.preset.discriminator
    assert judge is not None
    judge = judge.model_copy(update={"options": {"widths": (4, 8)}})
    preset = run.preset.model_copy(update={"discriminator": judge})
    run.model_copy(update={"preset": preset}).write(run_dir)


def test_four_elements_are_too_many_for_three_colours(tmp_path: Path) -> None:
    pair = lattice_pair()
    names = np.array(["A", "B", "C", "D"])[np.arange(len(pair.atoms)) % 4]
    from dataclasses import replace

    pair = replace(pair, atoms=pair.atoms.assign(element=names))
    with pytest.raises(UserError, match="at most 3 elements apart, and here are 4"):
        prepare_run([pair], tmp_path / "run", settings(), make_elements(["A", "B", "C", "D"]))


def test_a_model_of_another_coding_is_not_continued_from(prepare: Any, tmp_path: Path) -> None:
    prepare(tmp_path / "a", preset="paper", steps=1)
    shrink(tmp_path / "a")
    train(tmp_path / "a")
    with pytest.raises(UserError, match="choose coding 'elements'"):
        prepare_run([lattice_pair()], tmp_path / "b", settings(init=str(tmp_path / "a")), ELEMENTS)


def test_continuing_keeps_the_colours_of_the_same_elements_only() -> None:
    preset = settings().chosen_preset()
    earlier = build_network(preset, 2)
    card = read_card_like(preset)
    same, other = build_network(preset, 2), build_network(preset, 2)
    fresh = other.state_dict()["head.weight"].clone()
    assert copy_weights(same, ["Pb", "Ti"], Model(card, earlier)) == []
    assert torch.equal(same.state_dict()["head.weight"], earlier.state_dict()["head.weight"])
    assert copy_weights(other, ["Ti", "Pb"], Model(card, earlier)) == ["Ti", "Pb"]
    assert torch.equal(other.state_dict()["head.weight"], fresh)
    assert torch.equal(other.state_dict()["stem.weight"], earlier.state_dict()["stem.weight"])


def read_card_like(preset: Any) -> Any:
    from napari_apgan.models.card import ModelCard

    return ModelCard(
        preset="paper",
        network=preset.network,
        elements=tuple(ELEMENTS),
        radius_px={e.name: 2.0 for e in ELEMENTS},
    )


def test_settings_of_a_discriminator_need_one() -> None:
    with pytest.raises(UserError, match="has no discriminator"):
        RunSettings(preset="fcn1", discriminator={"stride": 8}).chosen_preset()
    assert get_preset("paper").network.coding == "elements"
