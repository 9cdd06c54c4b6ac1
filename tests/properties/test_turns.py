"""Turns: voices that change places are brought back; samples, slots, batches and blocks are treated alike."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slotaudio import Separator, Spec, audio, compose
from slotaudio.data.bundled import speech
from slotaudio.identity import identity_score
from slotaudio.matchers.exhaustive import Exhaustive
from slotaudio.matchers.fixed import Fixed
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.separation import turns
from slotaudio.separation.identity import VoiceMemory
from slotaudio.separation.segments import SEGMENT, quiet_frames
from slotaudio.separation.turns import TurnFollower

RATE = 16000


def voice(number: int) -> torch.Tensor:
    folder = sorted(speech("dev").iterdir())[number]
    wave = torch.cat([audio.read(file)[0][0] for file in sorted(folder.glob("*.flac"))])
    return wave * 0.05 / wave.square().mean().sqrt()


def talk(*speakers: int, turn: float = 3.0, number: int = 12) -> torch.Tensor:
    """Speakers by turns, with half a second of silence between them: ``sources time``."""
    voices, said = [voice(number) for number in speakers], [0] * len(speakers)
    pieces = []
    for index in range(number):
        who, length = index % len(speakers), round(turn * RATE)
        piece = torch.zeros(len(speakers), length + RATE // 2)
        piece[who, :length] = voices[who].roll(-said[who])[:length]
        said[who] += length
        pieces.append(piece)
    return torch.cat(pieces, dim=1)


def followed(outputs: torch.Tensor, block: int = 7 * RATE, **options) -> torch.Tensor:
    """Follow ``batch slots time`` in blocks."""
    follower = TurnFollower(options.pop("matcher", Exhaustive()), RATE, **options)
    pieces = [follower.push(piece[:, :, None]) for piece in outputs.split(block, dim=-1)]
    return torch.cat([*pieces, follower.finish()], dim=-1)[:, :, 0]


def swapped(sources: torch.Tensor, spans: list[tuple[float, float]]) -> torch.Tensor:
    outputs = sources.clone()
    for start, end in spans:
        part = slice(round(start * RATE), round(end * RATE))
        outputs[:, part] = sources.flip(0)[:, part]
    return outputs


@pytest.fixture(autouse=True, scope="module")
def known_soon():
    """Let short talks do: half a second of each voice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "KNOWN", 0.5)
        yield


def test_nobody_is_moved_before_two_voices_are_known(monkeypatch):
    sources = talk(0, 1, number=18)
    outputs = swapped(sources, [(7.0, 10.2), (42.0, 48.7)])
    monkeypatch.setattr(turns, "KNOWN", 3.0)
    late = followed(outputs[None])[0]
    part = slice(0, 14 * RATE)
    assert torch.equal(late[:, part], outputs[:, part])
    assert identity_score(late, sources, RATE).right_windows > identity_score(outputs, sources, RATE).right_windows


def test_who_changes_places_is_brought_back():
    for pair in ((0, 1), (2, 3), (1, 4)):
        sources = talk(*pair)
        outputs = swapped(sources, [(14.0, 17.2), (24.5, 31.2), (35.0, 38.3)])
        assert identity_score(outputs, sources, RATE).right_windows < 0.75
        found = identity_score(followed(outputs[None])[0], sources, RATE)
        assert found.right_windows > 0.95
        assert found.assignment == (0, 1)  # the outputs are who they were at the beginning


def test_who_stays_is_left_alone():
    sources = talk(0, 4)
    assert torch.equal(followed(sources[None])[0], sources)


def test_cuts_are_where_it_is_quiet():
    sources = talk(2, 3)
    outputs = swapped(sources, [(24.4, 31.3)])  # in the silence between turns
    # but for the fades nothing is mixed: every sample is one of the two
    found = followed(outputs[None])[0]
    assert not torch.equal(found, outputs)
    mixed = ((found - outputs).abs() > 1e-7) & ((found - outputs.flip(0)).abs() > 1e-7)
    assert mixed.float().mean() < 1e-3
    assert float(found[mixed].abs().max() if mixed.any() else 0.0) < 0.01


def test_no_cut_is_drawn_to_the_ends_of_what_is_heard():
    energy = torch.ones(1, 31)
    energy[:, 9:12] = 0.9
    assert quiet_frames(energy, 31, 1).tolist() == [[10]]


