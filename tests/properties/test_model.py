"""`SlotModel` as a whole: a set of slots goes through it as a set."""

from typing import Any

import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio import SlotModel, Spec, UserError, compose
from slotaudio.frontends.stft import STFT
from slotaudio.types import Estimates, Features, Slots, Spectrum

seeds = st.integers(0, 2**31 - 1)
few = settings(max_examples=10)  # of the tests that run whole models
WINDOW = 400


def small(seed: int = 0, slots: int = 2, **stages: Any) -> SlotModel:
    torch.manual_seed(seed)
    defaults = {
        "frontend": Spec("stft", sample_rate=800, window=32, hop=10, framing="centred"),
        "encoder": Spec("resnet", depth=10, width=4),
        "bottleneck": Spec("transformer", slot_dim=8, layers=1, heads=2, qkv_dim=8, mlp_dim=8, presence=True),
        "decoder": Spec("spatial_broadcast", hidden=8, layers=2, waves=[3, 3]),
    }
    return compose(**{**defaults, **stages}, slots=slots).eval()


def windows(seed: int, steps: int = 1, silent: bool = False) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * (not silent) * torch.randn(2, steps, 1, WINDOW, generator=generator)


@few
@given(seeds, st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_permuting_the_queries_permutes_slots_and_estimates(seed, slots, steps, silent):
    model, given_ = small(seed, slots), windows(seed, steps, silent)
    order = torch.randperm(slots, generator=torch.Generator().manual_seed(seed))
    initial = model.initial_slots(2)
    here, there = model(given_, initial), model(given_, initial[:, order])
    torch.testing.assert_close(there.slots.vectors, here.slots.vectors[:, :, order], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(there.slots.presence, here.slots.presence[:, :, order], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(there.estimates.magnitudes, here.estimates.magnitudes[:, order], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.sources(there, 2), model.sources(here, 2)[:, :, order], atol=1e-4, rtol=1e-4)


@few
@given(seeds, st.integers(1, 3))
def test_windows_of_a_model_without_memory_do_not_see_each_other(seed, steps):
    model, given_ = small(seed), windows(seed, steps)
    together = model.sources(model(given_), 2)
    assert together.shape == (2, steps, 2, 1, WINDOW)
    for step in range(steps):
        alone = model.sources(model(given_[:, step : step + 1]), 2)
        torch.testing.assert_close(alone[:, 0], together[:, step], atol=1e-5, rtol=1e-4)


@few
@given(seeds, st.integers(1, 4), st.sampled_from(["wiener", "binary"]), st.booleans())
def test_sources_add_up_to_the_mixture(seed, slots, mask, silent):
    model, given_ = small(seed, slots, mask=mask), windows(seed, 2, silent)
    sources = model.sources(model(given_), 2)
    torch.testing.assert_close(sources.sum(2), given_, atol=1e-5, rtol=0)


@few
@given(seeds)
def test_prediction_repeats(seed):
    model, given_ = small(seed), windows(seed)
    assert torch.equal(model(given_).estimates.magnitudes, model(given_).estimates.magnitudes)


class FrameEncoder:
    """One step per frame."""

    out_dim = 32

    def __call__(self, features: torch.Tensor) -> Features:
        return Features(rearrange(features, "batch 1 freq frames -> batch frames 1 freq"), torch.zeros(1, 2))


class PassOn:
    """Every token is a slot."""

    slot_dim = 32

    def initial_slots(self, batch: int, generator: torch.Generator | None = None) -> torch.Tensor:
        return torch.zeros(batch, 1, 1)

    def __call__(self, features: Features, initial: torch.Tensor) -> Slots:
        return Slots(features.tokens)


def frame_decoder(vectors: torch.Tensor, features: Features, spectrum: Spectrum) -> Estimates:
    """Put the frames back together."""
    return Estimates(magnitudes=rearrange(vectors, "batch frames slots freq -> batch slots 1 freq frames"))


def test_steps_of_all_windows_reach_the_bottleneck_in_order_and_the_decoder_by_window():
    frontend = STFT(sample_rate=800, window=64, hop=20)
    model = SlotModel(frontend, FrameEncoder(), PassOn(), frame_decoder, specs={}, slots=1, window=0.5)
    clip = torch.randn(2, 1, 2 * WINDOW)
    prediction = model(rearrange(clip, "batch 1 (steps time) -> batch steps 1 time", steps=2))
    frames = WINDOW // 20
    assert prediction.slots.vectors.shape == (2, 2 * frames, 1, 32)
    for item in range(2):
        for step in range(2):
            window = clip[item : item + 1, :, step * WINDOW : (step + 1) * WINDOW]
            expected = frontend.compress(frontend(window).values)[0, 0]
            found = prediction.slots.vectors[item, step * frames : (step + 1) * frames, 0].mT
            torch.testing.assert_close(found, expected)
            torch.testing.assert_close(prediction.estimates.magnitudes[2 * item + step, 0, 0], expected)


def test_dimensions_are_threaded_from_stage_to_stage():
    model = small(slots=3, encoder=Spec("resnet", depth=18, width=6))
    assert model.encoder.out_dim == 48
    assert model.bottleneck.layers[0].across.to_keys.in_features == 48
    assert model.decoder.from_slot.in_features == model.bottleneck.slot_dim == 8
    assert model.initial_slots(2).shape == (2, 3, 8)
    assert model.window_samples == WINDOW
    complex_ = small(frontend=Spec("stft", sample_rate=800, window=32, hop=10, features="complex"))
    assert complex_.encoder.root.in_channels == 3


def test_paper_geometry_of_the_default_model():
    model = compose(
        encoder=Spec("resnet", depth=10, width=4),
        bottleneck=Spec("transformer", slot_dim=8, layers=1),
        decoder=Spec("spatial_broadcast", hidden=4, layers=1),
    )
    prediction = model(torch.zeros(1, 1, 1, 8000))
    assert prediction.spectrum.values.shape == (1, 1, 256, 64)
    assert prediction.features.tokens.shape == (1, 1, 32 * 8, 32)
    assert prediction.slots.attention.shape == (1, 1, 2, 32 * 8)
    assert prediction.estimates.magnitudes.shape == (1, 2, 1, 256, 64)


def test_a_model_without_decoder_only_encodes():
    model = small(bottleneck=None, decoder=None)
    assert model.encode(torch.zeros(2, 1, WINDOW)).tokens.shape[0] == 2
    with pytest.raises(UserError, match="without a bottleneck"):
        model(windows(0))
