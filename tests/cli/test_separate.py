"""`slotaudio separate` as a user meets it: what is written, and what is said."""

import wave as standard_wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from running import RATE, recording, run

from slotaudio import audio
from slotaudio.cli import separate as separate_command
from slotaudio.data.bundled import speech
from slotaudio.data.folder import FolderMixtures


@pytest.mark.filterwarnings("ignore:.*mixed down:UserWarning")
@pytest.mark.parametrize(
    ("name", "rate", "channels", "options"),
    [
        ("a.wav", 16000, 1, {}),
        ("a.wav", 8000, 2, {"subtype": "PCM_U8"}),
        ("a.flac", 96000, 1, {}),
        ("a.ogg", 44100, 2, {}),
        ("a.mp3", 22050, 1, {}),
    ],
)
def test_outputs_are_playable_and_add_up(tiny_model, tmp_path, capsys, name, rate, channels, options):
    path = recording(tmp_path / name, 1.3, rate, channels, **options)
    code, out, _ = run("separate", capsys, path, "-o", tmp_path / "out", "-m", tiny_model)
    assert code == 0
    written = [tmp_path / "out" / f"a_slot{slot}.wav" for slot in (1, 2)]
    assert out.split() == [str(path) for path in written]
    mixture = soundfile.read(path, always_2d=True)[0].mean(axis=1)
    sources = [soundfile.read(path)[0] for path in written]
    for path in written:
        with standard_wave.open(str(path)) as file:  # the plainest reader there is
            assert (file.getframerate(), file.getnframes(), file.getsampwidth()) == (rate, len(mixture), 2)
    np.testing.assert_allclose(sum(sources), mixture, atol=2 / 32768)


def test_one_bad_file_does_not_stop_the_others(tiny_model, tmp_path, capsys):
    good = recording(tmp_path / "good.wav")
    cut = recording(tmp_path / "cut.flac", 3)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("hello" * 99)
    spoilt = np.zeros(RATE, "float32")
    spoilt[700] = np.nan
    soundfile.write(tmp_path / "nan.wav", spoilt, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "none.wav", spoilt[:0], RATE)
    soundfile.write(tmp_path / "silent.wav", spoilt[:500], RATE)
    names = ["missing.wav", "cut.flac", "empty.wav", "text.wav", "nan.wav", "none.wav", "silent.wav"]
    with pytest.warns(UserWarning, match="silent|not separated to its end") as told:
        code, out, err = run(
            "separate", capsys, *(tmp_path / name for name in names), good, "-o", tmp_path / "out", "-m", tiny_model
        )
    assert code == 2
    assert len(out.split()) == 4
    *lines, last = err.splitlines()
    assert len(lines) == 6
    assert last == "slotaudio: 2 of 8 done, 6 failed"
    assert all(line.startswith("slotaudio: error: ") and name in line for line, name in zip(lines, names, strict=False))
    for line, message in zip(
        lines,
        [
            "does not exist",
            "cut off after",
            "is empty",
            "no audio file",
            "NaN",
            "holds no samples",
        ],
        strict=True,
    ):
        assert message in line
    warned = [str(warning.message) for warning in told]
    assert any("silent.wav is silent, and so are its sources" in text for text in warned)
    assert any("cut.flac was not separated to its end" in text for text in warned)
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == [
        "cut_slot1.part.wav",
        "cut_slot2.part.wav",
        *(f"{stem}_slot{slot}.wav" for stem in ("good", "silent") for slot in (1, 2)),
    ]


def test_nothing_is_overwritten_without_force(tiny_model, tmp_path, capsys):
    path, out = recording(tmp_path / "a.wav"), tmp_path / "out"
    out.mkdir()
    (out / "a_slot2.wav").write_text("precious")
    code, _, err = run("separate", capsys, path, "-o", out, "-m", tiny_model)
    assert code == 2
    assert err == f"slotaudio: error: {out / 'a_slot2.wav'} exists already; --force replaces it\n"
    assert [p.name for p in out.iterdir()] == ["a_slot2.wav"]
    assert run("separate", capsys, path, "-o", out, "-m", tiny_model, "--force", "--quiet") == (0, "", "")
    assert sorted(p.name for p in out.iterdir()) == ["a_slot1.wav", "a_slot2.wav"]


