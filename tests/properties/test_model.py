"""`SlotModel` as a whole: a set of slots goes through it as a set."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio import SlotModel, Spec, UserError, compose

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