@given(st.integers(0, 9 * RATE), st.lists(st.integers(1, 5 * RATE), min_size=1, max_size=3))
@example(51800, [RATE])  # nothing is left to describe at the end
@settings(max_examples=15, deadline=None)
def test_no_sample_is_lost_and_blocks_do_not_matter(length, blocks):
    outputs = swapped(talk(0, 1, turn=1.5, number=5), [(3.5, 5.6)])[:, :length]
    whole = followed(outputs[None])
    follower, pieces, start = TurnFollower(Exhaustive(), RATE), [], 0
    while start < length or not pieces:
        size = blocks[len(pieces) % len(blocks)]
        pieces.append(follower.push(outputs[None, :, None, start : start + size]))
        start += size
    cut = torch.cat([*pieces, follower.finish()], dim=-1)[:, :, 0]
    assert cut.shape == whole.shape == (1, 2, length)
    assert torch.equal(cut, whole)


@pytest.mark.parametrize("order", [[0, 2, 1], [1, 0, 2], [2, 0, 1]])
def test_permuting_the_outputs_permutes_what_is_found(order):
    sources = talk(0, 1, 4)
    outputs = sources.clone()
    outputs[:, 28 * RATE : 31 * RATE] = sources[[1, 2, 0], 28 * RATE : 31 * RATE]
    found = followed(outputs[None])
    assert not torch.equal(found[0], outputs)
    torch.testing.assert_close(followed(outputs[None, order]), found[:, order], atol=1e-6, rtol=1e-5)


def test_batch_items_are_followed_each_by_itself():
    first, second = swapped(talk(0, 1), [(14.0, 17.2)]), swapped(talk(2, 3), [(24.5, 31.2)])
    together = followed(torch.stack([first, second]))
    assert not torch.equal(together, torch.stack([first, second]))
    torch.testing.assert_close(together, torch.cat([followed(first[None]), followed(second[None])]))


def test_silence_and_noise_are_finite_and_slots_with_names_stay():
    assert not followed(torch.zeros(1, 2, 30 * RATE)).any()
    noise = 0.1 * torch.randn(1, 2, 30 * RATE, generator=torch.Generator().manual_seed(0))
    assert followed(noise).isfinite().all()
    outputs = swapped(talk(0, 1), [(14.0, 17.2)])[None]
    assert torch.equal(followed(outputs, matcher=Fixed()), outputs)


def test_what_is_waited_for_is_what_is_said():
    follower = TurnFollower(Exhaustive(), RATE)
    given_, back = 0, 0
    for _ in range(400):
        back += follower.push(torch.zeros(1, 2, 1, 1600)).shape[-1]
        given_ += 1600
        assert (given_ - back) / RATE <= follower.latency + 0.1


def any_length(slots: int = 2, presence: bool = False):
    torch.manual_seed(0)
    return compose(
        Spec("stft", window=256, hop=128, framing="centred", features="complex"),
        Spec("band_split", dim=8, hidden=8, blocks=1),
        Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=8, mlp_dim=8, presence=presence),
        Spec("mask", hidden=8, blocks=1),
        "exhaustive",
        slots=slots,
        window=None,
    )


@pytest.mark.parametrize(
    ("slots", "options", "follows"),
    [
        (2, {}, True),
        (2, {"joining": "overlap", "sources": 2}, True),
        (2, {"joining": "given"}, False),
        (2, {"ahead": 0.0}, False),
        (3, {}, True),
        (3, {"sources": "1-3"}, True),
        (6, {}, False),
    ],
)
def test_separators_follow_where_windows_are_joined_blindly(slots, options, follows):
    separator = Separator(any_length(slots), long_window=1.0, **options)
    joined = separator.open(RATE, follow=False).latency
    assert (separator.open(RATE).latency > joined) == follows


def test_a_model_that_counts_is_not_followed():
    model = any_length(3, presence=True)
    counting, separating = (Separator(model, sources=sources) for sources in ("1-3", None))
    assert counting.open(RATE).latency < separating.open(RATE).latency


def test_short_windows_hold_one_turn_and_are_not_followed():
    model = compose(encoder=Spec("resnet", depth=18, width=2), decoder=Spec("spatial_broadcast", hidden=8, layers=1))
    separator = Separator(model)
    assert separator.open(RATE).latency < 9.0


