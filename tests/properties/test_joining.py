"""Joining undoes any shuffling of the slots, window by window, up to the order of the first."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from slotaudio.matchers.exhaustive import Exhaustive
from slotaudio.matchers.fixed import Fixed
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.separation.continuity import ByContinuity
from slotaudio.separation.joining import AsGiven, Automatic, ByReference, Joiner, SlotWindow, complete, take
from slotaudio.separation.windows import split

WINDOW = 64


def voices(slots: int, length: int, seed: int) -> torch.Tensor:
    """Noises with colours of their own, so that they sound different: ``1 slots 1 time``."""
    noise = torch.randn(slots, length + WINDOW, generator=torch.Generator().manual_seed(seed))
    spectrum = torch.fft.rfft(noise)
    place = torch.linspace(0, 1, spectrum.shape[-1])
    centres = (torch.arange(slots) + 0.5)[:, None] / slots
    coloured = torch.fft.irfft(spectrum * torch.exp(-((place - centres) ** 2) * (3 * slots) ** 2))
    return (coloured / coloured.std(dim=1, keepdim=True))[None, :, None, :length]


def join(windows, length: int, hop: int, matcher, reference=None) -> torch.Tensor:
    """Join all windows ``batch steps slots channels window``, blindly or by the true sources."""
    rule = ByContinuity(matcher) if reference is None else ByReference(matcher, reference, hop)
    joiner = Joiner(windows.shape[-1], hop, rule)
    pieces = [joiner.push(SlotWindow(window))[0] for window in windows.unbind(1)]
    return torch.cat([*pieces, joiner.finish()], dim=-1)[..., :length]


def shuffled(sources: torch.Tensor, hop: int, seed: int, window: int = WINDOW) -> torch.Tensor:
    """Windows ``1 steps slots 1 window`` whose slots come in a new order each time."""
    generator = torch.Generator().manual_seed(seed)
    windows = split(sources[0], window, hop)  # slots steps 1 window
    windows = windows.transpose(0, 1)
    return torch.stack([w[torch.randperm(len(w), generator=generator)] for w in windows])[None]


def same_set(joined: torch.Tensor, sources: torch.Tensor) -> bool:
    """Whether the outputs are the sources in one order that never changes."""
    distances = torch.cdist(joined.flatten(2), sources.flatten(2))
    return bool((distances.min(dim=1).values < 1e-3).all())


@given(
    slots=st.integers(1, 4),
    length=st.integers(1, 700),
    overlap=st.sampled_from([0.25, 0.5, 0.75]),
    seed=st.integers(0, 999),
)
def test_blind_joining_undoes_any_shuffling(slots, length, overlap, seed):
    sources = voices(slots, length, seed)
    hop = round(WINDOW * (1 - overlap))
    for matcher in (Hungarian(), Exhaustive()):
        joined = join(shuffled(sources, hop, seed), length, hop, matcher)
        assert joined.shape == sources.shape
        assert same_set(joined, sources)


@given(slots=st.integers(1, 4), silent=st.integers(0, 3), length=st.integers(100, 700), seed=st.integers(0, 999))
def test_silent_sources_are_joined_like_any_other(slots, silent, length, seed):
    sources = voices(slots, length, seed)
    sources[:, min(silent, slots - 1)] = 0
    assert same_set(join(shuffled(sources, WINDOW // 2, seed), length, WINDOW // 2, Hungarian()), sources)


@settings(max_examples=4)
@given(seed=st.integers(0, 999), pause=st.integers(1, 8000))
def test_identity_survives_pauses_by_what_the_outputs_sound_like(seed, pause):
    window = 2048  # 0.128 s: a voice is known again by some of it, not by its first samples
    pause = window + pause // 1024 * 1024
    before, after = voices(2, 30 * window, seed), voices(2, 10 * window, seed + 1000)
    sources = torch.cat([before, torch.zeros(1, 2, 1, pause), after], dim=-1)
    joined = join(shuffled(sources, window // 2, seed, window), sources.shape[-1], window // 2, Hungarian())
    assert same_set(joined, sources)


@given(
    sources=st.integers(1, 3),
    surplus=st.integers(0, 2),
    length=st.integers(1, 700),
    hop=st.sampled_from([16, 32, 64]),
    seed=st.integers(0, 999),
)
def test_the_reference_fixes_every_window(sources, surplus, length, hop, seed):
    slots = voices(sources + surplus, length, seed)
    slots[:, sources:] *= 0.1
    joined = join(shuffled(slots, hop, seed), length, hop, Hungarian(), reference=slots[:, :sources])
    torch.testing.assert_close(joined[:, :sources], slots[:, :sources], rtol=0, atol=1e-5)


def test_the_reference_orders_by_the_energy_of_the_errors_not_by_their_sizes():
    slots, sources = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([[2.0, 0.0], [2.9, 0.7]])
    sizes = torch.cdist(slots, sources)
    assert sizes.trace() > sizes.flip(1).trace()  # 4.02 in order, 3.98 crossed; of squares 8.1 and 9.9
    order = ByReference(Hungarian(), sources[None, :, None], 1)(None, SlotWindow(slots[None, :, None]))
    assert order.tolist() == [[0, 1]]


@given(seed=st.integers(0, 999), batch=st.integers(1, 3), slots=st.integers(1, 5), sources=st.integers(1, 5))
def test_complete_makes_permutations_that_begin_with_the_assignment(seed, batch, slots, sources):
    assume(sources <= slots)
    generator = torch.Generator().manual_seed(seed)
    assignment = torch.stack([torch.randperm(slots, generator=generator)[:sources] for _ in range(batch)])
    order = complete(assignment, slots)
    assert torch.equal(order[:, :sources], assignment)
    assert torch.equal(order.sort(dim=1).values, torch.arange(slots).expand(batch, slots))
    assert (order[:, sources:].diff(dim=1) > 0).all()
    values = torch.randn(batch, slots, 2, generator=generator)
    assert torch.equal(take(values, order)[0, 0], values[0, order[0, 0]])


@pytest.mark.parametrize("rule", [AsGiven(), ByContinuity(Fixed())])
def test_labelled_slots_keep_their_labels(rule):
    sources = voices(3, 500, 0)
    windows = split(sources[0], WINDOW, WINDOW // 2).transpose(0, 1)
    joiner = Joiner(WINDOW, WINDOW // 2, rule)
    pieces = [joiner.push(SlotWindow(window[None]))[0] for window in windows]
    joined = torch.cat([*pieces, joiner.finish()], dim=-1)[..., :500]
    torch.testing.assert_close(joined, sources, rtol=0, atol=1e-5)


def test_batch_items_are_joined_by_themselves():
    sources = [voices(2, 300, seed) for seed in (1, 2)]
    windows = [shuffled(source, 32, seed) for seed, source in enumerate(sources)]
    together = join(torch.cat(windows), 300, 32, Hungarian())
    for alone, both in zip(windows, together, strict=True):
        torch.testing.assert_close(join(alone, 300, 32, Hungarian())[0], both)


@given(seed=st.integers(0, 999), carried=st.booleans())
def test_automatic_joining_trusts_carried_slots_only(seed, carried):
    windows = [SlotWindow(w, carried=carried) for w in shuffled(voices(3, 500, seed), WINDOW // 2, seed).unbind(1)]

    def orders(rule):
        joiner = Joiner(WINDOW, WINDOW // 2, rule)
        joiner.foresee(windows)
        return torch.stack([joiner.push(window)[1] for window in windows])

    expected = AsGiven() if carried else ByContinuity(Hungarian())
    assert torch.equal(orders(Automatic(ByContinuity(Hungarian()))), orders(expected))


def test_windows_to_come_are_shown_to_the_rule_that_will_join_them():
    shown = []

    class LooksAhead(AsGiven):
        def foresee(self, windows, overlap):
            shown.append((windows[0].carried, len(windows), overlap))

    for carried in (True, False):
        windows = [SlotWindow(torch.zeros(1, 2, 1, WINDOW), carried=carried)] * 3
        Joiner(WINDOW, WINDOW // 4, Automatic(LooksAhead())).foresee(windows)
    assert shown == [(False, 3, WINDOW - WINDOW // 4)]
