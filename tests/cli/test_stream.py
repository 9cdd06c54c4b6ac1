"""`slotaudio stream` at the end of a pipe: the same as `separate`, while it comes, ended by the pipe or by Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slotaudio.audio import pcm
from slotaudio.cli import main
from slotaudio.cli.stream import _ends_at_interrupt

RATE = 16000


def noise(seconds: float, channels: int = 1) -> np.ndarray:
    wave = np.random.default_rng(0).standard_normal((round(seconds * RATE), channels)) * 0.05
    return np.rint(wave * 2**15).astype("<i2")


def start(*arguments: object, program: tuple[str, str] = ("-m", "slotaudio")) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *program, "stream", *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # whoever runs the tests in the background has Ctrl-C ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def run(data: bytes, *arguments: object, **how: tuple[str, str]) -> tuple[int, bytes, str]:
    process = start(*arguments, **how)
    out, err = process.communicate(data, timeout=120)
    return process.returncode, out, err.decode()


def wait_for(condition: object, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


@pytest.mark.filterwarnings("ignore:.*mixed down:UserWarning")
@pytest.mark.parametrize("channel", ["mix", "2"])
def test_a_pipe_gives_what_the_file_gives_and_a_slot_can_be_heard(tiny_model, tmp_path, channel):
    samples = noise(2.3, channels=2)
    soundfile.write(tmp_path / "stream.wav", samples, RATE, subtype="PCM_16")
    options = ["-m", str(tiny_model), "--channel", channel]
    with pytest.raises(SystemExit):
        main(["separate", str(tmp_path / "stream.wav"), "-q", "-o", str(tmp_path / "file"), *options])
    code, out, err = run(samples.tobytes(), "-o", tmp_path / "pipe", *options, "--channels", 2, "--slot", 2)
    assert code == 0
    assert "s behind" in err
    for slot in (1, 2):
        name = f"stream_slot{slot}.wav"
        assert str(tmp_path / "pipe" / name) in err
        expected, found = (soundfile.read(tmp_path / kind / name, dtype="int16")[0] for kind in ("file", "pipe"))
        assert len(found) == len(samples)
        assert np.abs(found.astype(int) - expected).max() <= 1  # windows go through the model one by one
    np.testing.assert_array_equal(np.frombuffer(out, "<i2"), found)  # of slot 2


def test_files_grow_while_it_comes_and_ctrl_c_ends_it_well(tiny_model, tmp_path):
    part = tmp_path / "live_slot1.part.wav"
    with start("-o", tmp_path, "-m", tiny_model, "--ahead", 0, "--name", "live") as process:
        process.stdin.write(noise(3.0).tobytes())
        process.stdin.flush()
        wait_for(lambda: part.exists() and soundfile.info(part).frames > RATE)
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read().decode(), process.stderr.read().decode()
    assert process.returncode == 0, err
    assert out.split() == [str(tmp_path / f"live_slot{slot}.wav") for slot in (1, 2)]
    assert not part.exists()
    assert soundfile.info(tmp_path / "live_slot1.wav").frames == 3 * RATE


def test_a_player_that_leaves_does_not_end_the_recording(tiny_model, tmp_path):
    with start("-o", tmp_path, "-m", tiny_model, "--ahead", 0, "--slot", 1) as process:
        process.stdout.close()
        process.stdin.write(noise(2.0).tobytes())
        process.stdin.close()
        err = process.stderr.read()
    assert process.returncode == 0, err
    assert soundfile.info(tmp_path / "stream_slot2.wav").frames == 2 * RATE


@pytest.mark.parametrize(
    ("data", "options", "complaint"),
    [
        (b"RIFF" + bytes(100), [], "begins like WAV, and raw"),
        (bytes([0, 0, 0, 28]) + b"ftypM4A " + bytes(100), [], "begins like MP4, and raw"),
        (b"", [], "held no samples"),
        (bytes(100), ["--encoding", "u8"], "choose s16le, s32le, f32le"),
        (bytes(100), ["--channels", "0"], "0 channels"),
        (bytes(100), ["--channels", "2", "--channel", "3"], "no channel 3; choose from 1 to 2"),
        (bytes(100), ["--slot", "3"], "the model has 2"),
        (bytes(100), ["--rate", "10"], "10 Hz is not an int"),
        (bytes(100), ["--output", "live.wav"], "-o live.wav: give a folder"),
        (bytes(100), ["--name", "../live"], "--name '../live': give a name without folders"),
        (np.full(RATE, np.nan, "<f4").tobytes(), ["--encoding", "f32le"], "not finite|NaN"),
    ],
)
def test_what_cannot_be_is_explained(tiny_model, tmp_path, data, options, complaint):
    code, _, err = run(data, "-o", tmp_path / "out", "-m", tiny_model, *options)
    assert code == 2
    assert "Traceback" not in err
    assert re.search(complaint, err), err
    assert "s behind" not in err
    assert not list(Path(tmp_path).glob("out/*_slot?.wav"))


def test_a_second_stream_leaves_what_is_there(tiny_model, tmp_path):
    samples = noise(0.5).tobytes()
    (tmp_path / "stream_slot2.part.wav").write_bytes(b"broken off")
    (tmp_path / "stream-2_slot1.wav").write_bytes(b"of before")
    code, out, err = run(samples, "-o", tmp_path, "-m", tiny_model)
    assert code == 0, err
    assert out.decode().split() == [str(tmp_path / f"stream-3_slot{slot}.wav") for slot in (1, 2)]
    assert (tmp_path / "stream_slot2.part.wav").read_bytes() == b"broken off"
    code, _, err = run(samples, "-o", tmp_path, "-m", tiny_model, "--name", "stream-2")
    assert (code, err) == (
        2,
        f"slotaudio: error: {tmp_path / 'stream-2_slot1.wav'} exists already; --force replaces it\n",
    )


def test_damage_keeps_what_came_before(tiny_model, tmp_path):
    good = (noise(2.0)[:, 0] / 2**15).astype("<f4")
    data = np.concatenate([good, np.full(RATE, np.nan, "<f4")]).tobytes()
    code, _, err = run(data, "-o", tmp_path, "-m", tiny_model, "--encoding", "f32le")
    assert code == 2
    assert re.search(r"its first [12]\.\d s are in", err), err
    assert RATE < soundfile.info(tmp_path / "stream_slot1.part.wav").frames <= 2 * RATE


def test_half_a_sample_at_the_end_is_left_out(tiny_model, tmp_path):
    code, _, err = run(noise(1.0).tobytes() + b"\0", "-o", tmp_path, "-m", tiny_model)
    assert code == 0
    assert "ended inside a sample" in err
    assert soundfile.info(tmp_path / "stream_slot1.wav").frames == RATE


def test_a_stream_ends_where_pipes_can_only_be_waited_for(monkeypatch):
    monkeypatch.setattr(pcm, "_POLLS", False)
    monkeypatch.delattr(os, "set_blocking")
    receiver, sender = os.pipe()
    with open(receiver, "rb") as pipe, open(sender, "wb", buffering=0) as recorder:
        recorder.write(noise(0.1).tobytes())
        reader = pcm.PcmReader(pipe, RATE)
        for heard in reader:
            assert heard.shape == (1, RATE // 10)
            reader.end()  # while the recorder goes on


def test_the_second_interruption_interrupts():
    before, ended = signal.getsignal(signal.SIGINT), []

    class Reader:
        def end(self):
            ended.append(signal.getsignal(signal.SIGINT))

    with _ends_at_interrupt(Reader()):
        signal.getsignal(signal.SIGINT)()
    assert ended == [before]


def test_the_options_of_a_stream_reach_the_separator(tmp_path, monkeypatch):
    from slotaudio.separation.separator import Separator

    given = {}

    def stop(name, **options):
        given.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Separator, "from_pretrained", stop)
    (tmp_path / "pipe").write_bytes(bytes(100))
    with open(tmp_path / "pipe", "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        command = ["stream", "-o", str(tmp_path / "out"), "--window", "2.5", "--ahead", "1.5", "--keep-noise", "-q"]
        with pytest.raises(SystemExit):
            main(command)
    assert (given["long_window"], given["ahead"], given["keep_noise"]) == (2.5, 1.5, True)


LOUD = """
import sys
from slotaudio.cli import main
from slotaudio.model import SlotModel
forward, build = SlotModel.forward, SlotModel.__init__
def loudly(what):
    def call(*arguments, **options):
        print("a word from the model")
        return what(*arguments, **options)
    return call
SlotModel.forward, SlotModel.__init__ = loudly(forward), loudly(build)
main(sys.argv[1:])
"""


def test_what_a_model_prints_is_not_among_the_samples(tiny_model, tmp_path):
    arguments = ("-m", tiny_model, "--slot", 1)
    _, quiet, _ = run(noise(1.5).tobytes(), "-o", tmp_path / "quiet", *arguments)
    code, loud, err = run(noise(1.5).tobytes(), "-o", tmp_path / "loud", *arguments, program=("-c", LOUD))
    assert (code, loud) == (0, quiet)
    assert err.count("a word from the model") >= 2
