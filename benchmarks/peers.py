"""Separators against training time, inference time and memory, on one thread each.

    python benchmarks/peers.py --train path/to/speech/train --dev path/to/speech/dev --minutes 10

Every contestant trains in a process of its own on the same seeded two-speaker mixtures for the same processor time,
with permutation-invariant loss, its authors' optimiser and the precision that is faster for it, then separates
the same mixtures of speakers that none of them heard. Finished contestants are lines of OUTPUT/runs.jsonl and are
not run again. Peers: ConvTasNet from torchaudio, in its paper's size and in a small one;
DPRNN-TasNet and SuDoRM-RF from asteroid (left out where it is not installed).
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from slotaudio import SlotModel, Spec, build, preset
from slotaudio.data.batches import collate
from slotaudio.data.folder import FolderMixtures
from slotaudio.metrics import score
from slotaudio.objectives.costs import si_sdr
from slotaudio.training.muon import Muon
from slotaudio.types import Batch

RATE, SECONDS, BATCH = 16000, 2.0, 4
LESSON = 0.3
"""Share of the budget that band-split spends on its first lesson (see its recipe)."""


@dataclass(frozen=True)
class Contestant:
    """A model and how its authors train it."""

    title: str
    build: Callable[[], nn.Module]
    rate: float = 1e-3
    clip: float = 5.0
    bf16: bool = False
    lesson: bool = False
    muon: bool = False
    objective: Spec | None = None
    """Of slot models; waveform models minimise negative SI-SDR under the best permutation."""
    options: dict[str, Any] = field(default_factory=dict)


def conv_tasnet(kernel: int, features: int, bottleneck: int, hidden: int, layers: int, stacks: int) -> nn.Module:
    """Return torchaudio's ConvTasNet for two speakers, sizes in the paper's order: L, N, B, H, X, R."""
    from torchaudio.models import ConvTasNet

    return ConvTasNet(2, kernel, features, 3, bottleneck, hidden, layers, stacks, "relu")


def asteroid(name: str) -> nn.Module:
    """Return a model of asteroid with its own defaults, for two speakers."""
    import asteroid.models

    return getattr(asteroid.models, name)(2, sample_rate=RATE)


CONTESTANTS = {
    "band-split": Contestant(
        "band-split", lambda: preset("band-split"), rate=2e-3, bf16=True, lesson=True, muon=True,
        objective=Spec("supervised", cost="snr", assignment="clip"),
    ),
    "audioslots-small": Contestant(
        "AudioSlots, small", lambda: preset("audioslots-small"), clip=0.05, bf16=True, objective=Spec("supervised")
    ),
    "conv-tasnet": Contestant("ConvTasNet, paper's size", lambda: conv_tasnet(32, 512, 128, 512, 8, 3), bf16=True),
    "conv-tasnet-small": Contestant("ConvTasNet, small", lambda: conv_tasnet(64, 256, 96, 192, 7, 2), bf16=True),
    "dprnn": Contestant("DPRNN-TasNet (asteroid)", lambda: asteroid("DPRNNTasNet")),
    "sudormrf": Contestant("SuDoRM-RF (asteroid)", lambda: asteroid("SuDORMRFNet")),
}  # fmt: skip


def main() -> None:
    """Run the contestants that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="folder of speaker/utterance.flac")
    parser.add_argument("--dev", type=Path, required=True, help="the same, of other speakers")
    parser.add_argument("--minutes", type=float, default=10.0, help="processor time that each may train for")
    parser.add_argument("--mixtures", type=int, default=40, help="of 4 s, to measure on")
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--output", type=Path, default=Path("runs/peers"))
    parser.add_argument("--one", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(contest(options.one, options)))
        return
    options.output.mkdir(parents=True, exist_ok=True)
    runs = options.output / "runs.jsonl"
    done = [json.loads(line)["name"] for line in runs.read_text().splitlines()] if runs.exists() else []
    for name in options.contestants:
        if name in done:
            continue
        found = subprocess.run([sys.executable, *sys.argv, "--one", name], stdout=subprocess.PIPE, text=True)
        if found.returncode:
            print(f"{name} failed and is left out", file=sys.stderr)
            continue
        with runs.open("a") as file:
            file.write(found.stdout.splitlines()[-1] + "\n")


