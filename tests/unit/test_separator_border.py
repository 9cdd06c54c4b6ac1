"""The separator's border: what it refuses, what it says, what it does not hold on to."""

import inspect
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from slotaudio import Separator, SlotModel, Spec, UserError, audio, compose
from slotaudio.errors import AudioFileError
from slotaudio.separation.files import output_paths
from slotaudio.separation.intake import SeparationWarning, as_batch
from slotaudio.separation.offset import REACH
from slotaudio.separation.outputs import Outputs
from slotaudio.types import Estimates, Features, Spectrum

RATE = 2000


def tiny(**options: object) -> SlotModel:
    torch.manual_seed(0)
    return compose(
        **{
            "frontend": Spec("stft", sample_rate=RATE, window=64, hop=16, framing="centred"),
            "encoder": Spec("resnet", depth=10, width=2),
            "bottleneck": Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
            "decoder": Spec("spatial_broadcast", hidden=8, layers=1),
            "window": 0.128,
            **options,
        }
    )


class OneWave(torch.nn.Module):
    """Gives the first slot the mixture times a factor, as a finished wave, and the others nothing."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, vectors: torch.Tensor, features: Features, spectrum: Spectrum) -> Estimates:
        waves = torch.zeros(len(vectors), vectors.shape[2], 1, spectrum.length)
        hann = torch.hann_window(64)
        waves[:, 0, 0] = torch.istft(spectrum.values[:, 0], 64, 16, window=hann, length=spectrum.length) * self.factor
        return Estimates(waves=waves)


def one_wave(factor: float, slots: int = 2) -> SlotModel:
    model = tiny(slots=slots)
    model.decoder = OneWave(factor)
    return model


@pytest.fixture(scope="module")
def separator() -> Separator:
    return Separator(tiny())


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        ([0.0, 0.1], "a numpy array or a tensor, not list"),
        (np.zeros(100, np.int16), "int16; give floats .* wave / 32768"),
        (torch.zeros(()), "this one has 0 axes"),
        (torch.zeros(1, 1, 1, 9), "this one has 4 axes"),
        (np.zeros((5000, 2), np.float32), "look transposed .* use wave.T"),
        (np.zeros((0, 5000), np.float32), "no channels"),
    ],
)
def test_waves_that_are_none(wave, message):
    with pytest.raises(UserError, match=message):
        as_batch(wave, RATE)


def test_samples_that_are_no_sound(separator):
    wave = torch.zeros(2, 1, 5000)
    wave[1, 0, 4000] = torch.nan
    with pytest.raises(AudioFileError, match=r"the first at 2\.000 s"):
        separator(wave)
    with pytest.raises(UserError, match="holds no samples"):
        separator(torch.zeros(0))


@pytest.mark.parametrize("rate", [0, -16000, 10**9])
def test_impossible_rates(separator, rate):
    with pytest.raises(UserError, match="sample rate of"):
        separator(torch.zeros(100), rate)
    with pytest.raises(UserError, match="sample rate of"):
        next(separator.stream(torch.zeros(100), rate))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows_at_once": -3}, "give 1 or more"),
        ({"long_window": -1.0}, "outside 0.1 to 600"),
        ({"joining": "telepathy"}, "choose 'auto', 'overlap' or 'given'"),
        ({"overlap": 0.95}, "outside 0 to 0.9"),
        ({"ahead": -1.0}, "outside 0 to 60"),
        ({"mask": "gauss"}, "choose 'binary' or 'wiener'"),
        ({"threads": 0}, "0 threads"),
        ({"precision": "fp16"}, "precision 'fp16' is not known; choose 'fp32' or 'bf16'"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(UserError, match=message):
        Separator(tiny(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "band-split"}, "'band-split' is not a SlotModel; Separator.from_pretrained loads"),
        ({"overlap": "0.5"}, r"overlap = '0\.5' is not float"),
        ({"keep_noise": "no"}, "keep_noise = 'no' is not bool"),
        ({"seed": None}, "seed = None is not int"),
    ],
)
def test_arguments_of_the_wrong_type(options, message):
    without_beartype = inspect.unwrap(Separator.__init__)  # which is there in tests only
    with pytest.raises(UserError, match=message):
        without_beartype(object.__new__(Separator), **{"model": tiny(), **options})


def test_a_separator_says_what_it_is(separator):
    assert repr(separator) == (
        "<Separator of 2 slots at 2000 Hz, windows of 0.128 s every 0.064 s, joining 'auto', sources 2>"
    )


def test_channels_are_mixed_down_with_a_word(separator):
    wave = torch.randn(2, 1500, generator=torch.Generator().manual_seed(0)) * 0.1
    with pytest.warns(SeparationWarning, match="the wave has 2 channels; they are mixed down"):
        separated = separator(wave)
    assert separated.sources.shape == (2, 1, 1500)
    torch.testing.assert_close(separated.sources.sum(dim=0), wave.mean(dim=0, keepdim=True), rtol=0, atol=1e-5)


@pytest.mark.parametrize("cut", [100, 3000])
def test_channels_of_a_call_are_told_of_and_either_may_be_taken(recwarn, cut):
    warnings.simplefilter("always")
    voices = torch.randn(2, 4 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    voices[0, : 2 * RATE] = voices[1, 2 * RATE :] = 0.0  # they take turns
    call = voices + 0.02 * voices.flip(0) + 0.3
    list(Separator(tiny()).stream(call.split(cut, dim=-1)))
    assert len([warning for warning in recwarn if "may hold different voices already" in str(warning.message)]) == 1
    recwarn.clear()
    alike = voices.sum(dim=0) * torch.tensor([[1.0], [0.3]])
    list(Separator(tiny()).stream(alike.split(cut, dim=-1)))
    assert ["mixed down" in str(warning.message) for warning in recwarn] == [True]
    recwarn.clear()
    taken = torch.cat(list(Separator(tiny(), channel=2).stream(call.split(cut, dim=-1))), dim=-1)
    torch.testing.assert_close(taken.sum(dim=0), call[1:], rtol=0, atol=1e-4)
    assert not recwarn.list


@pytest.mark.parametrize(("channel", "message"), [(3, "no channel 3; choose from 1 to 2"), (0, "count from 1")])
def test_channels_that_are_none(channel, message):
    with pytest.raises(UserError, match=message):
        Separator(tiny(), channel=channel)(torch.zeros(2, 1500))


def test_without_consistency_a_model_has_its_own_say():
    model = one_wave(0.5)
    wave = torch.randn(1500, generator=torch.Generator().manual_seed(0)).diff() * 0.1  # next to nothing below 10 Hz
    own = Separator(model, consistent=False)(wave).sources
    torch.testing.assert_close(own[0], wave / 2, rtol=0, atol=1e-4)
    shared = Separator(model)(wave).sources
    torch.testing.assert_close(shared[0], wave, rtol=0, atol=1e-4)  # all of the rest to whom it belongs
    assert shared[1].abs().max() < 1e-4


def test_a_mask_for_a_model_that_leaves_no_choice_is_refused():
    with pytest.raises(UserError, match="mask 'binary' was asked for, but the model's decoder leaves no choice"):
        Separator(one_wave(0.5), mask="binary")(torch.zeros(500))


@pytest.mark.parametrize("mask", ["winer", {"name": "binary", "exponent": 2}, {"name": "wiener", "power": 2}])
def test_masks_that_are_none_are_refused_at_once(mask):
    with pytest.raises(UserError, match=r"is not known; choose 'binary' or 'wiener' \(option: exponent\)"):
        tiny(mask=mask)


def test_a_model_without_all_stages_cannot_separate():
    with pytest.raises(UserError, match="composed without a bottleneck"):
        Separator(tiny(bottleneck=None, decoder=None))(torch.zeros(500))


def test_progress_ends_at_one_and_never_goes_back(separator):
    shares: list[float] = []
    separator(torch.zeros(5 * RATE), progress=shares.append)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert len(shares) > 1


def test_streams_hold_on_to_little_however_long_they_are(separator):
    stream = separator.open(3 * RATE)
    held = []
    for _ in range(48):
        stream.push(torch.randn(1, 1, 2 * RATE) * 0.1)
        held.append(stream._buffer.shape[-1] + stream._mixture.shape[-1] + stream._in._buffer.shape[-1])
    assert max(held[24:]) <= max(held[:24]) + 2 * RATE
    assert stream.received == 48 * 2 * RATE
    joined = separator.framing.window / RATE * (1 + (separator.framing.together - 1) / 2)
    assert stream.latency == pytest.approx(REACH + joined)


def test_looking_ahead_costs_latency_unless_the_order_is_given(separator):
    one_window = separator.framing.window / RATE
    for options, seconds in (({"ahead": 5.0}, 5.0), ({"joining": "given", "windows_at_once": 1}, one_window)):
        stream = Separator(separator.model, **options).open(RATE)
        assert stream.latency - REACH == pytest.approx(seconds, abs=separator.framing.hop / RATE)


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


def test_a_file_knows_its_rate(separator, tmp_path):
    audio.write(tmp_path / "a.wav", torch.zeros(1, 100), 4000)
    with pytest.raises(UserError, match="at 4000 Hz, not at 2000 Hz"):
        next(separator.stream(tmp_path / "a.wav", RATE))
    assert separator(tmp_path / "a.wav").sample_rate == 4000
    with pytest.raises(UserError, match="at 4000 Hz, not at 2000 Hz"):
        separator(tmp_path / "a.wav", RATE)


def test_references_need_the_axes_of_the_wave(separator):
    with pytest.raises(UserError, match="needs the axes of the wave and `sources`"):
        separator(torch.zeros(1, 500), reference=torch.zeros(2, 500))


def record(path: Path, peak: float = 0.5, seconds: float = 2.0, subtype: str = "PCM_16") -> torch.Tensor:
    wave = torch.randn(1, round(seconds * 3000), generator=torch.Generator().manual_seed(2))
    wave = wave / wave.abs().max() * peak
    with audio.AudioWriter(path, 3000, subtype=subtype) as writer:
        writer.write(wave)
    return wave


@pytest.mark.parametrize(("subtype", "step"), [("PCM_16", 2.0**-15), ("PCM_24", 2.0**-23), ("FLOAT", 2.0**-23)])
def test_files_have_the_length_rate_depth_and_sum_of_the_recording(separator, tmp_path, subtype, step):
    record(tmp_path / "talk.wav", subtype=subtype)
    written = separator.separate_file(tmp_path / "talk.wav", tmp_path / "out" / "deep")
    assert written == output_paths("talk.wav", tmp_path / "out" / "deep", 2, "wav")
    waves = [audio.read(path)[0] for path in written]
    assert all(audio.info(path).subtype == subtype and audio.info(path).sample_rate == 3000 for path in written)
    torch.testing.assert_close(sum(waves), audio.read(tmp_path / "talk.wav")[0], rtol=0, atol=2 * step)
    assert not list((tmp_path / "out" / "deep").glob("*.part*"))


@pytest.mark.parametrize(("sources", "count"), [(1, 1), ("2", 2), ((2, 3), 2), ("unknown", 1), (None, 3)])
def test_surplus_outputs_are_not_written(tmp_path, sources, count):
    record(tmp_path / "talk.wav")
    separator = Separator(one_wave(0.5, slots=3), sources=sources)
    written = separator.separate_file(tmp_path / "talk.wav", tmp_path)
    assert [path.name for path in written] == [f"talk_slot{slot}.wav" for slot in range(1, count + 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk.wav", *(path.name for path in written)]
    separated = separator(audio.read(tmp_path / "talk.wav")[0], 3000)
    assert separated.slots.tolist() == list(range(count))
    assert separated.sources.shape[0] == count


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


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_what_is_separated_stays_whatever_ends_it(separator, tmp_path, format):
    record(tmp_path / "talk.wav", seconds=40.0)

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with (
        pytest.warns(SeparationWarning, match=r"first (\d+\.\d) s are in .*slot1\.part\.") as told,
        pytest.raises(KeyboardInterrupt),
    ):
        separator.separate_file(tmp_path / "talk.wav", tmp_path, format=format, progress=stop)
    seconds = float(str(told[0].message).split("first ")[1].split(" s")[0])
    left = sorted(tmp_path.glob("*.part.*"))
    assert [path.name for path in left] == [f"talk_slot{slot}.part.{format}" for slot in (1, 2)]
    waves = [audio.read(path)[0] for path in left]
    assert len({wave.shape[1] for wave in waves}) == 1
    assert waves[0].shape[1] / 3000 == pytest.approx(seconds, abs=0.06)
    mixture = audio.read(tmp_path / "talk.wav")[0][:, : waves[0].shape[1]]
    torch.testing.assert_close(sum(waves), mixture, rtol=0, atol=1e-4)
    separator.separate_file(tmp_path / "talk.wav", tmp_path, format=format)
    assert not list(tmp_path.glob("*.part.*"))


def test_a_batch_of_unequal_numbers_is_refused():
    wave = torch.randn(2, 1, 1500, generator=torch.Generator().manual_seed(0)) * 0.1
    model = one_wave(0.5, slots=2)
    assert Separator(model, sources=1)(wave).sources.shape == (2, 1, 1, 1500)
    assert Separator(model, sources="unknown")(wave).slots.tolist() == [[0], [0]]


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_what_is_cut_off_is_separated_as_far_as_it_goes(separator, tmp_path, format):
    path = tmp_path / f"talk.{format}"
    noise = 0.1 * torch.randn(60 * 8000, generator=torch.Generator().manual_seed(2))
    soundfile.write(path, noise.numpy(), 8000)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with (
        pytest.warns(SeparationWarning, match="not separated to its end"),
        pytest.raises(AudioFileError, match=r"cut off after|is truncated: 30\.\d\d s of 60\.00 s|truncated"),
    ):
        separator.separate_file(path, tmp_path / "out")
    left = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in left] == ["talk_slot1.part.wav", "talk_slot2.part.wav"]
    kept = sum(audio.read(path)[0] for path in left)
    with audio.AudioReader(path) as reader:
        wave = torch.cat(list(islice(reader, 3)), dim=-1)
    assert kept.shape[1] > wave.shape[1] > 8000  # to the damage, and no tail is waited for
    torch.testing.assert_close(kept[:, : wave.shape[1]], wave, rtol=0, atol=1e-4)


def test_full_scale_recordings_are_not_clipped_in_silence(tmp_path):
    record(tmp_path / "talk.wav", peak=0.9)
    separator = Separator(one_wave(2.0), consistent=False)
    with pytest.warns(SeparationWarning, match=r"beyond full scale.*talk_slot1\.wav .* became 32-bit float"):
        written = separator.separate_file(tmp_path / "talk.wav", tmp_path / "a")
    assert audio.read(written[0])[0].abs().max() > 1.5
    with pytest.warns(SeparationWarning, match=r"talk_slot1\.flac: \d+ samples beyond full scale were limited"):
        separator.separate_file(tmp_path / "talk.wav", tmp_path / "b", format="flac")
    with pytest.warns(SeparationWarning, match="were limited"):  # a subtype that was asked for stays
        written = separator.separate_file(tmp_path / "talk.wav", tmp_path / "c", subtype="PCM_16")
    assert audio.info(written[0]).subtype == "PCM_16"


def test_a_recording_is_not_overwritten_by_its_own_output(separator, tmp_path):
    record(tmp_path / "a_slot1.wav")
    (tmp_path / "a.wav").symlink_to(tmp_path / "a_slot1.wav")
    with pytest.raises(AudioFileError, match="would be overwritten"):
        separator.separate_file(tmp_path / "a.wav", tmp_path, force=True)


def test_all_outputs_of_a_recording_become_floats_where_one_has_to(tmp_path):
    wave = record(tmp_path / "talk.wav", peak=0.9)
    targets = [tmp_path / f"{slot}.wav" for slot in (1, 2)]
    options = {"force": False, "widen": True, "name": "talk", "choose": lambda: [0, 1]}
    with Outputs(targets, 3000, 1, "PCM_16", **options) as outputs:
        for loudness in (0.5, 2.0, 0.5):
            outputs.write(torch.stack([wave * loudness, wave * 0.5]))
        with pytest.warns(SeparationWarning, match=r"1\.wav and .*2\.wav became 32-bit float"):
            outputs.commit()
    assert [audio.info(path).subtype for path in targets] == ["FLOAT", "FLOAT"]
    torch.testing.assert_close(audio.read(targets[1])[0], (wave * 0.5).repeat(1, 3), rtol=0, atol=2.0**-15)
