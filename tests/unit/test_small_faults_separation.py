"""Separation: each test fails with one small fault in the code that no other test noticed."""

import numpy as np
import pytest
import soundfile
import torch

from slotaudio import Separator, Spec, audio, compose
from slotaudio.data.bundled import speech
from slotaudio.errors import AudioFileError
from slotaudio.matchers.exhaustive import Exhaustive
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.separation import bulk, turns
from slotaudio.separation.bulk import Corpus, read_list
from slotaudio.separation.continuity import ByContinuity
from slotaudio.separation.extraction import extract_file, same_voice, voice_of
from slotaudio.separation.identity import VoiceMemory
from slotaudio.separation.intake import SeparationWarning
from slotaudio.separation.joining import SlotWindow
from slotaudio.separation.level import Level
from slotaudio.separation.observation import Observation, of_window, reordered
from slotaudio.separation.orders import Orders
from slotaudio.separation.outputs import Outputs
from slotaudio.separation.presence import PresenceMeter
from slotaudio.separation.residual import ResidualSharer
from slotaudio.separation.stream import _within
from slotaudio.separation.turns import TurnFollower
from slotaudio.types import Slots

RATE = 16000


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_level_is_forgotten_by_half_in_thirty_seconds():
    level = Level(100, 100)  # windows of a second side by side
    windows = torch.cat([torch.full((1, 1, 1, 100), 0.1), torch.full((1, 30, 1, 100), 0.001)], dim=1)
    gains = level.gains(windows)[0]
    assert gains[30] / gains[0] == pytest.approx(2**0.5, rel=1e-4)


def test_the_loudest_half_second_may_begin_at_any_quarter():
    window = torch.full((1, 1, 1, 100), 1e-4)
    window[..., 25:75] = 0.1
    assert Level(100, 50, -20.0).gains(window) == pytest.approx(1.0, rel=1e-3)


def tiny(bottleneck, seed=0):
    torch.manual_seed(seed)
    model = compose(
        Spec("stft", sample_rate=2000, window=64, hop=16, framing="centred"),
        Spec("resnet", depth=10, width=2),
        bottleneck,
        Spec("spatial_broadcast", hidden=8, layers=1, output="softplus"),
        window=0.128,
    ).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape))
    return model


CARRYING = Spec("carry_over", bottleneck=Spec("slot_attention", slot_dim=8), heads=2)
NOISY = Spec("slot_attention", slot_dim=8, initial="gaussian")


def test_slots_are_carried_over_however_many_windows_go_at_once():
    model, wave = tiny(CARRYING), noise(4000)
    one, many = (Separator(model, joining="given", windows_at_once=n)(wave).sources for n in (1, 16))
    torch.testing.assert_close(one, many, rtol=0, atol=1e-5)
    fresh = Separator(tiny(CARRYING), joining="given")
    fresh.model.bottleneck.predictor = torch.nn.Identity()
    assert (fresh(wave).sources - many).abs().max() > 1e-4  # or this would be no test


@pytest.mark.parametrize("bottleneck", [CARRYING, NOISY])
@pytest.mark.parametrize("joining", ["given", "overlap"])
def test_state_is_saved_after_windows_were_heard(tmp_path, bottleneck, joining):
    separator = Separator(tiny(bottleneck), joining, ahead=0.0, windows_at_once=1)
    wave = noise(1, 1, 4000)
    whole, first, second = (separator.open(2000) for _ in range(3))
    expected = [whole.push(wave[..., :2100]), whole.push(wave[..., 2100:]), whole.finish()]
    pieces = [first.push(wave[..., :2100])]
    assert first._windows > 5  # or there is nothing to remember
    first.save(tmp_path / "state")
    second.restore(tmp_path / "state")
    pieces += [second.push(wave[..., 2100:]), second.finish()]
    assert torch.equal(torch.cat(pieces, -1), torch.cat(expected, -1))


