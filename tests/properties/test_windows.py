"""Cutting into windows and cross-fading them is the identity, to the last bit where it can be."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio.objectives.views import cut, lay_out
from slotaudio.separation.observation import of_window, reordered
from slotaudio.separation.predictor import within
from slotaudio.separation.windows import count, fade_in, overlap_add, split
from slotaudio.types import Slots


@st.composite
def framings(draw):
    window = draw(st.integers(1, 60))
    return window, draw(st.integers(1, window))


@given(framing=framings(), length=st.integers(1, 400), seed=st.integers(0, 99))
def test_split_and_overlap_add_are_inverse(framing, length, seed):
    window, hop = framing
    wave = torch.randn(2, 1, length, generator=torch.Generator().manual_seed(seed))
    windows = split(wave, window, hop)
    assert windows.shape == (2, count(length, window, hop), 1, window)
    torch.testing.assert_close(overlap_add(windows, hop, length), wave, rtol=0, atol=1e-6)


@given(framing=framings(), length=st.integers(1, 400))
def test_weights_sum_to_exactly_one(framing, length):
    window, hop = framing
    ones = torch.ones(1, count(length, window, hop), 1, window)
    assert torch.equal(overlap_add(ones, hop, length), torch.ones(1, 1, length))


@given(framing=framings())
def test_a_window_fades_into_the_one_after_it(framing):
    window, hop = framing
    silence_then_one = torch.arange(2.0)[None, :, None].expand(1, 2, window)
    expected = torch.cat([torch.zeros(hop), fade_in(window - hop), torch.ones(hop)])
    assert torch.equal(overlap_add(silence_then_one, hop, window + hop)[0], expected)


@given(overlap=st.integers(1, 5000))
def test_the_fade_and_its_mirror_image_sum_to_exactly_one(overlap):
    rising = fade_in(overlap)
    assert torch.equal(rising + rising.flip(0), torch.ones(overlap))
    assert torch.equal(rising + (1 - rising), torch.ones(overlap))
    assert bool((rising.diff() >= 0).all())


@given(framing=framings(), length=st.integers(0, 400))
def test_windows_cover_every_sample_and_none_is_superfluous(framing, length):
    window, hop = framing
    steps = count(length, window, hop)
    assert (steps - 1) * hop + window >= length
    assert steps == 1 or (steps - 2) * hop + window < length


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_attention_and_presence_go_with_their_slots():
    slots = Slots(noise(1, 4, 3, 2), noise(1, 4, 3, 5, seed=1), noise(1, 4, 3, seed=2))
    part = of_window(slots, 1, 2)
    torch.testing.assert_close(part.attention, slots.attention[:, 2:])
    torch.testing.assert_close(part.presence, slots.presence[:, 2:])
    moved = reordered(slots, torch.tensor([[2, 0, 1]]))
    torch.testing.assert_close(moved.attention, slots.attention[:, :, [2, 0, 1]])
    torch.testing.assert_close(moved.presence, slots.presence[:, :, [2, 0, 1]])


def test_tokens_of_a_shorter_window_lie_at_its_beginning():
    positions = torch.tensor([[0.5, -1.0], [0.5, 1.0]])
    torch.testing.assert_close(within(positions, 250, 1000), torch.tensor([[0.5, -1.0], [0.5, 0.5]]))


@given(st.integers(0, 99), st.integers(1, 1000), st.integers(1, 400), st.integers(1, 2))
def test_cutting_and_joining_windows_restores_the_clip(seed, length, window, channels):
    waves = torch.randn(2, 3, channels, length, generator=torch.Generator().manual_seed(seed))
    windows = cut(waves, window)
    assert windows.shape == (2, -(-length // window), 3, channels, window)
    whole = lay_out(windows, whole=True)
    assert torch.equal(whole[..., :length], waves)
    assert (whole[..., length:] == 0).all()
    assert torch.equal(lay_out(windows, whole=False), windows.flatten(0, 1))
    assert torch.equal(cut(waves, None)[:, 0], waves)