@pytest.mark.parametrize("sample_rate", [8000, 11025, 22050, 44100])
def test_voices_are_followed_at_any_sample_rate(sample_rate):
    follower = TurnFollower(Hungarian(), sample_rate, 2.0)
    waves = torch.randn(1, 2, 1, 15 * sample_rate, generator=torch.Generator().manual_seed(0))
    pieces = [follower.push(piece) for piece in waves.split(2 * sample_rate, dim=-1)]
    found = torch.cat([*pieces, follower.finish()], dim=-1)
    torch.testing.assert_close(found.sum(dim=1), waves.sum(dim=1))


def follower(**options):
    made = TurnFollower(Exhaustive(), RATE, **options)
    made._order = torch.tensor([[0, 1]])
    return made


def test_a_turn_is_taken_in_the_middle_of_its_quietest_frame():
    made = follower()
    waves = torch.stack([torch.zeros(8000), torch.ones(8000)])[None, :, None]
    turned = made._turned(waves, torch.tensor([[10]]), torch.tensor([[[1, 0]]]))[0, 0, 0]
    assert int((turned > 0.5).nonzero()[0]) == pytest.approx(11 * made.hop, abs=2)  # frame 10 is 10 to 12 hops


def test_places_are_changed_over_twenty_milliseconds():
    made = follower()
    waves = torch.stack([torch.zeros(8000), torch.ones(8000)])[None, :, None]
    turned = made._turned(waves, torch.tensor([[10]]), torch.tensor([[[1, 0]]]))[0, 0, 0]
    assert turned.diff().abs().max() < 2 / (0.02 * RATE)


def test_voices_are_learnt_in_the_order_they_were_brought_into():
    one, other = (voice(number).repeat(5)[: 40 * RATE] for number in (0, 1))
    gate = (torch.arange(40 * RATE) // (3 * RATE)) % 2 == 0
    sources = torch.stack([one * gate, other * ~gate])
    outputs = torch.cat([sources[:, : 12 * RATE], sources.flip(0)[:, 12 * RATE :]], dim=1)
    made = TurnFollower(Exhaustive(), RATE)
    made.push(outputs[None, :, None])
    heard = made._memory
    said = VoiceMemory(RATE, fresh=1.0).frames(sources[None, :, None, 30 * RATE : 36 * RATE]).sum(2)
    evidence = heard.evidence(said)[0]
    assert evidence.argmax(dim=1).tolist() == [0, 1]
    assert heard.seconds().min() > 5


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("seconds", "suffice"), [([9.0, 0.5], False), ([9.0, 0.5, 0.0], False), ([9.0, 9.0, 0.0], True)]
)
def test_two_known_voices_suffice_and_one_does_not(seconds, suffice, monkeypatch):
    monkeypatch.setattr(turns, "KNOWN", 3.0)
    made = TurnFollower(Exhaustive(), RATE)
    made._memory.seconds = lambda: torch.tensor([seconds])
    seen = []
    weigh = made._weights.weigh
    monkeypatch.setattr(
        made._weights, "weigh", lambda moves, heard, decided: seen.append(heard) or weigh(moves, heard, decided)
    )
    waves = noise(1, 3, 1, 12 * RATE)[:, : len(seconds)]
    waves[:, 2:] = 0
    made.push(waves)
    assert len(seen) > 2
    assert bool(torch.cat(seen).any()) == suffice


def test_the_latency_is_what_a_sample_waits_at_most():
    made = TurnFollower(Exhaustive(), RATE)
    given = back = longest = 0
    for _ in range(4000):
        longest = max(longest, given - back)
        back += made.push(torch.zeros(1, 2, 1, made.hop // 4)).shape[-1]
        given += made.hop // 4
    longest = max(longest, given - back) + made.hop // 4
    assert longest / RATE == pytest.approx(made.latency, abs=made.hop / 2 / RATE)


def test_voices_are_learnt_from_the_first_sample_to_the_last():
    made = TurnFollower(Exhaustive(), RATE)
    waves = noise(1, 2, 1, 12 * RATE)
    waves[:, 1] = 0
    waves[..., round(0.3 * RATE) : round(0.35 * RATE)] = 0  # a place to cut
    made.push(waves)
    made.finish()
    assert made._memory.seconds()[0, 0] == pytest.approx(12, abs=0.1)


def test_looking_ahead_for_longer_makes_samples_wait_for_longer():
    short, long = (TurnFollower(Exhaustive(), RATE, ahead) for ahead in (2.0, 6.0))
    assert long.latency - short.latency == pytest.approx(4, abs=SEGMENT / 2)
