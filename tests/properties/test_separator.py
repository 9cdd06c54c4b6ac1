"""What holds for every recording and model: length, level, sum, and that cutting up changes nothing."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio import Separator, SlotModel, Spec, compose
from slotaudio.separation import turns
from slotaudio.separation.offset import OffsetFilter
from slotaudio.separation.oracle import Truth, oracle

RATE = 2000
CENTRED = Spec("stft", sample_rate=RATE, window=64, hop=16, framing="centred")
END_PAD = Spec("stft", sample_rate=RATE, window=64, hop=16, framing="end_pad")


@cache
def model(slots: int = 2, framing: str = "centred", window: float | None = 0.128) -> SlotModel:
    torch.manual_seed(slots)
    made = compose(
        frontend=CENTRED if framing == "centred" else END_PAD,
        encoder=Spec("resnet", depth=10, width=2),
        bottleneck=Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1, output="softplus"),
        slots=slots,
        window=window,
    )
    with torch.no_grad():
        for parameter in made.parameters():  # so that the slots differ: untrained ones share everything equally
            parameter.add_(torch.randn(parameter.shape) * 0.3)
    return made


def noise(length: int, seed: int, *axes: int) -> torch.Tensor:
    """Noise with a pause in it."""
    wave = torch.randn(*axes, length, generator=torch.Generator().manual_seed(seed)) * 0.1
    wave[..., length // 3 : length // 2] = 0
    return wave


lengths = st.integers(1, 2000)
seeds = st.integers(0, 999)
rates = st.sampled_from([RATE, 1500, 3000])


@settings(max_examples=10)
@given(length=lengths, seed=seeds, rate=rates, slots=st.integers(1, 3), overlap=st.sampled_from([0.0, 0.3, 0.5, 0.8]))
def test_outputs_have_the_length_of_the_recording_and_add_up_to_it(length, seed, rate, slots, overlap):
    wave = noise(length, seed)
    for framing in ("centred", "end_pad"):
        separated = Separator(model(slots, framing), overlap=overlap)(wave, rate)
        assert separated.sources.shape == (slots, length)
        assert separated.sample_rate == rate
        torch.testing.assert_close(separated.sources.sum(dim=0), wave, rtol=0, atol=1e-5)


@given(length=lengths, seed=seeds)
def test_masks_that_sum_to_one_add_up_without_help(length, seed):
    wave, offset = noise(length, seed), OffsetFilter(RATE)
    heard = torch.cat([offset.push(wave)[0], offset.finish()[0]], dim=-1)
    for mask in ("wiener", "binary"):
        sources = Separator(model(3), mask=mask, consistent=False)(wave).sources
        torch.testing.assert_close(sources.sum(dim=0), heard, rtol=0, atol=1e-4)


@settings(max_examples=10)
@given(length=lengths, seed=seeds, rate=rates, cuts=st.lists(st.integers(0, 3000), max_size=5))
def test_however_a_stream_is_cut_the_sources_are_those_of_the_whole(length, seed, rate, cuts):
    wave = noise(length, seed)
    separator = Separator(model())
    whole = separator(wave, rate).sources
    edges = [0, *sorted(min(cut, length) for cut in cuts), length]
    blocks = (wave[start:stop] for start, stop in pairwise(edges))
    streamed = torch.cat(list(separator.stream(blocks, rate)), dim=-1)
    torch.testing.assert_close(streamed[:, 0], whole, rtol=0, atol=1e-5)
    one_by_one = Separator(model(), windows_at_once=1)(wave, rate).sources
    torch.testing.assert_close(one_by_one, whole, rtol=0, atol=1e-5)


@given(length=lengths, seed=seeds, exponent=st.integers(-12, 4))
def test_a_louder_recording_gives_louder_outputs_and_nothing_else(length, seed, exponent):
    wave, factor = noise(length, seed), 2.0**exponent
    separator = Separator(model())
    torch.testing.assert_close(separator(wave * factor).sources, separator(wave).sources * factor, rtol=1e-4, atol=1e-7)


@given(length=lengths, slots=st.integers(1, 3), rate=rates)
def test_silence_in_silence_out(length, slots, rate):
    assert torch.equal(Separator(model(slots))(torch.zeros(length), rate).sources, torch.zeros(slots, length))


@settings(max_examples=6)
@given(length=lengths, seed=seeds)
def test_recordings_of_a_batch_do_not_meet(length, seed):
    waves = noise(length, seed, 3, 1) * torch.tensor([1.0, 0.1, 0.0])[:, None, None]
    separator = Separator(model())
    together = separator(waves).sources
    for wave, sources in zip(waves, together, strict=True):
        torch.testing.assert_close(separator(wave).sources, sources, rtol=0, atol=1e-5)


@given(length=lengths, seed=seeds)
def test_models_of_any_length_use_windows_too(length, seed):
    wave = noise(length, seed)
    sources = Separator(model(window=None), long_window=0.25)(wave).sources
    torch.testing.assert_close(sources.sum(dim=0), wave, rtol=0, atol=1e-5)


def talkers(length: int, seed: int, slots: int) -> torch.Tensor:
    """Harmonic sounds of different pitch that swell and fade, ``slots 1 time``."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(length) / RATE
    pitch = 60 * 1.45 ** torch.arange(slots) * (1 + 0.1 * torch.rand(slots, generator=generator))
    tones = sum(torch.sin(2 * torch.pi * n * pitch[:, None] * time) / n for n in range(1, 6))
    speed = 0.5 + torch.rand(slots, generator=generator)
    gate = torch.sin(2 * torch.pi * speed[:, None] * time + 6 * torch.rand(slots, 1, generator=generator)) > -0.6
    return (0.05 * tones * (0.1 + 0.9 * gate))[:, None]