def test_the_seed_decides_slots_that_start_from_noise():
    model, wave = tiny(NOISY), noise(2000)
    found = [Separator(model, seed=seed)(wave).sources for seed in (0, 0, 1)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_shares_move_on_from_frame_to_frame_without_a_jump():
    mixture, waves = torch.ones(1, 1, 96), torch.zeros(1, 2, 1, 96)
    waves[0, 0, 0, :48], waves[0, 1, 0, 48:] = noise(48), noise(48, seed=1)
    sharer = ResidualSharer(16)
    given = torch.cat([sharer.push(mixture, waves), sharer.finish()], dim=-1) - waves
    residual = mixture - waves.sum(1)
    share = (given[0, 0, 0] / residual[0, 0])[:80]
    assert share.diff().abs().max() < 0.1


def test_who_owns_what_is_above_is_told_by_the_top_of_the_band():
    time = torch.arange(4800) / 48000
    vowel, hiss = torch.sin(2 * torch.pi * 1000 * time), 0.05 * torch.sin(2 * torch.pi * 7000 * time)
    waves = torch.stack([vowel, hiss])[None, :, None]
    above = 0.2 * torch.sin(2 * torch.pi * 12000 * time)
    sharer = ResidualSharer(480)
    shared = torch.cat([sharer.push(waves.sum(1) + above, waves), sharer.finish()], dim=-1)
    gained = (shared - waves).square().sum(-1).flatten()
    assert gained[1] > 3 * gained[0]  # the vowel is 20 times as loud


def test_what_counts_as_silence_is_relative_to_the_loudest_so_far():
    rule = ByContinuity(Hungarian(), sample_rate=RATE)
    floors = rule._floors(torch.tensor([[1.0], [1e-6]]), 1e-3)
    assert floors[1] == pytest.approx(0.999e-3, rel=1e-3)


def test_whoever_is_in_a_place_stays_where_nothing_is_known():
    orders = Orders(Exhaustive())
    flat = torch.full((1, 1, 2, 2), -0.6931)
    orders.weigh(flat, torch.zeros(1, 1, 2))
    orders._belief = torch.zeros(1, 2)
    orders.weigh(flat, torch.tensor([[[0.0, 1e-4]]]))  # the second order is taken, by next to nothing
    assert orders._belief[0, 1] - orders._belief[0, 0] >= 0.0999


def test_what_is_only_foreseen_comes_again():
    def after(decided):
        orders = Orders(Exhaustive())
        moves = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log().expand(4, 1, 2, 2)
        heard = torch.tensor([0.0, 3.0, -3.0, -6.0])[:, None, None] * torch.tensor([0.0, 1.0])
        orders.weigh(moves, heard, decided)
        return orders._belief

    known = Orders(Exhaustive())
    moves = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log().expand(2, 1, 2, 2)
    known.weigh(moves, torch.tensor([0.0, 3.0])[:, None, None] * torch.tensor([0.0, 1.0]))
    assert (after(2) - after(4)).abs().max() > 1
    assert after(2)[0, 1] == pytest.approx(float(known._belief[0, 1]), abs=1e-5)


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


def voice(number):
    folder = sorted(speech("dev").iterdir())[number]
    wave = torch.cat([audio.read(file)[0][0] for file in sorted(folder.glob("*.flac"))])
    return wave * 0.05 / wave.square().mean().sqrt()


def test_voices_are_learnt_in_the_order_they_were_brought_into(monkeypatch):
    monkeypatch.setattr(turns, "KNOWN", 0.5)
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


def test_one_known_voice_does_not_suffice(monkeypatch):
    made = TurnFollower(Exhaustive(), RATE)
    made._memory.seconds = lambda: torch.tensor([[9.0, 0.5]])
    seen = []
    weigh = made._weights.weigh
    monkeypatch.setattr(
        made._weights, "weigh", lambda moves, heard, decided: seen.append(heard) or weigh(moves, heard, decided)
    )
    made.push(noise(1, 2, 1, 12 * RATE))
    assert len(seen) > 2
    assert not torch.cat(seen).any()


def test_the_latency_is_what_a_sample_waits_at_most():
    made = TurnFollower(Exhaustive(), RATE)
    given = back = longest = 0
    for _ in range(4000):
        longest = max(longest, given - back)
        back += made.push(torch.zeros(1, 2, 1, made.hop // 4)).shape[-1]
        given += made.hop // 4
    longest = max(longest, given - back) + made.hop // 4
    assert longest / RATE == pytest.approx(made.latency, abs=made.hop / 2 / RATE)


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


def window(level, presence=None):
    batch, slots = level.shape
    logits = None if presence is None else presence[:, None]
    order = torch.arange(slots).expand(batch, slots)
    return Observation(
        0.0, Slots(torch.zeros(batch, 1, slots, 3), None, logits), torch.zeros(1, 2), order, level[:, None]
    )


def met(windows, hop=0.25):
    meter = PresenceMeter(windows[0].order.shape[1], hop)
    for each in windows:
        meter.update(each)
    return meter


def test_a_quarter_of_the_energy_is_the_least_that_a_source_has():
    for share, present in ((0.24, False), (0.26, True)):
        level = 10 * torch.tensor([[1 - share, share]]).log10() - 20
        assert (met([window(level)] * 9).chosen(1, 2) == [[0, 1]]) == present


def test_of_long_recordings_a_hundredth_has_to_be_sure():
    talking, silent, level = torch.tensor([[5.0, -5.0]]), torch.tensor([[-5.0, 5.0]]), torch.full((1, 2), -20.0)
    hour = [window(level, talking)] * 4000
    assert met(hour + [window(level, silent)] * 10).chosen(1, 2) == [[0]]  # 10 of 4010: a slip
    assert met(hour + [window(level, silent)] * 40).chosen(1, 2) == [[0, 1]]


def test_what_is_audible_is_so_within_its_own_recording():
    level = torch.tensor([[-20.0, -60.0], [-60.0, -61.0]])
    assert met([window(level)] * 9).chosen(1, 2) == [[0], [0, 1]]


@pytest.fixture
def knowing():
    from slotaudio.separation.oracle import oracle

    paths = [sorted((speech("dev") / name).glob("*.flac"))[0] for name in ("1688", "3080")]
    sources = torch.stack([audio.read(path, 0, 4 * RATE)[0] for path in paths])
    separator = Separator(oracle(sources[None], "stft"))
    separator.model.decoder.rewind(separator.framing)
    return separator, sources


def test_an_example_is_not_overwritten(knowing, tmp_path):
    separator, sources = knowing
    soundfile.write(tmp_path / "mixture.wav", sources.sum(0)[0].numpy(), RATE)
    soundfile.write(tmp_path / "voice.wav", sources[1, 0].numpy(), RATE)
    before = (tmp_path / "voice.wav").read_bytes()
    with pytest.raises(AudioFileError, match="would be overwritten"):
        extract_file(separator, tmp_path / "mixture.wav", tmp_path / "voice.wav", tmp_path / "voice.wav", force=True)
    assert (tmp_path / "voice.wav").read_bytes() == before


def test_all_channels_of_an_example_are_heard(knowing):
    _, sources = knowing
    mono = voice_of(sources[1], RATE, RATE)
    stereo = voice_of(torch.cat([torch.zeros_like(sources[1]), 2 * sources[1]]), RATE, RATE)
    torch.testing.assert_close(stereo, mono, rtol=1e-3, atol=1e-1)


def test_the_longest_example_does_not_make_sure():
    said = torch.zeros(1, 39)
    said[0, 0], said[0, 1:20] = 1.0, torch.tensor([9.9, *[0.9, 2.5, -1.1, -1.3, -1.3, -1.1, -0.4], *[-0.5] * 11])
    other = said.clone()
    other[0, 1] += 2.0  # another session
    few, many = (same_voice(count * said, count * other) for count in (3000, 300000))
    assert abs(float(few - many)) < 0.02


def corpus(tmp_path, count=1):
    (tmp_path / "list.txt").write_text("\n".join(f"{n}.flac" for n in range(count)) + "\n")
    return read_list(tmp_path / "list.txt")


def test_records_take_their_place_at_once(tmp_path, monkeypatch):
    recordings = corpus(tmp_path)
    made = Corpus(tmp_path / "out", {})
    real = bulk.Path.write_text

    def half(path, text, **options):
        real(path, text[: len(text) // 2], **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bulk.Path, "write_text", half)
    list(made.separate(recordings, lambda path, folder, force: []))
    assert not (tmp_path / "out/.separated/0.flac.json").exists()


def test_after_a_failure_other_peoples_files_are_still_other_peoples(tmp_path):
    recordings, forced = corpus(tmp_path), []

    def fail(path, folder, force):
        forced.append(force)
        raise ValueError

    for _ in range(2):
        list(Corpus(tmp_path / "out", {}).separate(recordings, fail))
        next((tmp_path / "out/.separated").glob("*.failed")).unlink()
    assert forced == [False, False]


def test_what_was_done_while_the_lock_was_waited_for_is_not_done_again(tmp_path, monkeypatch):
    recordings = corpus(tmp_path)
    one, other = (Corpus(tmp_path / "out", {}) for _ in range(2))
    known, worked = Corpus._known, []

    def late(self, recording):
        found = known(self, recording)
        if self is one and not worked:  # the other one does it between the first look and the lock
            list(other.separate(recordings, lambda *_: worked.append("other") or []))
        return found

    monkeypatch.setattr(Corpus, "_known", late)
    outcomes = list(one.separate(recordings, lambda *_: worked.append("one") or []))
    assert worked == ["other"]
    assert outcomes[0].before


def test_no_file_gets_its_name_before_all_are_whole(tmp_path, monkeypatch):
    targets = [tmp_path / f"{n}.wav" for n in (1, 2)]
    options = {"force": False, "widen": True, "name": "a", "choose": lambda: [0, 1]}

    def full():
        raise AudioFileError("the disk is full")

    def separate():
        with Outputs(targets, RATE, 1, "PCM_16", **options) as outputs:
            outputs.write(0.01 * noise(2, 1, 100))
            monkeypatch.setattr(outputs._writers[1], "close", full)
            outputs.commit()

    with (
        pytest.warns(SeparationWarning, match="was not separated to its end"),
        pytest.raises(AudioFileError, match="the disk is full"),
    ):
        separate()
    assert not any(target.exists() for target in targets)


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
    torch.testing.assert_close(_within(positions, 250, 1000), torch.tensor([[0.5, -1.0], [0.5, 0.5]]))


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


def test_what_a_separator_joins_with():
    for model, overlap in ((any_length(), 0.5), (tiny(CARRYING), 0.75)):
        separator = Separator(model, "overlap", overlap, ahead=8.0)
        stream = separator.open(separator.sample_rate)
        rule = stream._joiner.rule
        assert rule.overlap_lapse == (0.05 if model.window is None else 1e-7)
        assert rule.identity.fresh == pytest.approx(1 - overlap, abs=1e-3)
        if model.window is None:
            assert stream._follower.foreseen == turns.DECIDED + round(2.0 / turns.SEGMENT)


def test_a_model_is_put_into_evaluation_mode():
    model = any_length().train()
    assert not Separator(model).model.training


def test_a_state_is_replaced_at_once(tmp_path, monkeypatch):
    from slotaudio.separation import state

    stream = Separator(tiny(CARRYING)).open(2000)
    stream.push(noise(1, 1, 100))
    stream.save(tmp_path / "state")
    before, save = (tmp_path / "state").read_bytes(), state.save_file

    def full(tensors, path, **options):
        save(tensors, path, **options)
        raise OSError(28, "No space left on device")

    stream.push(noise(1, 1, 300))
    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises(Exception, match="cannot be saved"):
        stream.save(tmp_path / "state")
    assert (tmp_path / "state").read_bytes() == before


def test_a_subtype_that_was_asked_for_stays(tmp_path):
    class Loud(torch.nn.Module):
        def forward(self, vectors, features, spectrum):
            from slotaudio.types import Estimates

            return Estimates(waves=torch.full((len(vectors), vectors.shape[2], 1, spectrum.length), 3.0))

    model = tiny(NOISY)
    model.decoder = Loud()
    soundfile.write(tmp_path / "a.wav", 0.5 * np.ones(2000), 2000)
    with pytest.warns(UserWarning, match="were limited"):
        (first, _) = Separator(model, consistent=False, level=None).separate_file(
            tmp_path / "a.wav", tmp_path, subtype="PCM_16"
        )
    assert audio.info(first).subtype == "PCM_16"


def test_a_tenth_of_a_second_is_heard_at_least():
    heard = []
    model = any_length()
    model.frontend.register_forward_hook(lambda _, inputs, output: heard.append(inputs[0].shape[-1]))
    Separator(model, "given", long_window=1.0, ahead=0.0, overlap=0.0)(noise(1, 40))
    assert min(heard) >= 1600
