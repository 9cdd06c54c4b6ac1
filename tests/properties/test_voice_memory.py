"""Voices are recognised again after pauses, whatever the order in which the slots come."""

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio import audio
from slotaudio.data.bundled import speech
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.separation.continuity import ByContinuity
from slotaudio.separation.identity import Identity, VoiceMemory
from slotaudio.separation.joining import Joiner, SlotWindow
from slotaudio.separation.windows import split

RATE, WINDOW = 16000, 8000
HOP = WINDOW // 2


@cache
def voice(number: int) -> torch.Tensor:
    """All the bundled speech of one speaker, at one level: ``time``."""
    folder = sorted(speech("dev").iterdir())[number]
    wave = torch.cat([audio.read(file)[0][0] for file in sorted(folder.glob("*.flac"))])
    return wave * 0.05 / wave.square().mean().sqrt()


def turns(pair: tuple[int, int], plan: list[tuple[int, float]], pause: float = 1.0) -> torch.Tensor:
    """Two speak at once for 3 s, then take turns of some seconds with pauses between: ``sources time``."""
    waves = [torch.stack([voice(who)[: 3 * RATE] for who in pair])]
    said = [3 * RATE, 3 * RATE]
    for who, seconds in plan:
        length = round(seconds * RATE)
        turn = torch.zeros(2, length + round(pause * RATE))
        turn[who, :length] = voice(pair[who]).roll(-said[who])[:length]
        said[who] += length
        waves.append(turn)
    return torch.cat(waves, dim=1)


def joined(sources: torch.Tensor, seed: int, look_ahead: int = 31, batch: int = 1) -> torch.Tensor:
    """Join windows whose slots come shuffled, 8 s at a time, as `Separator` does: ``batch slots time``."""
    generator = torch.Generator().manual_seed(seed)
    windows = split(sources[:, None], WINDOW, HOP).transpose(0, 1)  # steps slots channels window
    shuffled = [SlotWindow(w[torch.randperm(len(w), generator=generator)].expand(batch, -1, -1, -1)) for w in windows]
    joiner = Joiner(WINDOW, HOP, ByContinuity(Hungarian(), VoiceMemory(RATE)))
    pieces = []
    for first in range(0, len(shuffled), look_ahead):
        group = shuffled[first : first + look_ahead]
        joiner.foresee(group)
        pieces += [joiner.push(window)[0] for window in group]
    return torch.cat([*pieces, joiner.finish()], dim=-1)[:, :, 0, : sources.shape[1]]


def right(estimates: torch.Tensor, sources: torch.Tensor) -> float:
    """Share of the energy that ended in the right output, under one assignment."""
    found = torch.einsum("kt,st->ks", estimates, sources) / sources.square().sum()
    return float(torch.maximum(found[0, 0] + found[1, 1], found[0, 1] + found[1, 0]))


PLAN = [(0, 4.0), (1, 4.0), (0, 2.0), (1, 2.0), (0, 1.5), (0, 1.5), (1, 1.5), (1, 1.5), (0, 1.5)]


@pytest.mark.parametrize("pair", [(0, 1), (2, 3), (4, 5), (1, 4)])
@pytest.mark.parametrize("seed", [0, 1])
def test_voices_return_to_their_outputs(pair, seed):
    sources = turns(pair, PLAN)
    assert right(joined(sources, seed)[0], sources) > 0.97


def test_a_new_voice_is_not_taken_for_the_only_one_known():
    sources = turns((0, 4), PLAN[:4])[:, 3 * RATE :]  # without the beginning, in which both are heard
    assert right(joined(sources, 0)[0], sources) > 0.97


def test_without_foresight_a_wrong_start_is_corrected():
    shares = [right(joined(turns(pair, PLAN), 0, look_ahead=1)[0], turns(pair, PLAN)) for pair in [(0, 1), (1, 4)]]
    assert min(shares) > 0.9


def test_a_pause_of_minutes_is_survived():
    sources = torch.cat([turns((0, 1), PLAN), torch.zeros(2, 120 * RATE), turns((0, 1), PLAN[::-1])], dim=1)
    assert right(joined(sources, 3)[0], sources) > 0.97


