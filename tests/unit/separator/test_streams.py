"""Streams: the sources of the whole recording, piece by piece, whatever the blocks are and whatever ends them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny_models import RATE, one_wave, tiny

from slotaudio import Separator, UserError, audio
from slotaudio.errors import AudioFileError
from slotaudio.separation.joining import AsGiven
from slotaudio.separation.offset import REACH


def test_streams_hold_on_to_little_however_long_they_are(separator):
    stream = separator.open(3 * RATE)
    held = []
    for _ in range(48):
        stream.push(torch.randn(1, 1, 2 * RATE) * 0.1)
        held.append(stream._buffer.shape[-1] + stream._consistency._mixture.shape[-1] + stream._in._buffer.shape[-1])
    assert max(held[24:]) <= max(held[:24]) + 2 * RATE
    assert stream.received == 48 * 2 * RATE


def test_looking_ahead_costs_latency_unless_the_order_is_given(separator):
    one_window = separator.framing.window / RATE
    for options, seconds in (({"ahead": 5.0}, 5.0), ({"joining": "given", "windows_at_once": 1}, one_window)):
        stream = Separator(separator.model, **options).open(RATE)
        assert stream.latency - 2 * REACH == pytest.approx(max(0, seconds - REACH), abs=separator.framing.hop / RATE)


@pytest.mark.parametrize("rate", [RATE, 3 * RATE, 4410])
@pytest.mark.parametrize("options", [{"window": 0.128}, {"window": 0.512}])
def test_no_sample_waits_longer_than_a_stream_says(rate, options):
    stream = Separator(tiny(**options), ahead=0.0, windows_at_once=1).open(rate)
    noise = torch.randn(2 * rate, generator=torch.Generator().manual_seed(12)) * 0.1
    waiting = []
    for block in noise.split(rate // 200):
        made = stream.push(block).shape[-1]
        waiting.append((waiting[-1] if waiting else 0) + len(block) - made)
    assert stream.latency - 0.15 < max(waiting) / rate <= stream.latency


def test_streams_of_files_waves_and_blocks_are_the_same(separator, tmp_path):
    wave = torch.randn(1, 3 * RATE, generator=torch.Generator().manual_seed(1)).clamp(-3, 3) * 0.1
    audio.write(tmp_path / "a.wav", wave, RATE)
    exact, _ = audio.read(tmp_path / "a.wav")
    sources = [str(tmp_path / "a.wav"), tmp_path / "a.wav", exact, exact[0].numpy(), exact.split(77, dim=-1)]
    whole = separator(exact).sources
    for source in sources:
        torch.testing.assert_close(torch.cat(list(separator.stream(source)), dim=-1), whole, rtol=0, atol=1e-6)
    for path in sources[:2]:
        torch.testing.assert_close(separator(path).sources, whole, rtol=0, atol=0)


def test_streams_that_change_or_end_at_once(separator):
    with pytest.raises(UserError, match="block 1 of the stream has 2 channels, the first had 1"):
        list(separator.stream([torch.zeros(1, 50), torch.zeros(2, 50)]))
    with pytest.raises(UserError, match="not a batch"):
        list(separator.stream([torch.zeros(1, 1, 50)]))
    assert list(separator.stream([])) == []
    assert all(piece.shape[-1] for piece in separator.stream([torch.zeros(1, 50)] * 3))
    assert torch.cat(list(separator.stream([torch.zeros(7), torch.zeros(0)])), dim=-1).shape == (2, 1, 7)


def test_blocks_are_pushed_with_any_axes_of_a_wave(separator):
    wave = torch.randn(1, 1, 900, generator=torch.Generator().manual_seed(5)) * 0.1
    stream = separator.open(RATE)
    pieces = [stream.push(wave[..., :300]), stream.push(wave[0, :, 300:500]), stream.push(wave[0, 0, 500:].numpy())]
    found = torch.cat([*pieces, stream.finish()], dim=-1)
    torch.testing.assert_close(found[0], separator(wave[0]).sources, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (torch.zeros(2, 300), r"a block of 2 channels \(its shape is \(2, 300\)\), where the model takes 1"),
        (torch.zeros(2, 1, 300), "a batch of 2, where the first was of 1"),
        (np.zeros(300, np.int16), "int16; give floats"),
    ],
)
def test_blocks_that_do_not_fit_a_stream(separator, block, message):
    stream = separator.open(RATE)
    stream.push(torch.zeros(300))
    with pytest.raises(UserError, match=message):
        stream.push(block)


def test_a_source_that_fails_loses_nothing_of_what_it_gave(separator):
    wave = torch.randn(1, 3210, generator=torch.Generator().manual_seed(3)) * 0.1

    def microphone():
        yield wave[:, :3000]
        yield wave[:, 3000:]
        raise OSError("unplugged")

    pieces: list[torch.Tensor] = []
    with pytest.raises(OSError, match="unplugged"):
        pieces.extend(separator.stream(microphone()))
    torch.testing.assert_close(torch.cat(pieces, dim=-1), separator(wave).sources, rtol=0, atol=1e-6)


def test_a_stream_may_not_change_its_rate(separator):
    blocks = [(torch.zeros(600), RATE), (torch.zeros(600), RATE + 1)]
    pieces: list[torch.Tensor] = []
    with pytest.raises(UserError, match=rf"block 1 of the stream is at {RATE + 1} Hz, the stream at {RATE} Hz"):
        pieces.extend(separator.stream(blocks))
    assert torch.cat(pieces, dim=-1).shape == (2, 1, 600)


def test_the_memory_of_a_block_may_be_filled_anew(separator):
    wave = torch.randn(1, 2 * RATE, generator=torch.Generator().manual_seed(7)) * 0.1
    memory = np.empty((1, 300), np.float32)

    def microphone():
        for block in wave[:, :3900].split(300, dim=-1):
            memory[:] = block
            yield memory

    found = torch.cat(list(separator.stream(microphone())), dim=-1)
    torch.testing.assert_close(found, separator(wave[:, :3900]).sources, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">f8"])
def test_arrays_over_bytes_are_taken_without_a_word(separator, recwarn, kind):
    data = (np.random.default_rng(8).standard_normal(900) * 0.1).astype(kind).tobytes()
    wave = np.frombuffer(data, kind)
    assert not wave.flags.writeable
    found = separator(wave).sources
    assert not recwarn.list
    np.testing.assert_array_equal(found, separator(wave.astype(np.float32)).sources)


def test_a_block_that_is_no_sound_is_told_of_by_its_time_and_may_be_replaced(separator):
    wave, bad = torch.randn(1, 4 * RATE, generator=torch.Generator().manual_seed(9)) * 0.1, torch.zeros(1, 300)
    bad[0, 8] = torch.nan
    first, rest, silence = wave[:, :3000], wave[:, 3300:], torch.zeros(1, 300)
    stream = separator.open(RATE)
    pieces = [stream.push(first)]
    with pytest.raises(AudioFileError, match=r"NaN.* the first at 1\.504 s"):
        stream.push(bad)
    pieces += [stream.push(silence), stream.push(rest), stream.finish()]
    whole = separator(torch.cat([first, silence, rest], dim=-1)).sources
    torch.testing.assert_close(torch.cat(pieces, dim=-1)[0], whole, rtol=0, atol=1e-6)
    with pytest.raises(AudioFileError, match=r"the first at 1\.504 s"):
        list(separator.stream([*first.split(1000, dim=-1), bad, rest]))


def test_a_stream_that_failed_in_the_middle_of_a_block_does_not_go_on(separator, tmp_path):
    wave, seen = torch.randn(1, 2 * RATE, generator=torch.Generator().manual_seed(10)) * 0.1, []

    def full(observation):
        seen.append(observation)
        if len(seen) == 9:
            raise OSError("the disk is full")

    separator = Separator(separator.model, ahead=0.0, windows_at_once=1)
    stream = separator.open(RATE, observer=full)
    pieces = [stream.push(wave[:, :700])]
    stream.save(tmp_path / "before.state")
    with pytest.raises(OSError, match="full"):
        stream.push(wave[:, 700:])
    for again in (lambda: stream.push(wave), stream.finish, lambda: stream.save(tmp_path / "after.state")):
        with pytest.raises(UserError, match=r"in the middle of a block: .* open another"):
            again()
    assert not (tmp_path / "after.state").exists()
    stream.restore(tmp_path / "before.state")
    pieces += [stream.push(wave[:, 700:]), stream.finish()]
    torch.testing.assert_close(torch.cat(pieces, dim=-1)[0], separator(wave).sources, rtol=0, atol=1e-6)


def test_one_thread_at_a_time_may_push(separator):
    wave = torch.randn(1, 900, generator=torch.Generator().manual_seed(11)) * 0.1
    refused = []

    def meanwhile(observation):
        with ThreadPoolExecutor(1) as pool:
            refused.append(pool.submit(stream.push, wave).exception())

    separator = Separator(separator.model, ahead=0.0, windows_at_once=1)
    stream = separator.open(RATE, observer=meanwhile)
    found = torch.cat([stream.push(wave), stream.finish()], dim=-1)
    assert refused
    assert all("one thread at a time" in str(error) for error in refused)
    torch.testing.assert_close(found[0], separator(wave).sources, rtol=0, atol=1e-6)


def test_an_offset_is_shared_equally_also_by_who_is_silent():
    wave = torch.randn(1, 2 * RATE, generator=torch.Generator().manual_seed(13)) * 0.1 + 0.2
    first, second = Separator(one_wave(1.0))(wave).sources
    torch.testing.assert_close(second, torch.full_like(second, 0.1), rtol=0, atol=0.02)
    torch.testing.assert_close(first + second, wave, rtol=0, atol=1e-5)


def test_a_stream_that_failed_at_its_end_is_not_saved(separator, tmp_path):
    def full(observation):
        raise OSError("the disk is full")

    stream = Separator(separator.model, ahead=60.0).open(RATE, observer=full)
    stream.push(torch.zeros(900))
    with pytest.raises(OSError, match="full"):
        stream.finish()
    with pytest.raises(UserError, match="in the middle of a block"):
        stream.save(tmp_path / "half.state")


def test_no_sample_waits_longer_for_turns_than_a_stream_says():
    stream = Separator(tiny(window=None), long_window=0.5, ahead=2.0).open(RATE)
    noise = torch.randn(8 * RATE, generator=torch.Generator().manual_seed(14)) * 0.1
    made = [stream.push(block).shape[-1] for block in noise.split(100)]
    waiting = max(100 * number - sum(made[:number]) for number in range(1, len(made) + 1))
    assert stream.latency - stream._follower.latency < waiting / RATE <= stream.latency


def test_windows_are_shown_to_a_rule_before_it_is_asked(separator):
    told = []

    class LooksAhead(AsGiven):
        def foresee(self, windows, overlap):
            told.append((len(windows), overlap))

        def __call__(self, shared, window):
            told.append(None)
            return super().__call__(shared, window)

    separator = Separator(separator.model, windows_at_once=3, ahead=0.0)
    separator.open(RATE, LooksAhead()).push(torch.randn(RATE) * 0.1)
    framing = separator.framing
    assert told[:4] == [(3, framing.window - framing.hop), None, None, None]
