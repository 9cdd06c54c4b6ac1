"""`slotaudio separate` as a user meets it: what is written, what is said, and what is left behind."""

import os
import signal
import subprocess
import sys
import time
import wave as standard_wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slotaudio import audio
from slotaudio.cli import main
from slotaudio.cli import separate as separate_command
from slotaudio.data.bundled import speech
from slotaudio.data.folder import FolderMixtures
from slotaudio.model import SlotModel

RATE = 16000


def recording(path: Path, seconds: float = 1.0, rate: int = RATE, channels: int = 1, **options: str) -> Path:
    noise = np.random.default_rng(0).standard_normal((round(seconds * rate), channels)) * 0.05
    soundfile.write(path, noise, rate, **options)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command in this process; returns exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as ended:
        main(["separate", *map(str, arguments)])
    return ended.value.code or 0, *capsys.readouterr()


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "slotaudio", "separate", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # whoever runs the tests in the background has Ctrl-C ignored, and children inherit that
    options.setdefault("preexec_fn", lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


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
    code, out, _ = run(capsys, path, "-o", tmp_path / "out", "-m", tiny_model)
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
            capsys, *(tmp_path / name for name in names), good, "-o", tmp_path / "out", "-m", tiny_model
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
    code, _, err = run(capsys, path, "-o", out, "-m", tiny_model)
    assert code == 2
    assert err == f"slotaudio: error: {out / 'a_slot2.wav'} exists already; --force replaces it\n"
    assert [p.name for p in out.iterdir()] == ["a_slot2.wav"]
    assert run(capsys, path, "-o", out, "-m", tiny_model, "--force", "--quiet") == (0, "", "")
    assert sorted(p.name for p in out.iterdir()) == ["a_slot1.wav", "a_slot2.wav"]


def test_recordings_of_one_name_do_not_overwrite_each_other(tiny_model, tmp_path, capsys):
    first, second = recording(tmp_path / "a.wav"), recording(tmp_path / "A.flac", 2)
    code, out, err = run(capsys, first, second, first, "-o", tmp_path / "out", "-m", tiny_model, "--force")
    assert (code, out) == (2, "")
    assert f"{first} and {second} would have outputs of one name" in err
    assert not (tmp_path / "out").exists()  # before anything is done


def test_a_second_run_does_what_is_left(tiny_model, tmp_path, capsys):
    first, second, out = recording(tmp_path / "a.wav"), recording(tmp_path / "b.wav", channels=2), tmp_path / "out"
    options = ["-o", out, "-m", tiny_model]
    with pytest.warns(UserWarning, match=r"b\.wav has 2 channels"):
        assert run(capsys, second, *options)[0] == 0
    before = (out / "b_slot1.wav").stat().st_mtime_ns
    code, written, err = run(capsys, first, second, *options, "--skip-existing")
    assert (code, err) == (0, "slotaudio: 1 of 2 done, 1 left alone\n")
    assert [Path(line).name for line in written.split()] == ["a_slot1.wav", "a_slot2.wav"]
    assert (out / "b_slot1.wav").stat().st_mtime_ns == before
    assert run(capsys, first, *options, "--skip-existing", "-q") == (0, "", "")
    code, _, err = run(capsys, first, second, *options)
    assert code == 2
    assert err.endswith("slotaudio: 0 of 2 done, 2 failed; --skip-existing leaves alone what is there\n")
    assert "choose one" in run(capsys, first, *options, "--skip-existing", "--force")[2]


def test_pictures_that_are_there_are_refused_before_anything_is_separated(tiny_model, tmp_path, capsys):
    (tmp_path / "a_identity.png").touch()
    code, _, err = run(capsys, recording(tmp_path / "a.wav"), "-o", tmp_path, "-m", tiny_model, "--plot")
    assert code == 2
    assert "a_identity.png exists already" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "a_identity.png"]


