"""Windows side by side: whatever order their slots come in, the outputs are the same."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio.matchers.hungarian import Hungarian
from slotaudio.separation.continuity import ByContinuity
from slotaudio.separation.joining import SlotWindow, take

WINDOW, RATE = 4000, 16000


def voices(slots: int, windows: int, seed: int) -> torch.Tensor:
    """Noises of different colours, ``windows slots time``."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(slots, windows * WINDOW, generator=generator)
    hertz = torch.fft.rfftfreq(windows * WINDOW, 1 / RATE)
    centres = 300.0 * 2 ** (4 * torch.arange(slots)[:, None] / max(1, slots - 1))
    colour = 1 / (1 + ((hertz - centres) / 200).square())
    coloured = torch.fft.irfft(torch.fft.rfft(noise) * colour)
    return (coloured / coloured.std()).unflatten(1, (windows, WINDOW)).transpose(0, 1)


def joined(windows: torch.Tensor, ahead: int = 8, **options: float) -> torch.Tensor:
    """Put windows ``windows batch slots time`` into the outputs' order."""
    rule = ByContinuity(Hungarian(), sample_rate=RATE, **options)
    given = [SlotWindow(window[:, :, None]) for window in windows]
    outputs = []
    for start in range(0, len(given), ahead):
        rule.foresee(given[start : start + ahead], 0)
        outputs += [take(window.waves, rule(None, window))[:, :, 0] for window in given[start : start + ahead]]
    return torch.stack(outputs)


def shuffled(windows: torch.Tensor, seed: int) -> torch.Tensor:
    """All windows but the first in new orders."""
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.arange(windows.shape[1])]
    orders += [torch.randperm(windows.shape[1], generator=generator) for _ in windows[1:]]
    return torch.stack([window[order] for window, order in zip(windows, orders, strict=True)])


@given(slots=st.sampled_from([1, 2, 3, 6]), seed=st.integers(0, 999), ahead=st.integers(1, 9))
@settings(max_examples=10)
def test_any_shuffling_is_undone(slots, seed, ahead):
    windows = voices(slots, 10, seed)
    assert torch.equal(joined(shuffled(windows, seed)[:, None], ahead)[:, 0], windows)


@given(seed=st.integers(0, 999), pause=st.integers(1, 12))
@settings(max_examples=5)
def test_after_a_pause_the_voice_decides(seed, pause):
    windows = voices(2, 24 + pause, seed)
    windows[12 : 12 + pause] = 0
    assert torch.equal(joined(shuffled(windows, seed)[:, None])[:, 0], windows)


def test_across_a_seam_sound_goes_on_even_in_an_unknown_voice():
    """Both outputs change their voice at once, inside a window: only the seams tell."""
    one, other = voices(2, 12, 0), voices(2, 12, 1).flip(1)
    windows = torch.cat(
        [one[:6], torch.cat([one[6:7, ..., : WINDOW // 2], other[6:7, ..., WINDOW // 2 :]], 2), other[7:]]
    )
    assert torch.equal(joined(shuffled(windows, 3)[:, None], trust=0.0)[:, 0], windows)


def test_batch_items_do_not_know_each_other():
    windows = torch.stack([shuffled(voices(3, 9, seed), seed) for seed in (0, 1)], dim=1)
    together = joined(windows)
    for item in range(2):
        assert torch.equal(together[:, item], joined(windows[:, item : item + 1])[:, 0])


@pytest.mark.parametrize("slots", [2, 6])
def test_silence_keeps_its_order_and_is_finite(slots):
    rule = ByContinuity(Hungarian(), sample_rate=RATE)
    silence = SlotWindow(torch.zeros(1, slots, 1, WINDOW))
    for _ in range(3):
        assert rule(None, silence).tolist() == [list(range(slots))]


RATE = 16000


def test_what_counts_as_silence_is_relative_to_the_loudest_so_far():
    rule = ByContinuity(Hungarian(), sample_rate=RATE)
    floors = rule._floors(torch.tensor([[1.0], [1e-6]]), 1e-3)
    assert floors[1] == pytest.approx(0.999e-3, rel=1e-3)
