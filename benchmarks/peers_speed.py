"""Real-time factor and peak memory of separating, by the length of the recording, on one thread.

    python benchmarks/peers_speed.py [--only band-split conv-tasnet] [--seconds 10 60 600]

Each model and length runs in a process of its own: a second of audio to warm up, then a recording that lies in memory.
The weights are random, which changes nothing of what is computed. Slot models go through `Separator`, which cuts long
recordings; the peers take a recording whole, as calling them does. Their memory grows with its length, so a run that,
going by the shorter ones, needs more than --memory or --patience is not made, and its figure is an estimate. Finished
measurements are lines of OUTPUT/speed.jsonl and are not made again.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from contest import RATE, read, separate
from peers import CONTESTANTS

MODELS = [name for name in CONTESTANTS if not name.endswith("-lesson")]


def main() -> None:
    """Make the measurements that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MODELS, default=MODELS, help="models")
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 60.0, 600.0])
    parser.add_argument("--memory", type=float, default=8.0, help="GB that a run may take")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds of processor time that a run may take")
    parser.add_argument("--output", type=Path, default=Path("runs/peers"), help="folder of speed.jsonl")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.only[0], options.seconds[0])))
        return
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "speed.jsonl"
    for name in options.only:
        for seconds in sorted(options.seconds):
            done = [found for found in read(path) if found["name"] == name]
            if seconds in [found["seconds"] for found in done]:
                continue
            found = estimate(done, seconds, options) or in_process(name, seconds)
            print(found, file=sys.stderr, flush=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(
                    json.dumps({"name": name, "title": CONTESTANTS[name].title, "seconds": seconds, **found}) + "\n"
                )


def estimate(done: list[dict[str, Any]], seconds: float, options: argparse.Namespace) -> dict[str, Any] | None:
    """Return what would be needed for this length, by the line through the two last ones, if that is too much."""
    known = [found for found in sorted(done, key=lambda found: found["seconds"]) if not found["estimated"]][-2:]
    if len(known) < 2:
        return None
    slope = (known[1]["peak"] - known[0]["peak"]) / (known[1]["seconds"] - known[0]["seconds"])
    peak = known[1]["peak"] + slope * (seconds - known[1]["seconds"])
    if peak < 1000 * options.memory and known[1]["factor"] * seconds < options.patience:
        return None
    return {"factor": known[1]["factor"], "peak": peak, "before": known[1]["before"], "estimated": True}


def in_process(name: str, seconds: float) -> dict[str, Any]:
    """Measure in a new process."""
    command = [sys.executable, __file__, "--one", "--only", name, "--seconds", str(seconds)]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(found.stdout.splitlines()[-1])


def measure(name: str, seconds: float) -> dict[str, Any]:
    """Return the real-time factor, and megabytes at most and before separating."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = CONTESTANTS[name].build()
    mixture = 0.05 * torch.randn(1, 1, round(seconds * RATE))
    separate(model, mixture[..., :RATE])
    before, times = peak(), []
    for _ in range(3 if seconds <= 10 else 1):
        began = time.process_time()
        separate(model, mixture)
        times.append(time.process_time() - began)
    return {"factor": min(times) / seconds, "peak": peak(), "before": before, "estimated": False}


def peak() -> float:
    """Most memory that this process held so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


if __name__ == "__main__":
    main()