@settings(max_examples=12)
@given(slots=st.integers(1, 4), length=st.integers(400, 6000), seed=seeds, overlap=st.sampled_from([0.25, 0.5, 0.75]))
def test_window_by_window_equals_the_whole_up_to_one_permutation(slots, length, seed, overlap):
    sources = talkers(length, seed, slots)

    def separate(shuffle: torch.Generator | None, window: float, joining: str) -> torch.Tensor:
        knowing = oracle(sources[None], CENTRED, window, shuffle=shuffle)
        separator = Separator(knowing, joining, overlap)
        assert isinstance(knowing.decoder, Truth)
        knowing.decoder.rewind(separator.framing)
        return separator(sources.sum(dim=0)).sources[:, 0]

    ordered = separate(None, 0.2, "given")
    joined = separate(torch.Generator().manual_seed(seed), 0.2, "overlap")
    order = torch.cdist(ordered, joined).argmin(dim=1)
    # where next to nothing is heard, next to nothing may be in another place
    assert (joined[order] - ordered).square().sum() <= 1e-5 * ordered.square().sum()
    # and windows hardly cost anything against a single window over everything
    whole = separate(None, length / RATE, "given")
    assert (ordered - whole).square().sum() <= 0.05 * whole.square().sum()


def test_what_comes_out_is_of_the_kind_that_went_in():
    separator = Separator(model())
    wave = noise(700, 0)
    flat = separator(wave.numpy()).sources
    assert isinstance(flat, np.ndarray)
    assert flat.shape == (2, 700)
    assert flat.dtype == np.float32
    np.testing.assert_allclose(separator(wave.double().numpy()[None]).sources[:, 0], flat, atol=1e-6)
    np.testing.assert_allclose(separator(wave[None, None]).sources[0, :, 0].numpy(), flat, atol=1e-6)
    assert separator(wave[None, None]).sources.shape == (1, 2, 1, 700)