def test_a_folder_stands_for_the_recordings_in_it(tiny_model, tmp_path, capsys):
    folder = tmp_path / "talks"
    (folder / "below").mkdir(parents=True)
    for name in ("b.WAV", "a.flac", "below/c.wav", ".d.wav"):
        recording(folder / name, 0.3)
    (folder / "notes.txt").write_text("")
    code, written, err = run(capsys, folder, folder / "b.WAV", "-o", folder / "below", "-m", tiny_model)
    assert (code, err) == (0, "slotaudio: 2 of 2 done\n")
    assert [Path(line).name for line in written.split()] == [f"{n}_slot{k}.wav" for n in "ab" for k in (1, 2)]
    (tmp_path / "empty").mkdir()
    for given, message in (("empty", "empty holds no recordings; looked for .flac, .wav"), ("talks", "folder of the")):
        code, _, err = run(capsys, tmp_path / given, "-o", folder, "-m", tiny_model)
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
        (["--mask", "gauss"], "choose 'binary' or 'wiener'"),
        (["--overlap", "1"], "outside 0 to 0.9"),
        (["--joining", "luck"], "choose 'auto', 'overlap' or 'given'"),
        (["--threads", "0"], "0 threads"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
        (["--model", "audioslots-huge"], "no model named 'audioslots-huge'"),
    ],
)
def test_impossible_options_are_the_users_errors(tiny_model, tmp_path, capsys, arguments, message):
    path = recording(tmp_path / "a.wav", 0.2)
    code, _, err = run(capsys, path, "-o", tmp_path / "out", "-m", tiny_model, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("target", ["file.txt", "file.txt/below"])
def test_folders_that_cannot_be_made(tiny_model, tmp_path, capsys, target):
    (tmp_path / "file.txt").write_text("")
    code, _, err = run(capsys, recording(tmp_path / "a.wav", 0.2), "-o", tmp_path / target, "-m", tiny_model)
    assert code == 2
    assert "cannot be made" in err


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
    code, printed, _ = run(capsys, path, "-o", out, "-m", tiny_model, *options)
    assert code == 0
    names = sorted(p.name for p in out.iterdir())
    assert sorted(Path(line).name for line in printed.split()) == names
    sound, pictures = names.pop(1), names
    assert pictures == ["a_identity.png", "a_slots.png", "a_timeline.png"]
    assert sound in ("a_slot1.flac", "a_slot2.flac")
    assert soundfile.info(out / sound).subtype == "PCM_24"
    assert all((out / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_a_full_disk_leaves_what_it_took(tiny_model, tmp_path):
    def little_room() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    long, short = recording(tmp_path / "long.wav", 13), recording(tmp_path / "short.wav", 1)
    process = start(long, short, "-o", tmp_path / "out", "-m", tiny_model, preexec_fn=little_room)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert "long_slot1.wav: the disk took only a part of it" in err
    assert "long.wav was not separated to its end; its first" in err
    assert "Traceback" not in err
    assert len(out.split()) == 2
    check_left(tmp_path / "out", "short", long)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_keeps_what_was_complete(tiny_model, tmp_path, number):
    short, long = recording(tmp_path / "short.wav", 0.5), recording(tmp_path / "long.wav", 900)
    process = start(short, long, "-o", tmp_path / "out", "-m", tiny_model)
    partial = tmp_path / "out" / "long_slot2.part.wav"
    deadline = time.monotonic() + 120
    while not (partial.exists() and partial.stat().st_size > 1000 and soundfile.info(partial).frames > 100):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    if number != signal.SIGKILL:
        assert process.returncode == 130, err
        assert "interrupted" in err
        assert "long.wav was not separated to its end; its first" in err
        assert err.count("\n") == 2
    check_left(tmp_path / "out", "short", long)


def check_left(folder: Path, complete: str, mixture: Path) -> None:
    """Complete files of one recording, and playable beginnings of another."""
    names = [f"{mixture.stem}_slot{slot}.part.wav" for slot in (1, 2)]
    assert sorted(path.name for path in folder.iterdir()) == [
        *names,
        *(f"{complete}_slot{slot}.wav" for slot in (1, 2)),
    ]
    for name in names:
        with standard_wave.open(str(folder / name)) as file:  # what a kill left undeclared may follow
            assert 44 + 2 * file.getnframes() <= (folder / name).stat().st_size
    sources = [soundfile.read(folder / name)[0] for name in names]
    length = min(map(len, sources))
    assert length > 100
    mixed = soundfile.read(mixture, frames=length)[0]
    np.testing.assert_allclose(sum(source[:length] for source in sources), mixed, atol=2 / 32768)


def test_help_says_how_outputs_are_named(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "NAME_slot1.wav" in out.replace("│", "")


def test_a_list_is_separated_by_whoever_comes_and_goes_on_where_it_was_left(tmp_path, capsys, monkeypatch):
    forward = SlotModel.forward
    monkeypatch.setattr(SlotModel, "forward", lambda *given, **more: print("a word") or forward(*given, **more))
    for name in ("one/a.wav", "two/a.wav", "two/b.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        recording(tmp_path / name, 0.6)
    (tmp_path / "two/b.wav").write_bytes(b"no audio")
    (tmp_path / "corpus.txt").write_text("one/a.wav\ntwo/a.wav\ntwo/b.wav\n")
    command = ("--list", tmp_path / "corpus.txt", "-o", tmp_path / "out")
    code, out, _ = run(capsys, *command, "--shard", "2/3")
    assert (code, out.split()) == (0, [str(tmp_path / f"out/two/a_slot{slot}.wav") for slot in (1, 2)])
    code, out, err = run(capsys, *command)
    assert (code, out.split()) == (2, [str(tmp_path / f"out/one/a_slot{slot}.wav") for slot in (1, 2)])
    assert "b.wav" in err
    assert err.startswith("a word\n")
    assert err.endswith("1 separated, 1 done before or by others, 1 failed\n")
    recording(tmp_path / "two/b.wav", 0.6)
    assert run(capsys, *command)[0] == 0
    assert len(list((tmp_path / "out").glob("*/*.wav"))) == 6
    assert "was begun with other options" in run(capsys, *command, "--mask", "binary")[2]


def test_lists_and_recordings_exclude_each_other(tmp_path, capsys):
    for arguments, complaint in [
        ([], "name the recordings, or give a --list of them"),
        (["a.wav", "--list", "b.txt"], "name the recordings, or give a --list of them"),
        (["a.wav", "--shard", "1/2"], "--shard is a part of a --list"),
        (["--list", "b.txt", "--force"], "goes with neither --force nor --plot"),
    ]:
        code, _, err = run(capsys, *arguments, "-o", tmp_path)
        assert code == 2
        assert complaint in err


def test_the_precision_reaches_the_separator(tiny_model, tmp_path, capsys, monkeypatch):
    given, make = {}, separate_command._separators
    monkeypatch.setattr(
        separate_command, "_separators", lambda name, **options: given.update(options) or make(name, **options)
    )
    command = [recording(tmp_path / "a.wav"), "-o", tmp_path / "out", "-m", tiny_model, "-q"]
    assert run(capsys, *command, "--precision", "bf16")[0] == 0
    assert given["precision"] == "bf16"


def test_an_open_number_is_counted_first_and_the_best_model_separates(tmp_path, capsys):
    """What comes of an unknown number is what comes of the number that it turns out to be."""
    mixture, _, _ = FolderMixtures(speech("dev"), 4.0, 2, size=1, seed=0, fixed=True)[0]
    audio.write(tmp_path / "two.wav", mixture, 16000)
    for folder, sources in (("open", "unknown"), ("told", "2")):
        code, out, err = run(capsys, tmp_path / "two.wav", "-o", tmp_path / folder, "--sources", sources)
        assert code == 0, err
        assert [Path(line).name for line in out.split()] == ["two_slot1.wav", "two_slot2.wav"]
    for name in ("two_slot1.wav", "two_slot2.wav"):
        assert (tmp_path / "open" / name).read_bytes() == (tmp_path / "told" / name).read_bytes()


def test_outputs_that_are_there_are_refused_before_anything_is_counted(tmp_path, capsys, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_slot1.wav").touch()
    monkeypatch.setattr(separate_command, "counted", None)
    code, _, err = run(capsys, recording(tmp_path / "a.wav"), "-o", tmp_path / "out", "--sources", "unknown")
    assert code == 2
    assert "a_slot1.wav exists already" in err


@pytest.mark.skipif(os.name == "nt", reason="no named pipes")
@pytest.mark.parametrize("name", ["-", "/dev/stdin", "call"])
def test_what_comes_through_a_pipe_is_separated(tiny_model, tmp_path, name):
    path = recording(tmp_path / "talk.wav", 1.0)
    goal = tmp_path / "out"
    if name == "call":
        os.mkfifo(tmp_path / name)
        running = start(tmp_path / name, "-o", goal, "-m", tiny_model)
        (tmp_path / name).write_bytes(path.read_bytes())
        out, err = running.communicate(timeout=120)
    else:
        with path.open("rb") as talk, subprocess.Popen(["cat"], stdin=talk, stdout=subprocess.PIPE) as cat:
            running = start(name, "-o", goal, "-m", tiny_model, stdin=cat.stdout)
            out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    stem = "call" if name == "call" else "stdin"
    assert out.split() == [str(goal / f"{stem}_slot{slot}.wav") for slot in (1, 2)]
    assert sum(audio.read(file)[0] for file in goal.iterdir()).shape == (1, RATE)


def test_one_channel_is_taken_where_it_is_asked_for(tiny_model, tmp_path, capsys, recwarn):
    path = recording(tmp_path / "call.wav", 1.0, channels=2)
    code, _, err = run(capsys, path, "-o", tmp_path / "out", "-m", tiny_model, "--channel", "2")
    assert (code, recwarn.list) == (0, []), err
    added = sum(audio.read(file)[0] for file in (tmp_path / "out").iterdir())
    np.testing.assert_allclose(added[0], audio.read(path)[0][1], rtol=0, atol=1e-3)
    for channel, message in (("3", "has no channel 3; choose from 1 to 2"), ("left", "give a number from 1, or 'mix'")):
        code, _, err = run(capsys, path, "-o", tmp_path / "none", "-m", tiny_model, "--channel", channel)
        assert code == 2
        assert message in err