@pytest.mark.parametrize("option", [(), ("--force",), ("--skip-existing",)])
def test_a_folder_where_an_output_goes_is_refused_before_anything_is_separated(tiny_model, tmp_path, capsys, option):
    path, out = recording(tmp_path / "a.wav"), tmp_path / "out"
    (out / "a_slot2.wav").mkdir(parents=True)
    code, _, err = run("separate", capsys, path, "-o", out, "-m", tiny_model, *option)
    assert code == 2
    assert f"{out / 'a_slot2.wav'} is a folder" in err
    assert "--force" not in err
    assert [p.name for p in out.iterdir()] == ["a_slot2.wav"]


def test_recordings_of_one_name_do_not_overwrite_each_other(tiny_model, tmp_path, capsys):
    first, second = recording(tmp_path / "a.wav"), recording(tmp_path / "A.flac", 2)
    code, out, err = run("separate", capsys, first, second, first, "-o", tmp_path / "out", "-m", tiny_model, "--force")
    assert (code, out) == (2, "")
    assert f"{first} and {second} would have outputs of one name" in err
    assert not (tmp_path / "out").exists()  # before anything is done


def test_a_second_run_does_what_is_left(tiny_model, tmp_path, capsys):
    first, second, out = recording(tmp_path / "a.wav"), recording(tmp_path / "b.wav", channels=2), tmp_path / "out"
    options = ["-o", out, "-m", tiny_model]
    with pytest.warns(UserWarning, match=r"b\.wav has 2 channels"):
        assert run("separate", capsys, second, *options)[0] == 0
    before = (out / "b_slot1.wav").stat().st_mtime_ns
    code, written, err = run("separate", capsys, first, second, *options, "--skip-existing")
    assert (code, err) == (0, "slotaudio: 1 of 2 done, 1 left alone\n")
    assert [Path(line).name for line in written.split()] == ["a_slot1.wav", "a_slot2.wav"]
    assert (out / "b_slot1.wav").stat().st_mtime_ns == before
    assert run("separate", capsys, first, *options, "--skip-existing", "-q") == (0, "", "")
    code, _, err = run("separate", capsys, first, second, *options)
    assert code == 2
    assert err.endswith("slotaudio: 0 of 2 done, 2 failed; --skip-existing leaves alone what is there\n")
    assert "choose one" in run("separate", capsys, first, *options, "--skip-existing", "--force")[2]


def test_pictures_that_are_there_are_refused_before_anything_is_separated(tiny_model, tmp_path, capsys):
    (tmp_path / "a_identity.png").touch()
    code, _, err = run("separate", capsys, recording(tmp_path / "a.wav"), "-o", tmp_path, "-m", tiny_model, "--plot")
    assert code == 2
    assert "a_identity.png exists already" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "a_identity.png"]


