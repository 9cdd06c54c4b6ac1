"""The full-resolution mask model: band-split encoder, mask decoder, assignment by stretches."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio import Separator, SlotModel, Spec, compose
from slotaudio.bands import SPEECH, band_edges
from slotaudio.errors import UserError
from slotaudio.objectives.local import Local
from slotaudio.objectives.supervised import Supervised
from slotaudio.pretrained import load_weights
from slotaudio.separation.offset import OffsetFilter
from slotaudio.testing.stages import move_off_the_start
from slotaudio.types import Batch

seeds = st.integers(0, 2**31 - 1)


def small(slots: int = 2, **decoder: bool) -> SlotModel:
    model = composed(slots, 1, **decoder)
    move_off_the_start(model, 1)  # of residual branches: there they are zero, and would hide what is wrong in them
    return model


def composed(slots: int, blocks: int, **decoder: bool) -> SlotModel:
    torch.manual_seed(0)
    return compose(
        Spec("stft", window=256, hop=128, framing="centred", features="complex"),
        Spec("band_split", dim=16, hidden=8, blocks=blocks, layout=[[4000, 500], [8000, 2000]]),
        Spec("transformer", slot_dim=12, layers=1, qkv_dim=8, heads=2, mlp_dim=16),
        Spec("mask", hidden=8, blocks=blocks, **decoder),
        "exhaustive",
        slots=slots,
        window=None,
    ).eval()


def waves(seed: int, *shape: int, silent: bool = False) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * (0.0 if silent else 0.1)


def test_new_blocks_change_nothing(tmp_path):
    model = small()
    model.save_pretrained(tmp_path)
    deeper = composed(2, 3)
    load_weights(deeper, tmp_path, fresh=["encoder.blocks.[12].*", "decoder.blocks.[12].*", "decoder.together.[12].*"])
    mixture = waves(0, 1, 1, 1, 4000)
    with torch.no_grad():
        torch.testing.assert_close(deeper(mixture).estimates.masks, model(mixture).estimates.masks)


@given(
    freq=st.integers(40, 600),
    rate=st.sampled_from([8000, 16000, 44100]),
    layout=st.sampled_from([SPEECH, ((1000.0, 250.0),)]),
)
def test_bands_cover_every_bin_once(freq: int, rate: int, layout: tuple[tuple[float, float], ...]) -> None:
    if rate / 2 / (freq - 1) > 2 * min(width for _, width in layout):
        with pytest.raises(UserError, match="less than one bin"):
            band_edges(freq, rate, layout)
        return
    edges = band_edges(freq, rate, layout)
    assert [edge for start, stop in edges for edge in range(start, stop)] == list(range(freq))


@given(seed=seeds, slots=st.integers(1, 4), silent=st.booleans())
def test_permuting_the_initial_slots_permutes_the_sources(seed: int, slots: int, silent: bool) -> None:
    model = small(slots)
    windows = waves(seed, 2, 1, 1, 1000, silent=silent)
    order = torch.randperm(slots, generator=torch.Generator().manual_seed(seed))
    initial = model.initial_slots(2)
    with torch.no_grad():
        sources = model.sources(model(windows, initial), 2)
        permuted = model.sources(model(windows, initial[:, order]), 2)
    torch.testing.assert_close(permuted, sources[:, :, order], atol=1e-5, rtol=1e-4)
    assert sources.isfinite().all()


@given(seed=seeds, slots=st.integers(1, 4), samples=st.integers(1, 1500))
def test_consistent_masks_add_up_to_the_mixture(seed: int, slots: int, samples: int) -> None:
    model = small(slots)
    windows = waves(seed, 1, 1, 1, samples)
    with torch.no_grad():
        total = model.sources(model(windows)).sum(dim=2)
    torch.testing.assert_close(total, windows, atol=1e-5, rtol=1e-4)


def test_masks_do_not_depend_on_the_level() -> None:
    model, windows = small(consistency=False), waves(1, 1, 1, 1, 2000)
    with torch.no_grad():
        loud, quiet = (model(level * windows).estimates.masks for level in (1.0, 0.01))
    torch.testing.assert_close(loud, quiet, atol=1e-3, rtol=1e-3)


def test_an_encoder_without_a_grid_is_refused() -> None:
    with pytest.raises(UserError, match="decoder 'mask' needs bands"):
        compose("stft", Spec("resnet", depth=18, width=8), Spec("transformer", layers=1), "mask")


@given(seed=seeds, stretch=st.sampled_from([0.0, 0.02, 1.0]))
def test_local_assignment_does_not_see_the_order_of_the_sources(seed: int, stretch: float) -> None:
    model, sources = small(), waves(seed, 2, 2, 1, 1500)
    objective = Local(stretch)
    with torch.no_grad():
        loss, flipped = (objective(model, Batch(s.sum(1), s))["loss"] for s in (sources, sources.flip(1)))
    torch.testing.assert_close(loss, flipped)


@given(seed=seeds)
def test_a_stretch_as_long_as_the_clip_is_the_supervised_snr(seed: int) -> None:
    model, sources = small(), waves(seed, 2, 2, 1, 1500)
    batch = Batch(sources.sum(1), sources)
    with torch.no_grad():
        whole = Local(0.0)(model, batch)["loss"]
        torch.testing.assert_close(whole, Supervised(cost="snr")(model, batch)["loss"], atol=1e-3, rtol=1e-3)
        assert Local(0.02)(model, batch)["loss"] <= whole + 1e-5


def test_gradients_stay_finite_at_silence() -> None:
    model, sources = small(), waves(0, 2, 2, 1, 1500)
    sources[0, 1] = 0
    sources[1] = 0
    Local(0.02)(model, Batch(sources.sum(1), sources))["loss"].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@given(seed=seeds, samples=st.integers(500, 12000))
@settings(max_examples=10)
def test_a_recording_shorter_than_the_window_is_heard_as_it_is(seed: int, samples: int) -> None:
    model, wave = small(), waves(seed, 1, samples)
    first, second = (Separator(model, long_window=seconds)(wave, 16000).sources for seconds in (1.5, 6.0))
    torch.testing.assert_close(first, second, atol=1e-6, rtol=1e-4)


@given(seed=seeds, samples=st.integers(13000, 30000))
@settings(max_examples=10)
def test_the_last_window_of_a_longer_one_hears_what_came_before(seed: int, samples: int) -> None:
    heard = []
    separator = Separator(small(), joining="given", long_window=0.5, overlap=0.5)
    separator.model.frontend.register_forward_hook(lambda _, inputs, output: heard.append(inputs[0]))
    seen = []
    wave = waves(seed, 1, samples)
    separator(wave, 16000, observer=seen.append)
    assert {window.shape[-1] for window in heard} == {8000}
    end = round((seen[-1].start + 0.5) * 16000)
    assert end == samples + 4000  # a quarter of a second of silence follows every recording
    offset = OffsetFilter(16000)  # which no model hears
    before = torch.cat([offset.push(wave)[0], offset.finish()[0]], dim=-1)[0, samples - 4000 :]
    last = heard[-1][-1, 0, :4000]
    torch.testing.assert_close(last, last.norm() / before.norm() * before, atol=1e-5, rtol=1e-4)