def test_observers_see_every_window_in_the_order_of_the_outputs():
    seen = []
    sources = torch.randn(3, 1, 2000, generator=torch.Generator().manual_seed(1))
    sources *= torch.tensor([0.1, 0.05, 0.025])[:, None, None]
    knowing = oracle(sources[None], CENTRED, 0.2, shuffle=torch.Generator().manual_seed(0))
    separator = Separator(knowing)
    knowing.decoder.rewind(separator.framing)
    separator(sources.sum(dim=0), observer=seen.append)
    assert [window.start for window in seen] == pytest.approx([-0.1 + 0.1 * step for step in range(len(seen))])
    assert seen[-1].start + 0.2 >= 1.0
    # an oracle's slots name their sources: in the order of the outputs the names never change
    assert all(torch.equal(window.slots.vectors, seen[0].slots.vectors) for window in seen)
    assert all(torch.equal(window.level.argsort(), seen[0].level.argsort()) for window in seen)
    assert any(not torch.equal(window.order, seen[0].order) for window in seen)


def any_length(**options):
    torch.manual_seed(0)
    return compose(
        Spec("stft", window=256, hop=128, framing="centred", features="complex"),
        Spec("band_split", dim=8, hidden=8),
        Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=8, mlp_dim=8),
        Spec("mask", hidden=8),
        window=None,
        **options,
    )


def test_a_model_is_put_into_evaluation_mode():
    model = any_length().train()
    assert not Separator(model).model.training


def test_a_tenth_of_a_second_is_heard_at_least():
    heard = []
    model = any_length()
    model.frontend.register_forward_hook(lambda _, inputs, output: heard.append(inputs[0].shape[-1]))
    Separator(model, "given", long_window=1.0, ahead=0.0, overlap=0.0)(noise(40, 0, 1))
    assert min(heard) >= 1600


@pytest.mark.parametrize("ahead", [0.0, 5.0])
@pytest.mark.parametrize(
    ("length", "spans"),
    [
        (4800, [(-4000, 8800)]),
        (10000, [(-4000, 12000), (-2000, 14000)]),
        (20800, [(-4000, 12000), (4000, 20000), (8800, 24800)]),
    ],
)
def test_the_last_window_hears_what_came_before_instead_of_what_does_not_follow(ahead, length, spans):
    """But for a quarter of a second of silence on either side, as in the other windows."""
    model, heard, seen, offset = any_length(), [], [], OffsetFilter(16000)
    model.frontend.register_forward_hook(lambda _, inputs, output: heard.extend(inputs[0]))
    options = {"long_window": 1.0, "ahead": ahead, "level": None, "consistent": False}
    separator = Separator(model, "given", 0.5, **options)
    heard.clear()
    wave = noise(length, 0, 1)
    sources = separator(wave, observer=seen.append).sources
    wave = torch.cat([offset.push(wave)[0], offset.finish()[0]], dim=-1)
    padded = torch.nn.functional.pad(wave, (4000, 4000))
    assert len(heard) == len(spans)
    for window, (start, stop) in zip(heard, spans, strict=True):
        torch.testing.assert_close(window, padded[:, start + 4000 : stop + 4000])
    torch.testing.assert_close(sources.sum(dim=0), wave, rtol=0, atol=1e-5)
    assert [window.start for window in seen] == pytest.approx([start / 16000 for start, _ in spans])
    for window, (_, stop) in zip(seen, spans, strict=True):
        last = window.start + (float(window.positions[:, -1].max()) + 1) / 2
        assert last == pytest.approx(stop / 16000, abs=0.01)


def test_what_a_separator_joins_with():
    for made, overlap in ((any_length(), 0.5), (model(), 0.75)):
        separator = Separator(made, "overlap", overlap, ahead=8.0)
        stream = separator.open(separator.sample_rate)
        rule = stream._joiner.rule
        assert rule.overlap_lapse == (0.05 if made.window is None else 1e-7)
        assert rule.identity.fresh == pytest.approx(1 - overlap, abs=1e-3)
        if made.window is None:
            assert stream._follower.foreseen == turns.DECIDED + round(2.0 / turns.SEGMENT)
