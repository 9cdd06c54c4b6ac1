"""Audio files as they come: every kind of damage gets one sentence, everything else its samples."""

import os
import shlex
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from slotaudio import audio
from slotaudio.audio.flac import promise
from slotaudio.errors import AudioFileError

RATE = 16000
NOISE = np.random.default_rng(0).standard_normal((3 * RATE, 1)) * 0.1
NOISE = np.apply_along_axis(np.convolve, 0, NOISE, np.hanning(8) / 4, "same").astype("float32")  # codecs drop treble


def saved(path: Path, wave: np.ndarray = NOISE, rate: int = RATE, **options: str) -> Path:
    soundfile.write(path, wave, rate, **options)
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def patched(path: Path, offset: int, value: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[offset : offset + len(value)] = value
    path.write_bytes(bytes(data))
    return path


def drain(path: Path) -> int:
    with audio.AudioReader(path, block=5000) as reader:
        return sum(block.shape[-1] for block in reader)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "PCM_U8"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.flac", {}),
        ("a.ogg", {}),
        ("a.mp3", {}),
    ],
)
def test_every_format_is_read_whole_in_blocks_and_in_stretches(tmp_path, name, options):
    path = saved(tmp_path / name, **options)
    wave, rate = audio.read(path)
    assert wave.shape == (1, 3 * RATE)
    assert rate == RATE
    assert wave.dtype == torch.float32
    assert drain(path) == 3 * RATE
    assert torch.corrcoef(torch.stack([wave[0], torch.from_numpy(NOISE[:, 0])]))[0, 1] > 0.9
    if not name.endswith("mp3"):  # its decoder needs a run-up, as any MP3 decoder does
        torch.testing.assert_close(audio.read(path, 1000, 1777)[0], wave[:, 1000:1777])


