"""`slotaudio separate` on a full disk, interrupted and killed: what is left behind."""

import signal
import time
import wave as standard_wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from running import recording, start


def test_a_full_disk_leaves_what_it_took(tiny_model, tmp_path):
    def little_room() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    long, short = recording(tmp_path / "long.wav", 13), recording(tmp_path / "short.wav", 1)
    process = start("separate", long, short, "-o", tmp_path / "out", "-m", tiny_model, preexec_fn=little_room)
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
    process = start("separate", short, long, "-o", tmp_path / "out", "-m", tiny_model)
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
