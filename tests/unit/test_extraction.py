"""The right voice is picked by an example, and none where nobody matches."""

import numpy as np
import pytest
import soundfile
import torch

from slotaudio import Separator, UserError
from slotaudio.data.bundled import speech
from slotaudio.errors import AudioFileError
from slotaudio.separation.extraction import Voices, extract_file, same_voice, voice_of
from slotaudio.separation.intake import SeparationWarning
from slotaudio.separation.oracle import oracle

RATE = 16000


def utterance(speaker, number, seconds=4.0):
    paths = sorted((speech("dev") / speaker).glob("*.flac"))
    return torch.from_numpy(soundfile.read(paths[number], dtype="float32")[0][: round(seconds * RATE)])[None]


@pytest.fixture(scope="module")
def two():
    """A separator that knows the sources of a mixture of two speakers, and the mixture."""
    sources = torch.stack([utterance("1688", 0), utterance("3080", 0)])
    separator = Separator(oracle(sources[None], "stft"))

    class Knowing(Separator):
        def open(self, *arguments, **options):
            self.model.decoder.rewind(self.framing)
            return super().open(*arguments, **options)

    separator.__class__ = Knowing
    return separator, sources.sum(0), sources


def test_voices_are_told_apart(two):
    _, _, sources = two
    voices = Voices(RATE, RATE)
    for piece in sources.split(7777, dim=-1):
        voices.push(piece)
    said = voices.finish()
    for index, speaker in enumerate(("1688", "3080")):
        example = voice_of(utterance(speaker, 1), RATE, RATE)
        assert int(same_voice(example, said).argmax()) == index
    assert (same_voice(voice_of(utterance("2414", 0), RATE, RATE), said) < 0.5).all()


def test_pieces_and_levels_do_not_matter(two):
    _, _, sources = two

    def said(waves, size):
        voices = Voices(RATE, RATE)
        for piece in waves.split(size, dim=-1):
            voices.push(piece)
        return voices.finish()

    torch.testing.assert_close(said(sources, 1000), said(sources, 60000), rtol=1e-3, atol=1e-2)
    example = voice_of(utterance("1688", 1), RATE, RATE)
    for gain in (0.01, 10.0):
        found = same_voice(example, said(gain * sources, 9999))
        torch.testing.assert_close(found, same_voice(example, said(sources, 9999)), atol=0.02, rtol=0.05)
    nothing = said(0 * sources, 9999)
    assert same_voice(example, nothing).tolist() == [0.5, 0.5]


def test_a_wave_and_a_file_give_the_same(two, tmp_path):
    separator, mixture, sources = two
    example = utterance("3080", 1)
    found = separator.extract(mixture, example, RATE, RATE)
    assert found.slot == 1
    assert found.source.shape == mixture.shape
    assert found.similarity > 0.5 > min(found.similarities)
    assert (found.source - sources[1]).square().sum() < 0.2 * sources[1].square().sum()
    flat = separator.extract(mixture[0].numpy(), example[0].numpy())
    np.testing.assert_allclose(flat.source, found.source[0], atol=1e-5)
    soundfile.write(tmp_path / "mixture.wav", mixture[0].numpy(), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "example.wav", example[0].numpy(), RATE)
    read = separator.extract(tmp_path / "mixture.wav", tmp_path / "example.wav")
    np.testing.assert_allclose(read.source, found.source, atol=1e-5)
    written = extract_file(separator, tmp_path / "mixture.wav", tmp_path / "example.wav", tmp_path / "voice.wav")
    assert written.slot == 1
    np.testing.assert_allclose(soundfile.read(tmp_path / "voice.wav")[0], flat.source, atol=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["example.wav", "mixture.wav", "voice.wav"]


@pytest.mark.parametrize(
    ("name", "subtype", "told"),
    [("voice.FLAC", "PCM_24", ["samples beyond full scale were limited"]), ("voice.WAV", "FLOAT", [])],
)
def test_samples_beyond_full_scale_in_files_of_any_case(two, tmp_path, recwarn, name, subtype, told):
    separator, mixture, sources = two
    soundfile.write(tmp_path / "mixture.wav", 20 * mixture[0].numpy(), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "example.wav", sources[1, 0].numpy(), RATE)
    goal = tmp_path / "new" / name
    extract_file(separator, tmp_path / "mixture.wav", tmp_path / "example.wav", goal, least=0.0)
    assert soundfile.info(goal).subtype == subtype
    assert [str(each.message).partition(f"{goal}: ")[2].partition(" ")[2].partition(";")[0] for each in recwarn] == told


def test_nobody_matches(two, tmp_path):
    separator, mixture, _ = two
    with pytest.warns(SeparationWarning, match="no voice in the wave is similar to the example"):
        found = separator.extract(mixture, utterance("2414", 0))
    assert found.similarity < 0.5
    soundfile.write(tmp_path / "mixture.wav", mixture[0].numpy(), RATE)
    soundfile.write(tmp_path / "stranger.wav", utterance("2414", 0)[0].numpy(), RATE)
    paths = (tmp_path / "mixture.wav", tmp_path / "stranger.wav", tmp_path / "voice.wav")
    with pytest.raises(UserError, match=r"no voice in .*mixture\.wav is similar to .*stranger\.wav") as refused:
        extract_file(separator, *paths)
    assert str(refused.value).endswith("or a smaller `least`")
    assert refused.value.on_command_line == str(refused.value).replace("`least`", "--least")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixture.wav", "stranger.wav"]
    assert extract_file(separator, *paths, least=0.0).similarity < 0.5
    assert paths[2].exists()


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.zeros(1, 50000), "holds 0.0 s of sound"),
        (torch.randn(1, 8000) * 0.1, "an example of a voice needs 1 s at least"),
        (torch.randn(2, 1, 50000), "not a batch"),
        ("missing.wav", "missing.wav does not exist"),
    ],
)
def test_examples_that_are_none(two, example, message):
    separator, mixture, _ = two
    with pytest.raises(UserError, match=message):
        separator.extract(mixture, example)


def test_an_example_is_not_overwritten(two, tmp_path):
    separator, mixture, sources = two
    soundfile.write(tmp_path / "mixture.wav", mixture[0].numpy(), RATE)
    soundfile.write(tmp_path / "voice.wav", sources[1, 0].numpy(), RATE)
    before = (tmp_path / "voice.wav").read_bytes()
    with pytest.raises(AudioFileError, match="would be overwritten"):
        extract_file(separator, tmp_path / "mixture.wav", tmp_path / "voice.wav", tmp_path / "voice.wav", force=True)
    assert (tmp_path / "voice.wav").read_bytes() == before


def test_all_channels_of_an_example_are_heard(two):
    _, _, sources = two
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
