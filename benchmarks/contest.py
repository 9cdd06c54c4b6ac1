"""Trains separators on equal processor time and measures them alike; peers.py and ablations.py are run.

A contestant trains in a process of its own on one thread. What counts is the processor time of its training steps: the
mixtures are drawn outside of it and are the same, step by step, for all contestants of one seed. Rates stay as they are
till the end of the budget; what is measured is the moving average of the weights, for all of them.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from slotaudio import SlotModel, Spec, build
from slotaudio.data.batches import collate
from slotaudio.data.folder import FolderMixtures
from slotaudio.metrics import score
from slotaudio.objectives.costs import si_sdr
from slotaudio.training.muon import Muon
from slotaudio.types import Batch

RATE, SECONDS, BATCH = 16000, 2.0, 4
AVERAGE = 0.99


@dataclass(frozen=True)
class Contestant:
    """A model and how it is trained."""

    title: str
    build: Callable[[], nn.Module]
    rate: float = 1e-3
    warmup: int = 0
    clip: float = 5.0
    optimizer: str = "adam"
    bf16: bool = False
    lesson: float = 0.0
    """Share of the budget in which voices are three semitones apart and the higher one is always the first output."""
    objective: Spec | None = None
    """Of slot models; waveform models minimise negative SI-SDR under the best permutation."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the data set of all others."""


def separate(model: nn.Module, mixture: Tensor) -> Tensor:
    """Return the sources "batch sources channels time" as a user would get them."""
    model.eval()
    with torch.no_grad():
        if isinstance(model, SlotModel):
            from slotaudio import Separator

            return Separator(model)(mixture, sample_rate=RATE).sources
        return model(mixture)[:, :, None]


