"""How fast separating is on one core, and how little memory it takes, whatever the length.

    python benchmarks/separate_speed.py                      # the default model, 1 and 10 minutes
    python benchmarks/separate_speed.py --model runs/mine/model --minutes 10 60

Every length runs in a process of its own, as a file, through what `slotaudio separate` does. Prints Markdown.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help="bundled name, folder or hub name")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--rate", type=int, default=16000, help="sample rate of the recording")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="fp32", help="fp32 or bf16")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options)))
        return
    how = f"{options.rate} Hz, {options.precision}, {options.threads} thread(s), {platform.machine()}"
    print(f"Model `{options.model}`, {how}\n")
    print("| recording | processor time | real-time factor | peak memory | of which before the first sample |")
    print("|---|---|---|---|---|", flush=True)
    for minutes in options.minutes:
        command = [sys.executable, __file__, "--measure", "--model", options.model, "--minutes", str(minutes)]
        command += ["--rate", str(options.rate), "--threads", str(options.threads), "--precision", options.precision]
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
        found = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
        )
        print(
            f"| {minutes:g} min | {found['seconds']:.1f} s | {found['seconds'] / (60 * minutes):.3f} | "
            f"{found['peak']:.0f} MB | {found['before']:.0f} MB |",
            flush=True,
        )


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Separate a recording of that many minutes; seconds of processor time, and megabytes at most."""
    from slotaudio import Separator

    separator = Separator.from_pretrained(options.model, threads=options.threads, precision=options.precision)
    with tempfile.TemporaryDirectory() as folder:
        path = make_recording(Path(folder) / "recording.wav", options.minutes[0], options.rate)
        before, started = peak(), time.process_time()
        separator.separate_file(path, Path(folder) / "out")
        return {"seconds": time.process_time() - started, "peak": peak(), "before": before}


def make_recording(path: Path, minutes: float, rate: int) -> Path:
    """Write bundled two-speaker mixtures one after another, a minute in memory at most."""
    from slotaudio import audio
    from slotaudio.data.bundled import demo_list, speech
    from slotaudio.data.folder import FolderMixtures
    from slotaudio.resampling import resample

    mixtures = FolderMixtures(speech("dev"), seconds=None, mixtures=demo_list())
    waves = [resample(mixtures[index][0], 16000, rate) for index in range(len(mixtures))]
    missing = round(minutes * 60 * rate)
    with audio.AudioWriter(path, rate) as writer:
        while missing > 0:
            for wave in waves:
                writer.write(wave[:, :missing])
                missing = max(0, missing - wave.shape[-1])
    return path


def peak() -> float:
    """Most memory that this process held so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


if __name__ == "__main__":
    main()