@pytest.mark.parametrize(("rate", "channels"), [(8000, 2), (96000, 1), (44100, 6)])
def test_rates_and_channels_are_reported(tmp_path, rate, channels):
    info = audio.info(saved(tmp_path / "a.wav", np.zeros((rate // 10, channels), "float32"), rate))
    assert (info.sample_rate, info.channels, info.frames) == (rate, channels, rate // 10)


@pytest.mark.parametrize(
    ("subtype", "depth"), [("PCM_U8", "PCM_16"), ("PCM_16", "PCM_16"), ("PCM_24", "PCM_24"), ("FLOAT", "FLOAT")]
)
def test_depth_keeps_the_resolution(tmp_path, subtype, depth):
    assert audio.info(saved(tmp_path / "a.wav", subtype=subtype)).depth == depth


def test_a_stretch_beyond_the_end_is_no_error_of_the_decoder(tmp_path):
    with pytest.raises(AudioFileError, match=r"3\.00 s of 4\.00 s are there"):
        audio.read(saved(tmp_path / "a.wav"), 4 * RATE, 5 * RATE)


def test_missing_directory_and_special_files(tmp_path):
    for path, message in [(tmp_path, "is a directory.*name the files"), (tmp_path / "no.wav", "does not exist")]:
        with pytest.raises(AudioFileError, match=message):
            audio.read(path)
    with pytest.raises(AudioFileError, match="not a regular file"):
        audio.read("/dev/null")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"good morning " * 99, "no audio file"),
        (b"RIFF\x24\x00\x00\x00WAVE", "no audio file, its header is damaged"),
    ],
)
def test_what_is_no_audio(tmp_path, content, message):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioFileError, match=message):
        audio.read(tmp_path / "a.wav")


def test_headerless_and_foreign_formats_say_what_to_do(tmp_path):
    for name in ("a.raw", "a.m4a"):
        (tmp_path / name).write_bytes(b"1234" * 999)
    with pytest.raises(AudioFileError, match="reads WAV, FLAC, OGG and MP3"):
        audio.read(tmp_path / "a.raw")
    with pytest.raises(AudioFileError, match=rf"ffmpeg -i {tmp_path}/a.m4a {tmp_path}/a.wav"):
        audio.read(tmp_path / "a.m4a")


@pytest.mark.parametrize("name", ["two words.m4a", "it's.wav", "a.WAV", "a.mkv"])
def test_the_command_that_converts_can_be_typed_as_it_is(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(b"1234" * 999)
    with pytest.raises(AudioFileError, match="has to be converted") as caught:
        audio.read(name)
    program, option, source, target = shlex.split(str(caught.value).partition("first: ")[2])
    assert (program, option, source) == ("ffmpeg", "-i", name)
    assert target.endswith(".wav")
    assert target.casefold() != name.casefold()  # ffmpeg does not write what it reads


def test_no_channels_no_rate_no_samples(tmp_path):
    with pytest.raises(AudioFileError, match="hannel"):
        audio.read(patched(saved(tmp_path / "a.wav"), 22, struct.pack("<H", 0)))
    with pytest.raises(AudioFileError, match="header is damaged"):
        audio.read(patched(saved(tmp_path / "b.wav"), 24, struct.pack("<I", 0)))
    with pytest.raises(AudioFileError, match="100 Hz is outside"):
        audio.read(patched(saved(tmp_path / "c.wav"), 24, struct.pack("<I", 100)))
    with pytest.raises(AudioFileError, match="holds no samples"):
        audio.read(saved(tmp_path / "d.wav", NOISE[:0]))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_truncated_files_say_where_they_end(tmp_path, name):
    path = cut(saved(tmp_path / name))
    with pytest.raises(AudioFileError, match=r"truncated: 1\.\d\d s of 3.00 s are there|cut off after 1.\d\d s"):
        drain(path)
    with pytest.raises(AudioFileError, match=r"truncated|cut off"):
        audio.read(path)


def test_damage_inside_is_found(tmp_path):
    path = saved(tmp_path / "a.flac")
    patched(path, path.stat().st_size // 2, bytes(range(256)) * 8)
    with pytest.raises(AudioFileError, match="damaged or cut off after"):
        drain(path)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize(("riff", "data"), [(0xFFFF_FFFF,) * 2, (0x7FFF_F024, 0x7FFF_F000), (0, 0), (36, 0)])
def test_wav_written_to_a_pipe_is_whole(tmp_path, subtype, riff, data):
    path = saved(tmp_path / "a.wav", subtype=subtype)
    wave, start = audio.read(path)[0], path.read_bytes().index(b"data")
    patched(patched(path, 4, struct.pack("<I", riff)), start + 4, struct.pack("<I", data))
    assert torch.equal(audio.read(path)[0], wave)
    info = audio.info(path)
    assert (info.format, info.subtype, info.frames) == ("WAV", subtype, 3 * RATE)


def test_rf64_written_to_a_pipe_is_whole(tmp_path):
    path = saved(tmp_path / "a.wav", format="RF64", subtype="PCM_16")
    wave = audio.read(path)[0]
    assert torch.equal(audio.read(patched(path, path.read_bytes().index(b"ds64") + 8, bytes(24)))[0], wave)


@pytest.mark.parametrize(("promised", "there"), [(0x7FFF_F000, 3 << 30), (0xFFFF_FFFF, 5 << 30)])
def test_wav_written_to_a_pipe_does_not_end_where_its_header_has_no_more_room(tmp_path, promised, there):
    path = patched(saved(tmp_path / "a.wav", subtype="PCM_16"), 40, struct.pack("<I", promised))
    os.truncate(path, there)  # a hole, which takes no room
    assert audio.info(path).frames == (there - 44) // 2


def test_what_follows_the_samples_of_a_wav_file_is_none(tmp_path):
    path = saved(tmp_path / "a.wav", NOISE[:0], subtype="PCM_16")
    data = path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO"
    path.write_bytes(data)
    with pytest.raises(AudioFileError, match="holds no samples"):
        audio.info(patched(path, 4, struct.pack("<I", len(data) - 8)))


@pytest.mark.parametrize(("frames", "channels"), [(3 * RATE, 1), (8 * 4096, 2), (100, 1)])
def test_flac_written_to_a_pipe_is_read_to_its_end(tmp_path, frames, channels):
    path = saved(tmp_path / "a.flac", NOISE[:frames].repeat(channels, axis=1))
    wave = audio.read(path)[0]
    promise(path, 0)
    with audio.AudioReader(path, block=5000) as reader:
        assert reader.info.frames is None
        assert reader.count() == frames
        assert torch.equal(torch.cat(list(reader), dim=1), wave)
        assert torch.equal(reader.read(), wave)
        assert torch.equal(reader.read(frames - 77, frames), wave[:, -77:])
        with pytest.raises(AudioFileError, match="truncated"):
            reader.read(frames - 77, frames + 1)
        with pytest.raises(AudioFileError, match=r"ends before .* s, or is damaged there"):
            reader.read(frames + 1)


def test_flac_written_to_a_pipe_that_is_cut_off_says_so(tmp_path):
    path = saved(tmp_path / "a.flac")
    promise(path, 0)
    with pytest.raises(AudioFileError, match="cut off after 1"):
        drain(cut(path))


def test_flac_written_to_a_pipe_that_had_no_samples_yet_says_so(tmp_path):
    path = saved(tmp_path / "a.flac")
    promise(path, 0)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\xff\xf8")])  # where the first frame begins
    with pytest.raises(AudioFileError, match="holds no samples"):
        drain(path)


def test_mp3_without_an_index_is_read_to_its_end_or_not_at_all(tmp_path):
    noise = np.random.default_rng(0).standard_normal((10 * RATE, 1)) * 0.1
    rising = noise * (np.arange(10 * RATE) > 5 * RATE)[:, None]
    for name, wave in (("quiet_first", rising), ("loud_first", noise)):
        path = tmp_path / f"{name}.mp3"
        with soundfile.SoundFile(path, "w", RATE, 1, bitrate_mode="VARIABLE") as file:
            file.write(wave)
        data = path.read_bytes()
        path.write_bytes(data[data.index(data[:2], 4) :])  # the first frame is the index
        assert audio.info(path).frames is None
    assert drain(tmp_path / "quiet_first.mp3") >= 10 * RATE
    with pytest.raises(AudioFileError, match=r"has no index, so that only its first .* ffmpeg -i"):
        drain(tmp_path / "loud_first.mp3")


@pytest.mark.parametrize("name", ["a.mp3", "named_wrongly.wav", "stdin"])
def test_what_the_mp3_decoder_says_is_silenced_and_what_others_say_is_not(tmp_path, capfd, name):
    path = saved(tmp_path / "a.mp3").rename(tmp_path / name)
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes(3000) + data[middle + 3000 :])
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.SoundFile(path).read()
    assert "Note: " in capfd.readouterr().err  # if it does not, nothing has to be silenced any more
    read = soundfile.SoundFile.read

    def meanwhile(file, *args, **options):
        os.write(2, b"the log of another thread\n")
        return read(file, *args, **options)

    with pytest.MonkeyPatch.context() as patch, audio.AudioReader(path) as reader:
        patch.setattr(soundfile.SoundFile, "read", meanwhile)
        with pytest.raises(AudioFileError, match="damaged"):
            list(reader)
    said = capfd.readouterr().err.splitlines()
    assert said
    assert set(said) == {"the log of another thread"}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e30])
def test_samples_that_are_no_sound_are_located(tmp_path, bad):
    wave = NOISE.copy()
    wave[20000] = bad
    path = saved(tmp_path / "a.wav", wave, subtype="FLOAT")
    with pytest.raises(AudioFileError, match=r"the first at 1\.250 s"):
        drain(path)
    assert audio.read(path, 0, 20000)[0].shape == (1, 20000)


def test_reading_past_the_end_is_no_silence(tmp_path):
    with pytest.raises(AudioFileError, match=r"3.00 s of 4.00 s"):
        audio.read(saved(tmp_path / "a.flac"), RATE, 4 * RATE)
