"""Files that are separated into files: their length, depth and names, and what stays where it ends early."""

from itertools import islice
from pathlib import Path

import pytest
import soundfile
import torch
from tiny_models import one_wave

from slotaudio import Separator, audio
from slotaudio.audio.flac import promise
from slotaudio.errors import AudioFileError, UserError
from slotaudio.separation.files import output_paths
from slotaudio.separation.intake import SeparationWarning
from slotaudio.separation.outputs import Outputs


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


def test_a_recording_whose_header_does_not_say_how_long_it_is_is_separated_to_its_end(separator, tmp_path):
    record(tmp_path / "talk.flac", seconds=30.0)
    counted = [audio.read(path)[0] for path in separator.separate_file(tmp_path / "talk.flac", tmp_path)]
    promise(tmp_path / "talk.flac", 0)
    shares: list[float] = []
    written = separator.separate_file(tmp_path / "talk.flac", tmp_path, force=True, progress=shares.append)
    assert all(torch.equal(audio.read(path)[0], wave) for path, wave in zip(written, counted, strict=True))
    assert not shares  # of what, nobody knows


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


def test_what_ends_a_separation_before_its_first_window_is_what_is_told(tmp_path):
    record(tmp_path / "talk.wav")

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    separator = Separator(one_wave(0.5), sources="unknown", ahead=60.0)
    with pytest.raises(KeyboardInterrupt):
        separator.separate_file(tmp_path / "talk.wav", tmp_path / "out", progress=stop)
    assert not list((tmp_path / "out").iterdir())


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


def test_a_subtype_that_is_asked_for_is_that_of_the_outputs(separator, tmp_path):
    record(tmp_path / "talk.wav", subtype="PCM_16")
    written = separator.separate_file(tmp_path / "talk.wav", tmp_path / "out", subtype="PCM_24")
    assert [audio.info(path).subtype for path in written] == ["PCM_24"] * 2


def test_silence_is_told_of_where_there_is_nothing_else(tmp_path):
    options = {"force": True, "widen": True, "name": "talk", "choose": lambda: [0]}
    sound, silence = torch.full((1, 1, 30), 0.1), torch.zeros(1, 1, 30)
    with Outputs([tmp_path / "1.wav"], 3000, 1, "PCM_16", **options) as outputs:
        outputs.write(sound)
        outputs.write(silence)
        outputs.commit()  # without a warning, which would fail here
    with Outputs([tmp_path / "1.wav"], 3000, 1, "PCM_16", **options) as outputs:
        outputs.write(silence)
        with pytest.warns(SeparationWarning, match="talk is silent, and so are its sources"):
            outputs.commit()


def test_no_file_is_touched_where_any_exists(tmp_path):
    (tmp_path / "2.wav").write_text("precious")
    (tmp_path / "1.part.wav").write_text("left by what ended early")
    options = {"force": False, "widen": True, "name": "talk", "choose": lambda: [0, 1]}
    with pytest.raises(UserError, match=r"2\.wav exists"):
        Outputs([tmp_path / "1.wav", tmp_path / "2.wav"], 3000, 1, "PCM_16", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.part.wav", "2.wav"]
    assert (tmp_path / "1.part.wav").read_text() == "left by what ended early"