def test_a_folder_stands_for_the_recordings_in_it(tiny_model, tmp_path, capsys):
    folder = tmp_path / "talks"
    (folder / "below").mkdir(parents=True)
    for name in ("b.WAV", "a.flac", "below/c.wav", ".d.wav"):
        recording(folder / name, 0.3)
    (folder / "notes.txt").write_text("")
    code, written, err = run("separate", capsys, folder, folder / "b.WAV", "-o", folder / "below", "-m", tiny_model)
    assert (code, err) == (0, "slotaudio: 2 of 2 done\n")
    assert [Path(line).name for line in written.split()] == [f"{n}_slot{k}.wav" for n in "ab" for k in (1, 2)]
    (tmp_path / "empty").mkdir()
    for given, message in (("empty", "empty holds no recordings; looked for .flac, .wav"), ("talks", "folder of the")):
        code, _, err = run("separate", capsys, tmp_path / given, "-o", folder, "-m", tiny_model)
        assert code == 2
        assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sources", "3"], "3 sources were asked for, but the model has 2 slots"),
        (["--speakers", "3"], "3 sources were asked for, but the model has 2 slots"),
        (["--output", "a.wav"], "-o a.wav: give a folder"),
        (["--sources", "many"], "give a number, the least and the most as in 2-3, or 'unknown'"),
        (["--format", "mp3"], "choose wav or flac"),
        (["--subtype", "PCM_12"], "WAV has no subtype 'PCM_12'; choose PCM_16, PCM_24, FLOAT"),
        (["--mask", "gauss"], "mask 'gauss' is not known; choose 'binary' or 'wiener'"),
        (["--overlap", "1"], "outside 0 to 0.9"),
        (["--joining", "luck"], "choose 'auto', 'overlap' or 'given'"),
        (["--threads", "0"], "0 threads"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
        (["--model", "audioslots-huge"], "no model named 'audioslots-huge'"),
    ],
)
def test_impossible_options_are_the_users_errors(tiny_model, tmp_path, capsys, arguments, message):
    path = recording(tmp_path / "a.wav", 0.2)
    code, _, err = run("separate", capsys, path, "-o", tmp_path / "out", "-m", tiny_model, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("target", ["file.txt", "file.txt/below"])
def test_folders_that_cannot_be_made_are_told_of_before_anything_is_counted(
    tiny_model, tmp_path, capsys, monkeypatch, target
):
    (tmp_path / "file.txt").write_text("")
    monkeypatch.setattr(separate_command, "counted", None)
    code, _, err = run(
        "separate", capsys, recording(tmp_path / "a.wav", 0.2), "-o", tmp_path / target, "-m", tiny_model
    )
    assert code == 2
    assert f"{target} cannot be made: {tmp_path / 'file.txt'} is a file" in err


def test_options_that_change_what_is_written(tiny_model, tmp_path, capsys):
    path, out = recording(tmp_path / "a.wav", 0.7), tmp_path / "out"
    options = [
        "--format",
        "flac",
        "--subtype",
        "PCM_24",
        "--sources",
        1,
        "--plot",
        "--mask",
        "binary",
        "--overlap",
        0.25,
    ]
    code, printed, _ = run("separate", capsys, path, "-o", out, "-m", tiny_model, *options)
    assert code == 0
    names = sorted(p.name for p in out.iterdir())
    assert sorted(Path(line).name for line in printed.split()) == names
    sound, pictures = names.pop(1), names
    assert pictures == ["a_identity.png", "a_slots.png", "a_timeline.png"]
    assert sound in ("a_slot1.flac", "a_slot2.flac")
    assert soundfile.info(out / sound).subtype == "PCM_24"
    assert all((out / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_help_says_how_outputs_are_named(capsys):
    code, out, _ = run("separate", capsys, "--help")
    assert code == 0
    assert "NAME_slot1.wav" in out.replace("│", "")


def test_the_precision_reaches_the_separator(tiny_model, tmp_path, capsys, monkeypatch):
    given, make = {}, separate_command._separators
    monkeypatch.setattr(
        separate_command, "_separators", lambda name, **options: given.update(options) or make(name, **options)
    )
    command = [recording(tmp_path / "a.wav"), "-o", tmp_path / "out", "-m", tiny_model, "-q"]
    assert run("separate", capsys, *command, "--precision", "bf16")[0] == 0
    assert given["precision"] == "bf16"


def test_an_open_number_is_counted_first_and_the_best_model_separates(tmp_path, capsys):
    """What comes of an unknown number is what comes of the number that it turns out to be."""
    mixture, _, _ = FolderMixtures(speech("dev"), 4.0, 2, size=1, seed=0, fixed=True)[0]
    audio.write(tmp_path / "two.wav", mixture, 16000)
    for folder, sources in (("open", "unknown"), ("told", "2")):
        code, out, err = run("separate", capsys, tmp_path / "two.wav", "-o", tmp_path / folder, "--sources", sources)
        assert code == 0, err
        assert [Path(line).name for line in out.split()] == ["two_slot1.wav", "two_slot2.wav"]
    for name in ("two_slot1.wav", "two_slot2.wav"):
        assert (tmp_path / "open" / name).read_bytes() == (tmp_path / "told" / name).read_bytes()


def test_outputs_that_are_there_are_refused_before_anything_is_counted(tmp_path, capsys, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_slot1.wav").touch()
    monkeypatch.setattr(separate_command, "counted", None)
    code, _, err = run(
        "separate", capsys, recording(tmp_path / "a.wav"), "-o", tmp_path / "out", "--sources", "unknown"
    )
    assert code == 2
    assert "a_slot1.wav exists already" in err


def test_one_channel_is_taken_where_it_is_asked_for(tiny_model, tmp_path, capsys, recwarn):
    path = recording(tmp_path / "call.wav", 1.0, channels=2)
    code, _, err = run("separate", capsys, path, "-o", tmp_path / "out", "-m", tiny_model, "--channel", "2")
    assert (code, recwarn.list) == (0, []), err
    added = sum(audio.read(file)[0] for file in (tmp_path / "out").iterdir())
    np.testing.assert_allclose(added[0], audio.read(path)[0][1], rtol=0, atol=1e-3)
    for channel, message in (("3", "has no channel 3; choose from 1 to 2"), ("left", "give a number from 1, or 'mix'")):
        code, _, err = run("separate", capsys, path, "-o", tmp_path / "none", "-m", tiny_model, "--channel", channel)
        assert code == 2
        assert message in err