def contest(contestants: Mapping[str, Contestant], about: str | None, output: str) -> None:
    """Read the command line and train the contestants that are missing, each in a process of its own."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="folder of speaker/utterance.flac")
    parser.add_argument("--dev", type=Path, required=True, help="the same, of other speakers")
    parser.add_argument("--minutes", type=float, default=5.0, help="processor time that each may train for")
    parser.add_argument("--points", type=int, default=4, help="of the curve")
    parser.add_argument("--mixtures", type=int, default=24, help="of 4 s, to measure on")
    parser.add_argument("--only", nargs="+", choices=contestants, default=list(contestants), help="contestants")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--groups", default='{"librispeech": 0.7}', help="how often speakers of one corpus meet, JSON")
    parser.add_argument("--output", type=Path, default=Path(output), help="folder of runs.jsonl")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, seed = options.only[0], options.seeds[0]
        print(json.dumps({"name": name, "seed": seed, **run(name, contestants[name], seed, options)}))
        return
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "runs.jsonl"
    for seed in options.seeds:
        for name in options.only:
            if (name, seed, options.minutes) in {
                (found["name"], found["seed"], found["minutes"]) for found in read(path)
            }:
                continue
            this = ["--one", "--only", name, "--seeds", str(seed)]
            found = subprocess.run([sys.executable, *sys.argv, *this], stdout=subprocess.PIPE, text=True)
            if found.returncode:
                print(f"{name} failed and is left out", file=sys.stderr)
                continue
            with path.open("a", encoding="utf-8") as file:
                file.write(found.stdout.splitlines()[-1] + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Return the finished runs; none if the file is missing."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def run(name: str, contestant: Contestant, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train and measure one contestant."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = contestant.build()
    dev = FolderMixtures(options.dev, seconds=4.0, size=options.mixtures, seed=1, fixed=True)
    heard = collate([dev[index] for index in range(len(dev))])
    loss, optimizer = losses(contestant), make_optimizer(contestant, model)
    batches = drawn(options.train, contestant, seed, json.loads(options.groups))
    average = AveragedModel(model, avg_fn=moving)
    budget, curve, clock, drawing, steps = 60 * options.minutes, [], 0.0, 0.0, 0
    while clock < budget:
        lesson = clock < contestant.lesson * budget
        began = time.process_time()
        batch = next(batches[lesson])
        drawing += time.process_time() - began
        for group in optimizer.param_groups:
            group["lr"] = contestant.rate * min(1.0, (steps + 1) / max(1, contestant.warmup))
        began = time.process_time()
        step(contestant, model, optimizer, loss[lesson], batch)
        average.update_parameters(model)
        clock, steps = clock + time.process_time() - began, steps + 1
        if clock >= budget * (len(curve) + 1) / options.points:
            curve.append((clock / 60, steps, measure(average.module, heard)))
            print(f"{name}: {clock / 60:.2f} min, step {steps}, {curve[-1][2]:.2f} dB SI-SDRi", file=sys.stderr)
    return {
        "title": contestant.title,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "minutes": options.minutes,
        "steps": steps,
        "audio_per_second": steps * BATCH * SECONDS / clock,
        "drawing_seconds": drawing,
        "curve": curve,
    }


def drawn(path: Path, contestant: Contestant, seed: int, groups: Mapping[str, float]) -> dict[bool, Iterator[Batch]]:
    """Return endless batches, and those of the lesson."""

    def batches(pitch: float) -> Iterator[Batch]:
        options = {"groups": groups, "pitch": pitch, **contestant.data}
        mixtures = FolderMixtures(path, seconds=SECONDS, size=10**6, seed=seed, **options)
        for first in range(0, 10**6, BATCH):
            yield collate([mixtures[first + index] for index in range(BATCH)])

    return {False: batches(0.0), True: batches(1.2)}


def losses(contestant: Contestant) -> dict[bool, Callable[[nn.Module, Batch], Tensor]]:
    """Return the loss, and that of the lesson, in which the order is given."""

    def of_slots(matcher: str) -> Callable[[nn.Module, Batch], Tensor]:
        objective = build("objective", contestant.objective, matcher=matcher)
        return lambda model, batch: objective(model, batch)["loss"]

    def of_waves(matcher: str) -> Callable[[nn.Module, Batch], Tensor]:
        assign = build("matcher", matcher)

        def loss(model: nn.Module, batch: Batch) -> Tensor:
            cost = si_sdr(model(batch.mixture).float()[:, :, None], batch.sources, batch.mixture)
            return cost.gather(1, assign(cost)[:, None]).mean()

        return loss

    make = of_waves if contestant.objective is None else of_slots
    return {False: make("exhaustive"), True: make("fixed")}


def make_optimizer(contestant: Contestant, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser by its name."""
    if contestant.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), contestant.rate)
    kind = {"muon": Muon, "adamw": torch.optim.AdamW}[contestant.optimizer]
    return kind(model.parameters(), contestant.rate, betas=(0.9, 0.99), weight_decay=0.01)


def step(
    contestant: Contestant,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[nn.Module, Batch], Tensor],
    batch: Batch,
) -> None:
    """Train on one batch."""
    model.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=contestant.bf16):
        value = loss(model, batch)
    optimizer.zero_grad()
    value.backward()
    nn.utils.clip_grad_norm_(model.parameters(), contestant.clip)
    optimizer.step()


def moving(average: Tensor, weights: Tensor, count: Tensor) -> Tensor:
    """Return the next moving average, shorter in the first steps so that the random beginning is forgotten."""
    decay = min(AVERAGE, (1 + int(count)) / (10 + int(count)))
    return decay * average + (1 - decay) * weights


def measure(model: nn.Module, heard: Batch) -> float:
    """Return the mean SI-SDRi over all mixtures and both speakers, in the better order."""
    found = [
        score(separate(model, heard.mixture[i : i + 1]), heard.sources[i : i + 1], heard.mixture[i : i + 1])
        for i in range(len(heard.mixture))
    ]
    return float(torch.stack([scores.mean("si_sdr_i").mean() for scores in found]).mean())