def contest(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train and measure one contestant."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    contestant = CONTESTANTS[name]
    model = contestant.build()
    inference = separating(model)  # before anything else has used memory
    mixtures = FolderMixtures(options.dev, seconds=4.0, size=options.mixtures, seed=1, fixed=True)
    heard = collate([mixtures[index] for index in range(len(mixtures))])
    curve, clock = [], 0.0
    batches = drawn(options.train, contestant.lesson)
    optimizer = optimiser(contestant, model)
    steps = seconds = 0
    while clock < 60 * options.minutes:
        lesson = contestant.lesson and clock < LESSON * 60 * options.minutes
        batch = next(batches[lesson])
        before = time.process_time()
        step(contestant, model, optimizer, batch, lesson)
        clock += time.process_time() - before
        steps, seconds = steps + 1, seconds + len(batch.mixture) * SECONDS
        if clock > 60 * options.minutes * (len(curve) + 1) / 4:
            curve.append((clock / 60, measure(model, heard)))
            print(f"{name}: {clock / 60:.1f} min, step {steps}, {curve[-1][1]:.2f} dB SI-SDRi", file=sys.stderr)
    return {
        "name": name,
        "title": contestant.title,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "minutes": options.minutes,
        "steps": steps,
        "audio_per_second": seconds / clock,
        "curve": curve,
        **inference,
    }


def drawn(path: Path, lesson: bool) -> dict[bool, Iterator[Batch]]:
    """Return endless batches, and those of the first lesson, in which the higher voice comes first."""

    def batches(pitch: float) -> Iterator[Batch]:
        mixtures = FolderMixtures(path, seconds=SECONDS, size=10**6, seed=0, groups={"librispeech": 0.7}, pitch=pitch)
        for first in range(0, 10**6, BATCH):
            yield collate([mixtures[first + index] for index in range(BATCH)])

    return {False: batches(0.0), True: batches(1.2 if lesson else 0.0)}


def optimiser(contestant: Contestant, model: nn.Module) -> torch.optim.Optimizer:
    """Return Muon where the recipe says so, Adam everywhere else."""
    if contestant.muon:
        return Muon(model.parameters(), contestant.rate, (0.9, 0.99), 0.01)
    return torch.optim.Adam(model.parameters(), contestant.rate)


def step(
    contestant: Contestant, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, lesson: bool
) -> None:
    """Train on one batch."""
    model.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=contestant.bf16):
        if contestant.objective is not None:
            matcher = {"matcher": "fixed"} if lesson else {}
            loss = build("objective", contestant.objective, **matcher)(model, batch)["loss"]
        else:
            estimates = model(batch.mixture)
            cost = si_sdr(estimates.float()[:, :, None], batch.sources, batch.mixture)
            loss = cost.gather(1, build("matcher", "exhaustive")(cost)[:, None]).mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), contestant.clip)
    optimizer.step()


@torch.no_grad()
def separate(model: nn.Module, mixture: Tensor) -> Tensor:
    """Return the sources "batch sources channels time"."""
    model.eval()
    if isinstance(model, SlotModel):
        from slotaudio import Separator

        return Separator(model)(mixture, sample_rate=RATE).sources
    return model(mixture)[:, :, None]


def measure(model: nn.Module, heard: Batch) -> float:
    """Return the mean SI-SDRi over all mixtures and both speakers."""
    found = [
        score(separate(model, heard.mixture[i : i + 1]), heard.sources[i : i + 1], heard.mixture[i : i + 1])
        for i in range(len(heard.mixture))
    ]
    return float(torch.stack([scores.mean("si_sdr_i").mean() for scores in found]).mean())


def separating(model: nn.Module) -> dict[str, float]:
    """Return the real-time factor (least of three) and the peak memory of separating 20 s."""
    mixture, times = torch.randn(1, 1, 20 * RATE), []
    for _ in range(3):
        before = time.process_time()
        separate(model, mixture)
        times.append(time.process_time() - before)
    return {
        "real_time_factor": min(times) / 20,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
