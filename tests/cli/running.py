"""Commands as the tests run them, and recordings to run them on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slotaudio.cli import main

RATE = 16000


def run(command: str, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command in this process; returns exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as ended:
        main([command, *map(str, arguments)])
    return ended.value.code or 0, *capsys.readouterr()


def start(command: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    # whoever runs the tests in the background has Ctrl-C ignored, and children inherit that
    options.setdefault("preexec_fn", lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    return subprocess.Popen(
        [sys.executable, "-m", "slotaudio", command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )


def recording(path: Path, seconds: float = 1.0, rate: int = RATE, channels: int = 1, **options: str) -> Path:
    """Write noise to a file."""
    noise = np.random.default_rng(0).standard_normal((round(seconds * rate), channels)) * 0.05
    soundfile.write(path, noise, rate, **options)
    return path
