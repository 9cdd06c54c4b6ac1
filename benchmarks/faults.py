"""Kill training and bulk separation at random moments, go on, and compare with what nobody disturbed.

    python benchmarks/faults.py                     # 20 kills each
    python benchmarks/faults.py --kills 5 --only training

Every kill is SIGKILL, which no program can handle, at a moment drawn from the time that the undisturbed run took.
Training runs on the CPU in float32. Prints Markdown; the exit code is 1 if anything differs.
"""

import argparse
import csv
import hashlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path

RECIPE = """
model.window = 0.125
encoder = {name = "resnet", depth = 10, width = 2}
bottleneck = {name = "transformer", slot_dim = 16, layers = 1, heads = 2, qkv_dim = 16, mlp_dim = 16}
decoder = {name = "spatial_broadcast", hidden = 16, layers = 1, patch = [8, 8]}

[data.train]
name = "folder"
path = "bundled:train"
size = 40

[train]
steps = 60
batch_size = 4
warmup_steps = 10
ema = 0.9
device = "cpu"
checkpoint_every = 4
log_every = 1
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", choices=["training", "separation"])
    options = parser.parse_args()
    print("| what | killed | rounds | result |\n|---|---|---|---|", flush=True)
    finish(start(["--version"]), ["--version"])  # from now on processes start at once
    passed = True
    for name, experiment in (("training", training), ("separation", separation)):
        if options.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                passed &= experiment(Path(folder), options.kills, random.Random(options.seed))
    sys.exit(0 if passed else 1)


def training(folder: Path, kills: int, moments: random.Random) -> bool:
    """Compare every logged loss and all weights."""
    (folder / "tiny.toml").write_text(RECIPE)

    def commands(name: str) -> list[list[str]]:
        return [["train", str(folder / "tiny.toml"), "-o", str(folder / name), "--resume"]]

    rounds, killed = disturbed(commands, kills, undisturbed(commands("whole")[0]), moments)
    import torch

    def weights(name: str) -> dict[str, torch.Tensor]:
        return dict(torch.load(folder / name / "last.ckpt", weights_only=True)["state_dict"])

    steps, tensors = losses(folder / "whole"), weights("whole")
    different = sum(losses(folder / name).get(step) != loss for name in rounds for step, loss in steps.items())
    moved = sum(not torch.equal(weights(name)[key], tensors[key]) for name in rounds for key in tensors)
    print(
        f"| training of {len(steps)} steps | {killed} | {len(rounds)} | of {len(steps)} losses and {len(tensors)} "
        f"tensors of weights each, {different} and {moved} differ |",
        flush=True,
    )
    return not different and not moved


def separation(folder: Path, kills: int, moments: random.Random) -> bool:
    """Compare every file that three workers write with that of one."""
    corpus = folder / "corpus"
    write_corpus(corpus, recordings=24)

    def commands(name: str) -> list[list[str]]:
        return [["separate", "--list", str(corpus / "list.txt"), "-o", str(folder / name), "--threads", "1"]] * 3

    rounds, killed = disturbed(commands, kills, undisturbed(commands("whole")[0]) / 2, moments)
    wanted, found = contents(folder / "whole"), [contents(folder / name) for name in rounds]
    lost = sum(name not in each for each in found for name in wanted)
    different = sum(each[name] != wanted[name] for each in found for name in wanted if name in each)
    extra = sum(name not in wanted for each in found for name in each)
    print(
        f"| separation of 24 recordings by 3 workers | {killed} | {len(rounds)} | of {len(wanted)} files each, "
        f"{lost} lost, {different} different, {extra} left over |",
        flush=True,
    )
    return not (lost or different or extra)


def undisturbed(arguments: list[str]) -> float:
    """Run a command to its end and return the seconds that it took."""
    started = time.monotonic()
    finish(start(arguments), arguments)
    return time.monotonic() - started


def disturbed(
    commands: Callable[[str], list[list[str]]], kills: int, seconds: float, moments: random.Random
) -> tuple[list[str], int]:
    """Do the work again and again, and kill its workers, until there were enough kills; return the rounds' names.

    A kill comes after at most half of the time that the work takes alone and hits any of the workers, of which a new
    one takes the place.
    """
    rounds: list[str] = []
    killed = 0
    while killed < kills:
        rounds.append(f"round-{len(rounds)}")
        workers = [(start(command), command) for command in commands(rounds[-1])]
        while killed < kills and any(worker.exitcode is None for worker, _ in workers):
            time.sleep(moments.uniform(0, 0.5) * seconds)
            number = moments.randrange(len(workers))
            victim, command = workers[number]
            if victim.exitcode is None:
                victim.kill()
                victim.join()
                killed += victim.exitcode == -signal.SIGKILL
                workers[number] = start(command), command
        for worker, command in workers:
            finish(worker, command)
    return rounds, killed


def finish(worker: BaseProcess, arguments: list[str]) -> None:
    worker.join()
    if worker.exitcode:
        sys.exit(f"slotaudio {' '.join(arguments)} failed")


def start(arguments: list[str]) -> BaseProcess:
    """Start the command line in a new process, whose modules are loaded already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["slotaudio.training.run", "slotaudio.separation.separator", "slotaudio.cli"])
    worker = context.Process(target=command_line, args=(arguments,))
    worker.start()
    return worker


def command_line(arguments: list[str]) -> None:
    import torch

    from slotaudio.cli import main

    torch.set_num_threads(1)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    main(arguments)


def losses(folder: Path) -> dict[str, str]:
    """Return the loss of every step as it was logged; of a step that was computed twice, the last."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("logs/*/metrics.csv")):
        with open(path, newline="") as file:
            found |= {row["step"]: row["train/loss"] for row in csv.DictReader(file) if row.get("train/loss")}
    return found


def contents(folder: Path) -> dict[str, str]:
    """Return a digest of every audio file."""
    files: Iterable[Path] = sorted(folder.rglob("*.wav"))
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_corpus(folder: Path, recordings: int) -> None:
    """Write bundled mixtures of two voices, each in one of three folders."""
    from slotaudio import audio
    from slotaudio.data.folder import FolderMixtures

    mixtures = FolderMixtures("bundled:dev", seconds=2.0, size=recordings)
    names = [f"{number % 3}/{number}.wav" for number in range(recordings)]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with audio.AudioWriter(folder / name, 16000) as writer:
            writer.write(mixtures[number][0])
    (folder / "list.txt").write_text("\n".join(names) + "\n")


if __name__ == "__main__":
    main()
