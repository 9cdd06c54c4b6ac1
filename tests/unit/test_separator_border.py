"""The separator's border: what it refuses, what it says, what it does not hold on to."""

from pathlib import Path

import numpy as np
import pytest
import torch

from slotaudio import Separator, SlotModel, Spec, UserError, audio, compose
from slotaudio.errors import AudioFileError
from slotaudio.separation.files import output_paths
from slotaudio.separation.intake import SeparationWarning, as_batch
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
        ({"joining": "telepathy"}, "choose 'auto', 'overlap' or 'given'"),
        ({"overlap": 0.95}, "outside 0 to 0.9"),
        ({"mask": "gauss"}, "choose 'binary' or 'wiener'"),
        ({"threads": 0}, "0 threads"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(UserError, match=message):
        Separator(tiny(), **options)


def test_channels_are_mixed_down_with_a_word(separator):
    wave = torch.randn(2, 1500, generator=torch.Generator().manual_seed(0)) * 0.1
    with pytest.warns(SeparationWarning, match="the wave has 2 channels; they are mixed down"):
        separated = separator(wave)
    assert separated.sources.shape == (2, 1, 1500)
    torch.testing.assert_close(separated.sources.sum(dim=0), wave.mean(dim=0, keepdim=True), rtol=0, atol=1e-5)


def test_without_consistency_a_model_has_its_own_say():
    model = one_wave(0.5)
    wave = torch.randn(1500, generator=torch.Generator().manual_seed(0)) * 0.1
    own = Separator(model, consistent=False)(wave).sources
    torch.testing.assert_close(own[0], wave / 2, rtol=0, atol=1e-4)
    shared = Separator(model)(wave).sources
    torch.testing.assert_close(shared[0], wave, rtol=0, atol=1e-4)  # all of the rest to whom it belongs
    assert shared[1].abs().max() < 1e-6


def test_a_mask_for_a_model_that_leaves_no_choice_is_refused():
    with pytest.raises(UserError, match="mask 'binary' was asked for, but the model's decoder leaves no choice"):
        Separator(one_wave(0.5), mask="binary")(torch.zeros(500))


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
    for _ in range(24):
        stream.push(torch.randn(1, 1, 2 * RATE) * 0.1)
        held.append(stream._buffer.shape[-1] + stream._mixture.shape[-1] + stream._in._buffer.shape[-1])
    assert max(held[12:]) <= max(held[:12])
    assert stream.received == 24 * 2 * RATE
    assert stream.latency == pytest.approx(separator.framing.window / RATE * (1 + (separator.framing.at_once - 1) / 2))


def test_streams_of_files_waves_and_blocks_are_the_same(separator, tmp_path):
    wave = torch.randn(1, 3 * RATE, generator=torch.Generator().manual_seed(1)).clamp(-3, 3) * 0.1
    audio.write(tmp_path / "a.wav", wave, RATE)
    exact, _ = audio.read(tmp_path / "a.wav")
    sources = [str(tmp_path / "a.wav"), tmp_path / "a.wav", exact, exact[0].numpy(), exact.split(77, dim=-1)]
    whole = separator(exact).sources
    for source in sources:
        torch.testing.assert_close(torch.cat(list(separator.stream(source)), dim=-1), whole, rtol=0, atol=1e-6)


def test_streams_that_change_or_end_at_once(separator):
    with pytest.raises(UserError, match="block 1 of the stream has 2 channels, the first had 1"):
        list(separator.stream([torch.zeros(1, 50), torch.zeros(2, 50)]))
    with pytest.raises(UserError, match="not a batch"):
        list(separator.stream([torch.zeros(1, 1, 50)]))
    assert list(separator.stream([])) == []
    assert torch.cat(list(separator.stream([torch.zeros(7), torch.zeros(0)])), dim=-1).shape == (2, 1, 7)


def test_a_file_knows_its_rate(separator, tmp_path):
    audio.write(tmp_path / "a.wav", torch.zeros(1, 100), 4000)
    with pytest.raises(UserError, match="at 4000 Hz, not at 2000 Hz"):
        next(separator.stream(tmp_path / "a.wav", RATE))


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
    assert not list((tmp_path / "out" / "deep").glob("*.partial*"))


def test_only_the_strongest_sources_are_written(tmp_path):
    record(tmp_path / "talk.wav")
    written = Separator(one_wave(0.5, slots=3)).separate_file(tmp_path / "talk.wav", tmp_path, sources=1)
    assert [path.name for path in written] == ["talk_slot1.wav"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk.wav", "talk_slot1.wav"]
    with pytest.raises(UserError, match="4 sources cannot be written: the model predicts 3"):
        Separator(tiny(slots=3)).separate_file(tmp_path / "talk.wav", tmp_path, sources=4)


def test_full_scale_recordings_are_not_clipped_in_silence(tmp_path):
    record(tmp_path / "talk.wav", peak=0.9)
    separator = Separator(one_wave(2.0), consistent=False)
    with pytest.warns(SeparationWarning, match=r"talk_slot1\.wav holds samples beyond full scale .* 32-bit float"):
        written = separator.separate_file(tmp_path / "talk.wav", tmp_path / "a")
    assert audio.read(written[0])[0].abs().max() > 1.5
    with pytest.warns(SeparationWarning, match=r"talk_slot1\.flac: \d+ samples beyond full scale were limited"):
        separator.separate_file(tmp_path / "talk.wav", tmp_path / "b", format="flac")


def test_a_recording_is_not_overwritten_by_its_own_output(separator, tmp_path):
    record(tmp_path / "a_slot1.wav")
    (tmp_path / "a.wav").symlink_to(tmp_path / "a_slot1.wav")
    with pytest.raises(AudioFileError, match="would be overwritten"):
        separator.separate_file(tmp_path / "a.wav", tmp_path, force=True)
