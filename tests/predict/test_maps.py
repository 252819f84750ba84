"""Tiles, pixel sizes, devices and memory: the maps must not depend on how they were computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.maps import draw_discs
from napari_apgan.models.modelfile import Model
from napari_apgan.models.normalise import normalise
from napari_apgan.predict import running
from napari_apgan.predict.inference import choose_device, predict_maps
from napari_apgan.predict.prediction import Cancelled
from napari_apgan.predict.resample import maps_to_frame, network_scale, resample_frame
from napari_apgan.predict.tiles import cut, halo_px, tile_side

from .conftest import make_model, noise_frame


# Eight turns of every tile: a smaller image proves as much of them.
@pytest.mark.parametrize(
    ("shape", "tta"), [((171, 140), False), ((128, 200), False), ((90, 130), True)]
)
def test_tiles_give_what_the_whole_image_gives(model, shape, tta):
    frame = noise_frame(shape, missing=0.3)
    whole = predict_maps(model, frame, tile=4096, tta=tta, device="cpu")
    assert whole.std() > 0.02  # the answer depends on the image
    tiled = predict_maps(model, frame, tile=50, tta=tta, device="cpu")
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_a_smaller_halo_would_show_a_seam(model):
    spec = model.card.network.model_copy(update={"receptive_field_px": 4})
    short_sighted = Model(model.card.model_copy(update={"network": spec}), model.network)
    frame = noise_frame((120, 120))
    whole = predict_maps(short_sighted, frame, tile=4096, device="cpu")
    tiled = predict_maps(short_sighted, frame, tile=50, device="cpu")
    assert np.abs(tiled - whole).max() > 1e-3


def test_the_maps_are_what_the_network_says_of_the_normalised_frame(model):
    frame = noise_frame((96, 80), missing=0.2)
    stack = np.stack([normalise(frame), frame.valid.astype(np.float32)])[None]
    with torch.no_grad():
        direct = model.network(torch.from_numpy(stack))[0].numpy()
    np.testing.assert_allclose(predict_maps(model, frame, device="cpu"), direct, atol=1e-5)


def test_a_box_gives_that_part_of_the_whole(model):
    frame = noise_frame((150, 160))
    whole = predict_maps(model, frame, device="cpu")
    part = predict_maps(model, frame, box=(33, 21, 121, 140), tile=40, device="cpu")
    np.testing.assert_allclose(part, whole[:, 21:140, 33:121], atol=1e-5)


@pytest.mark.parametrize("pixel_pm", [13.0, 26.0])
def test_a_box_gives_that_part_also_when_resampled(fast_model, pixel_pm):
    frame = noise_frame((130, 150), pixel_pm=pixel_pm)
    whole = predict_maps(fast_model, frame, device="cpu")
    assert whole.shape == (2, 130, 150)
    part = predict_maps(fast_model, frame, box=(33, 21, 121, 110), tile=40, device="cpu")
    np.testing.assert_allclose(part, whole[:, 21:110, 33:121], atol=1e-5)


def test_the_given_network_stays_as_it_was():
    model = make_model("paper")
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    predict_maps(model, noise_frame((40, 40)), device="cpu")
    after = model.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_resampling_is_said_and_equal_sizes_are_not(fast_model):
    notes: list[str] = []
    predict_maps(fast_model, noise_frame((60, 60), pixel_pm=25.0), notes=notes, device="cpu")
    assert notes == [
        "The image was resampled from 25 to 20 pm per pixel for the model; positions are those of "
        "the image itself."
    ]
    silent: list[str] = []
    predict_maps(fast_model, noise_frame((60, 60), pixel_pm=20.3), notes=silent, device="cpu")
    assert silent == []


def test_an_unknown_pixel_size_is_said(fast_model):
    notes: list[str] = []
    predict_maps(fast_model, noise_frame((60, 60), pixel_pm=None), notes=notes, device="cpu")
    assert len(notes) == 1
    assert "not known" in notes[0]


def test_pixel_sizes_too_far_apart_are_refused():
    with pytest.raises(UserError, match="too far apart"):
        network_scale(Calibration.from_pixel_size(200.0, origin="user"), 20.0)


@pytest.mark.parametrize("scale", [(1.6, 1.25), (0.6, 0.8)])
def test_resampled_maps_come_back_to_where_they_were(scale):
    """Discs drawn on the network's grid at moved centres return to the frame's own centres."""
    centres = np.array([[20.3, 31.7], [60.8, 12.2], [70.1, 55.5]])
    frame = noise_frame((80, 90))
    seen = resample_frame(frame, scale)
    factors = (seen.shape[0] / 80, seen.shape[1] / 90)
    moved = (centres + 0.5) * (factors[1], factors[0]) - 0.5
    drawn = draw_discs(moved, 3.0, seen.shape)[None]
    back = maps_to_frame(drawn, (0, 0), (0, 0, 90, 80), factors)[0]
    y, x = np.mgrid[:80, :90]
    for cx, cy in centres:
        near = back * (np.hypot(x - cx, y - cy) < 9)
        found = (near * x).sum() / near.sum(), (near * y).sum() / near.sum()
        np.testing.assert_allclose(found, (cx, cy), atol=0.1)


def test_resampling_keeps_a_constant_image_and_the_missing_pixels():
    image = np.full((64, 64), 7.0)
    image[:, 40:] = np.nan
    frame = make_frame(image, Calibration.from_pixel_size(20.0, origin="user"))
    seen = resample_frame(frame, (1.5, 1.5))
    assert seen.shape == (96, 96)
    assert not seen.valid[:, 62:].any()
    np.testing.assert_allclose(seen.data[seen.valid], 7.0, rtol=1e-6)
    assert seen.calibration.x_pm == pytest.approx(20.0 / 1.5)


def test_cancelling_between_tiles_ends_at_once(fast_model):
    done: list[int] = []
    with pytest.raises(Cancelled):
        predict_maps(
            fast_model,
            noise_frame((200, 200)),
            tile=50,
            device="cpu",
            cancelled=lambda: len(done) >= 2,
            progress=lambda d, total, what: done.append(d),
        )
    assert done == [1, 2]


def test_cancelling_is_heard_within_a_tile(model):
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(len(asked))
        return len(asked) > 3

    done: list[int] = []
    with pytest.raises(Cancelled):
        predict_maps(
            model,
            noise_frame((60, 60)),
            device="cpu",
            cancelled=cancelled,
            progress=lambda d, total, what: done.append(d),
        )
    assert len(asked) == 4
    assert done == []


class _Small(nn.Module):
    """A real network that, like a small GPU, cannot take more than some pixels at a time."""

    stride = 4

    def __init__(self, inner: nn.Module, limit: int, message: str) -> None:
        super().__init__()
        self.inner, self.limit, self.message = inner, limit, message

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] * x.shape[-2] > self.limit:
            raise RuntimeError(self.message)
        return self.inner(x)


@pytest.mark.parametrize(
    "message", ["CUDA out of memory. Tried to allocate", "DefaultCPUAllocator: not enough memory"]
)
def test_when_memory_ends_the_tiles_are_halved_until_they_fit(fast_model, message):
    frame = noise_frame((300, 300))
    whole = predict_maps(fast_model, frame, device="cpu")
    small = Model(fast_model.card, _Small(fast_model.network, 240 * 240, message))
    np.testing.assert_allclose(predict_maps(small, frame, device="cpu"), whole, atol=1e-5)


def test_when_no_tile_fits_it_is_said_in_words(fast_model):
    small = Model(fast_model.card, _Small(fast_model.network, 100, "out of memory"))
    with pytest.raises(UserError, match="not enough memory"):
        predict_maps(small, noise_frame((100, 100)), device="cpu")


def test_other_errors_of_the_network_are_not_taken_for_lack_of_memory(fast_model):
    broken = Model(fast_model.card, _Small(fast_model.network, 100, "shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        predict_maps(broken, noise_frame((100, 100)), device="cpu")


def test_a_model_that_answers_nan_is_refused(fast_model):
    with torch.no_grad():
        fast_model.network.head.bias.fill_(float("nan"))
    with pytest.raises(UserError, match="not numbers"):
        predict_maps(fast_model, noise_frame((40, 40)), device="cpu")


@pytest.mark.parametrize("device", ["quantum", "meta", "cuda:99"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(UserError, match=device):
        choose_device(device)


@pytest.mark.parametrize(("tile", "halo", "stride"), [(64, 10, 1), (63, 12, 4), (1000, 8, 2)])
def test_tiles_cover_a_box_once(tile, halo, stride):
    covered = np.zeros((100, 120), dtype=int)
    for one in cut((7, 9, 118, 95), (100, 120), tile, halo, stride):
        x0, y0, x1, y1 = one.keep
        covered[y0:y1, x0:x1] += 1
        rx0, _, _, ry1 = one.read
        assert rx0 <= max(x0 - halo, 0)
        assert ry1 >= min(y1 + halo, 100)
        assert all(edge % stride == 0 for edge in one.keep)
    assert (covered[9:95, 7:118] == 1).all()
    assert covered.max() == 1


def test_halos_reach_half_the_receptive_field_in_steps_of_the_stride():
    assert halo_px(79, 1) == 40
    assert halo_px(171, 4) == 88


def test_costly_networks_get_smaller_tiles():
    assert tile_side(1.2e6, 40, gpu=False) < tile_side(2e4, 86, gpu=False) == 2048


def test_tiles_share_an_image_out_evenly():
    widths = {t.keep[2] - t.keep[0] for t in cut((0, 0, 2500, 64), (64, 2500), 2048, 128, 4)}
    assert widths == {1252, 1248}


def test_keeping_memory_changes_no_map(fast_model, monkeypatch):
    frame = noise_frame((200, 160))
    usual = predict_maps(fast_model, frame, device="cpu")
    monkeypatch.setattr(running, "LARGE_PX", 0)
    np.testing.assert_array_equal(predict_maps(fast_model, frame, device="cpu"), usual)
