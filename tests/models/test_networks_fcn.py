"""The two rival networks: tiles without seams, squared errors alone, cards that return."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame
from napari_apgan.models.card import ModelCard
from napari_apgan.models.modelfile import Model, load_model, save_model
from napari_apgan.models.networks import (
    AtomNetwork,
    build_discriminator,
    build_network,
    fold_batch_norm,
)
from napari_apgan.models.presets import PRESETS, LossWeights
from napari_apgan.predict.inference import predict_maps
from napari_apgan.train.dataset import Batch
from napari_apgan.train.steps import Learner

RIVALS = ["fcn1", "fcn2"]


@pytest.fixture(params=RIVALS)
def model(request: pytest.FixtureRequest) -> Model:
    """A narrow network of each kind, with batch-norm statistics that matter."""
    torch.manual_seed(3)
    spec = PRESETS[request.param].network
    card = ModelCard(
        preset=request.param,
        network=spec.model_copy(update={"options": spec.options | {"channels": 8}}),
        elements=tuple(make_elements(["Pb", "Ti"])),
        radius_px={"Pb": 3.0, "Ti": 2.5},
        pixel_size_pm=20.0,
    )
    network = build_network(card)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0, 0.5)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(1.0, 2.0)
    return Model(card, network.eval())


def _lattice(seed: int) -> Batch:
    """Two noisy crops of Gaussian atoms, and the discs to be found."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48]
    images, discs = [], []
    for _ in range(2):
        at = rng.uniform(0, 12, 2)
        r2 = ((x - at[0] + 6) % 12 - 6) ** 2 + ((y - at[1] + 6) % 12 - 6) ** 2
        images.append(np.exp(-r2 / 8) + rng.normal(0, 0.1, r2.shape))
        discs.append(r2 <= 9)
    image = torch.tensor(np.array(images), dtype=torch.float32)[:, None]
    target = torch.tensor(np.array(discs), dtype=torch.float32)[:, None]
    return Batch(torch.cat([image, torch.ones_like(image)], dim=1), target, torch.ones_like(image))


def _mse(network: AtomNetwork, batch: Batch) -> float:
    network.eval()
    with torch.no_grad():
        return float(((network(batch.x) - batch.target) ** 2).mean())


@pytest.mark.parametrize("shape", [(1, 1), (7, 90), (41, 56)])
def test_any_size_gives_one_probability_map_an_element(
    model: Model, shape: tuple[int, int]
) -> None:
    with torch.no_grad():
        maps = model.network(torch.randn(2, 2, *shape))
    assert maps.shape == (2, 2, *shape)
    assert float(maps.min()) >= 0
    assert float(maps.max()) <= 1


def test_tiles_are_the_whole(model: Model) -> None:
    rng = np.random.default_rng(0)
    valid = rng.random((181, 203)) > 0.1
    data = np.where(valid, rng.normal(100, 20, valid.shape), 0).astype(np.float32)
    frame = Frame(data, valid, Calibration.from_pixel_size(20.0, origin="user"))
    whole = predict_maps(model, frame, tile=1024, device="cpu")
    tiled = predict_maps(model, frame, tile=40, device="cpu")
    assert float(np.ptp(whole)) > 1e-3
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_every_weight_gets_a_gradient(model: Model) -> None:
    network = model.network.train()
    (network(torch.randn(2, 2, 32, 32)) ** 2).sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert bool(torch.isfinite(weight.grad).all()), name
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.grad is not None
            assert float(module.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize("name", RIVALS)
def test_the_loss_is_the_squared_error_alone_without_an_adversary(name: str) -> None:
    assert PRESETS[name].recipe.weights == LossWeights(mse=1.0)
    assert build_discriminator(PRESETS[name], 2) is None


@pytest.mark.parametrize("name", RIVALS)
def test_thirty_steps_of_the_trainer_lower_the_squared_error(name: str) -> None:
    torch.manual_seed(0)
    learner = Learner(PRESETS[name], n_elements=1, device=torch.device("cpu"))
    sample = _lattice(0)
    # What the best constant map would leave: a network that learned only the mean stays above.
    constant = float(sample.target.var())
    before = _mse(learner.validated, sample)
    for _ in range(30):
        parts = learner.step(sample)
        assert set(parts) == {"loss", "mse"}
    # The batch-norms' running statistics still lag behind the weights after so few steps.
    assert _mse(learner.validated, sample) < 0.9 * min(before, constant)


def test_the_unet_drops_features_where_asked_and_only_in_training() -> None:
    unet = PRESETS["fcn2"].network
    assert unet.options["dropout"] == 0
    dropping = unet.model_copy(update={"options": unet.options | {"dropout": 0.5}})
    for spec, drops in ((PRESETS["fcn1"].network, False), (unet, False), (dropping, True)):
        network = build_network(spec, 1)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        x = torch.randn(1, 2, 32, 32)
        with torch.no_grad():
            assert torch.equal(network(x), network(x)) is not drops
            network.eval()
            assert torch.equal(network(x), network(x))


def test_only_the_unet_carries_fine_detail_across() -> None:
    """With the bottom silenced, the encoder-decoder is blind and the U-Net still sees."""
    for name, sees in (("fcn1", False), ("fcn2", True)):
        network = build_network(PRESETS[name], 1).eval()
        bottom = network.get_submodule("bottom")
        bottom.register_forward_hook(lambda _module, _inputs, output: torch.zeros_like(output))
        with torch.no_grad():
            maps = [network(torch.randn(1, 2, 32, 32)) for _ in range(2)]
        assert torch.equal(*maps) is not sees


def test_folding_batch_norm_changes_no_answer(model: Model) -> None:
    x = torch.randn(1, 2, 24, 24)
    with torch.no_grad():
        before = model.network(x)
        after = fold_batch_norm(model.network)(x)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.network.modules())
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)


def test_a_saved_model_comes_back_with_its_card(model: Model, tmp_path: Path) -> None:
    written = save_model(tmp_path / "m.safetensors", model.network, model.card)
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.card == written
    assert loaded.card.network == model.card.network
    x = torch.randn(1, 2, 24, 24)
    with torch.no_grad():
        assert torch.equal(loaded.network.eval()(x), model.network(x))


def test_a_unet_of_another_depth_is_refused_in_a_sentence() -> None:
    spec = PRESETS["fcn2"].network
    shallow = spec.model_copy(update={"options": spec.options | {"layers": (1, 2)}})
    with pytest.raises(UserError, match="four levels"):
        build_network(shallow, 1)
