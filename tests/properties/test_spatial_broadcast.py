"""Spatial broadcast decoder: each slot by itself, at any resolution, without ever making the copies."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from slotaudio import Spec, build
from slotaudio.decoders.spatial_broadcast import SpatialBroadcast
from slotaudio.errors import UserError
from slotaudio.types import Features, Spectrum

seeds = st.integers(0, 2**31 - 1)
codes = st.sampled_from(["octaves", "gaussian"])
FEATURES = Features(torch.zeros(1, 1, 1, 1), torch.zeros(1, 2))


def decoder(seed: int = 0, **options: object) -> SpatialBroadcast:
    torch.manual_seed(seed)
    return SpatialBroadcast(5, **{"hidden": 8, "layers": 3, "waves": (3, 2), **options})


def slots(seed: int, batch: int = 2, count: int = 3) -> torch.Tensor:
    return torch.randn(batch, 1, count, 5, generator=torch.Generator().manual_seed(seed))


def empty(freq: int, frames: int, batch: int = 2, channels: int = 1) -> Spectrum:
    return Spectrum(torch.zeros(batch, channels, freq, frames, dtype=torch.complex64), 1)


def naive(module: SpatialBroadcast, vectors: torch.Tensor, freq: int, frames: int) -> torch.Tensor:
    """The paper's words: copy the slot to every cell, append the place's code, one network for all cells."""
    batch, _, count, dim = vectors.shape
    places = module.places(freq, frames, vectors.device)
    copies = vectors[:, 0, :, None].expand(batch, count, freq * frames, dim)
    cells = torch.cat([copies, places.expand(batch, count, *places.shape)], dim=-1)
    first = nn.Linear(cells.shape[-1], module.from_place.out_features).to(vectors)
    first.weight.data = torch.cat([module.from_slot.weight, module.from_place.weight], dim=1)
    first.bias.data = module.from_place.bias
    cells = first(cells).relu()
    for layer in module.hidden:
        cells = layer(cells).relu()
    return module.to_values(cells).mT.unflatten(-1, (freq, frames))


@given(seeds, codes, st.integers(1, 20), st.integers(1, 12), st.integers(1, 2), st.integers(1, 3))
def test_factored_first_layer_equals_the_naive_one(seed, code, freq, frames, channels, layers):
    module = decoder(seed, code=code, channels=channels, layers=layers)
    found = module(slots(seed), FEATURES, empty(freq, frames, channels=channels)).magnitudes
    torch.testing.assert_close(found, naive(module, slots(seed), freq, frames), atol=1e-5, rtol=1e-5)


@given(seeds, codes, st.integers(1, 5))
def test_permuting_the_slots_permutes_the_estimates(seed, code, count):
    module, vectors = decoder(seed, code=code), slots(seed, count=count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    here = module(vectors, FEATURES, empty(9, 6)).magnitudes
    there = module(vectors[:, :, order], FEATURES, empty(9, 6)).magnitudes
    torch.testing.assert_close(there, here[:, order], atol=1e-5, rtol=1e-5)


@given(seeds, st.integers(1, 3))
def test_slots_and_items_do_not_see_each_other(seed, count):
    module, vectors = decoder(seed), slots(seed, count=count)
    whole = module(vectors, FEATURES, empty(9, 6)).magnitudes
    alone = module(vectors[1:, :, :1], FEATURES, empty(9, 6, batch=1)).magnitudes
    torch.testing.assert_close(alone[0, 0], whole[1, 0], atol=1e-5, rtol=1e-5)


@given(seeds, codes)
def test_same_weights_decode_any_resolution(seed, code):
    """Places are fractions of the window: every second cell of a grid of 2n - 1 is a cell of the grid of n."""
    module, vectors = decoder(seed, code=code), slots(seed)
    coarse = module(vectors, FEATURES, empty(9, 7)).magnitudes
    fine = module(vectors, FEATURES, empty(17, 13)).magnitudes
    torch.testing.assert_close(fine[..., ::2, ::2], coarse, atol=1e-4, rtol=1e-4)
    assert module(vectors, FEATURES, empty(256, 64)).magnitudes.shape == (2, 3, 1, 256, 64)
    assert module(vectors, FEATURES, empty(256, 128)).magnitudes.shape == (2, 3, 1, 256, 128)


@given(seeds, st.integers(1, 21), st.integers(1, 13), st.integers(1, 4), st.integers(1, 4))
def test_patches_fit_any_size(seed, freq, frames, high, wide):
    module = decoder(seed, patch=(high, wide))
    found = module(slots(seed), FEATURES, empty(freq, frames)).magnitudes
    assert found.shape == (2, 3, 1, freq, frames)
    places = module.places(-(-freq // high), -(-frames // wide), torch.device("cpu"))
    cells = module.to_values(
        module.hidden[1](
            module.hidden[0]((module.from_slot(slots(seed)[0, 0, 0]) + module.from_place(places)).relu()).relu()
        ).relu()
    )
    # the first value of a place is the cell at its upper left corner
    expected = cells[:, 0].unflatten(0, (-(-freq // high), -(-frames // wide)))
    torch.testing.assert_close(found[0, 0, 0, ::high, ::wide], expected, atol=1e-5, rtol=1e-5)


@given(seeds, st.integers(1, 60))
def test_piece_by_piece_is_the_same_values_and_gradients(seed, places_at_once):
    whole, pieces = decoder(seed), decoder(seed, places_at_once=places_at_once)
    vectors = slots(seed)
    found = []
    for module in (whole, pieces):
        estimate = module(vectors, FEATURES, empty(9, 6)).magnitudes
        estimate.square().sum().backward()
        found.append([estimate, *(parameter.grad for parameter in module.parameters())])
        with torch.no_grad():
            torch.testing.assert_close(module(vectors, FEATURES, empty(9, 6)).magnitudes, estimate)
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)


@given(seeds)
def test_random_directions_come_with_the_weights(seed):
    one, other = (SpatialBroadcast(5, hidden=8, code="gaussian", seed=seed) for _ in range(2))
    assert torch.equal(one.projection, other.projection)
    assert "projection" in one.state_dict()
    assert not torch.equal(one.projection, SpatialBroadcast(5, hidden=8, code="gaussian", seed=seed + 1).projection)


@pytest.mark.parametrize(("output", "negative"), [("linear", True), ("relu", False), ("softplus", False)])
def test_output_non_linearity(output, negative):
    found = torch.cat(
        [decoder(seed, output=output)(slots(seed), FEATURES, empty(9, 6)).magnitudes for seed in range(5)]
    )
    assert bool((found < 0).any()) == negative


def test_several_sets_of_slots_per_window_are_refused():
    with pytest.raises(UserError, match="got 4 sets of slots per window"):
        decoder()(torch.zeros(2, 4, 3, 5), FEATURES, empty(9, 6))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"code": "fourier"}, "one of 'octaves', 'gaussian'"),
        ({"output": "sigmoid"}, "one of 'linear', 'relu', 'softplus'"),
        ({"layers": 0}, "at least 1"),
        ({"patch": (4,)}, "two numbers"),
        ({"places_at_once": -1}, "at least 1"),
    ],
)
def test_wrong_options_are_explained(options, complaint):
    with pytest.raises(UserError, match=complaint):
        build("decoder", Spec("spatial_broadcast", slot_dim=5, **options))


def test_sigma_scales_the_random_directions():
    one, four = (SpatialBroadcast(8, hidden=4, layers=1, code="gaussian", sigma=sigma) for sigma in (1.0, 4.0))
    torch.testing.assert_close(four.projection, 4 * one.projection)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_no_more_places_at_once_than_told(monkeypatch):
    made, sizes = SpatialBroadcast(8, hidden=4, layers=1, waves=(2, 2), places_at_once=7), []
    network = made._network
    monkeypatch.setattr(made, "_network", lambda rows, places: sizes.append(len(places)) or network(rows, places))
    found = made.evaluate(noise(1, 1, 4), noise(50, 8))
    assert max(sizes) == 7
    assert sum(sizes) == 50
    found.sum().backward()
    assert sum(sizes) == 100  # nothing was kept of them: each is evaluated again