def test_batch_items_have_memories_of_their_own():
    sources = turns((0, 1), PLAN[:4])
    together = joined(sources, 1, batch=2)
    assert torch.equal(together[0], together[1])
    torch.testing.assert_close(together[0], joined(sources, 1)[0])


@given(seed=st.integers(0, 999), order=st.permutations([0, 1, 2]))
@settings(max_examples=10)
def test_evidence_goes_along_with_slots_and_outputs(seed, order):
    generator = torch.Generator().manual_seed(seed)
    first, then = (0.1 * torch.randn(1, 3, 1, WINDOW, generator=generator) for _ in range(2))
    ours, theirs = VoiceMemory(RATE), VoiceMemory(RATE)
    assert isinstance(ours, Identity)
    said = ours.describe(SlotWindow(first))
    torch.testing.assert_close(theirs.describe(SlotWindow(first[:, order])), said[:, order])
    ours.remember(said)
    theirs.remember(said[:, order])
    said = ours.describe(SlotWindow(then))
    here, there = ours.evidence(said), theirs.evidence(said[:, order])
    torch.testing.assert_close(there, here[:, order][:, :, order], rtol=1e-4, atol=1e-3)


@given(scale=st.sampled_from([1e-4, 1e4]), seed=st.integers(0, 99))
@settings(max_examples=10)
def test_level_does_not_matter(scale, seed):
    wave = 0.1 * torch.randn(1, 2, 1, WINDOW, generator=torch.Generator().manual_seed(seed))
    quiet, loud = VoiceMemory(RATE), VoiceMemory(RATE)
    torch.testing.assert_close(
        quiet.describe(SlotWindow(wave)), loud.describe(SlotWindow(wave * scale)), rtol=1e-3, atol=1e-2
    )


def test_a_known_voice_is_preferred_to_another_and_a_new_one_to_neither():
    memory = VoiceMemory(RATE)

    def said_by(number: int, part: slice) -> torch.Tensor:
        wave = voice(number)[part]
        return memory.describe(SlotWindow(torch.stack([wave, 0 * wave])[None, :, None]))[:, 0]

    begin, end = slice(0, 4 * RATE), slice(4 * RATE, 8 * RATE)
    nothing = torch.zeros_like(said_by(0, begin))
    memory.remember(torch.stack([said_by(0, begin), said_by(4, begin), nothing], dim=1))
    said = torch.stack([said_by(0, end), said_by(4, end), said_by(2, end)], dim=1)
    evidence = memory.evidence(said)
    assert evidence[0].argmax(dim=1).tolist() == [0, 1, 2]


def test_silence_says_nothing_and_is_finite():
    memory = VoiceMemory(RATE)
    memory.remember(memory.describe(SlotWindow(0.1 * torch.randn(1, 2, 1, WINDOW))))
    said = memory.describe(SlotWindow(torch.zeros(1, 2, 1, WINDOW)))
    memory.remember(said)
    assert (said == 0).all()
    assert (memory.evidence(said) == 0).all()
    new = VoiceMemory(RATE)
    new.remember(new.describe(SlotWindow(torch.zeros(1, 2, 1, WINDOW))))
    assert new.evidence(new.describe(SlotWindow(torch.randn(1, 2, 1, WINDOW)))).isfinite().all()


RATE = 16000


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_no_more_than_the_span_is_remembered():
    memory = VoiceMemory(RATE, span=2.0, fresh=1.0)
    for seed in range(8):
        memory.remember(memory.describe(SlotWindow(noise(1, 1, 1, RATE, seed=seed))))
    assert memory.seconds()[0, 0] == pytest.approx(2.0, abs=1e-3)


def test_of_two_at_once_only_the_louder_is_heard():
    memory = VoiceMemory(RATE)
    waves = torch.stack([noise(RATE), 0.9 * noise(RATE, seed=1)])[None, :, None]
    both = memory.frames(waves)[0, :, :, 0].sum(dim=0)
    assert both.max() <= 1
