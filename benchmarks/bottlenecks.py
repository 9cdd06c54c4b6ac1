"""Which bottleneck separates best on one budget of processor time, and which collapses?

    python benchmarks/bottlenecks.py --train path/to/speech/train --dev path/to/speech/dev

Trains one narrow band-split model with four bottlenecks (the transformer, Slot Attention, Slot Attention carried over
from window to window, evidence-depleting slot attention) on the same seeded mixtures for the same processor time,
several seeds each, and measures them on speakers that none of them heard. What is learned is the first lesson of
`band-split`: the higher voice goes into the first slot, for assignment by least cost learns nothing in minutes.
Finished runs are lines of OUTPUT/runs.jsonl and are not done again. Prints tables and draws OUTPUT/bottlenecks.png
at the end; bottlenecks_report.py does so any time. Needs slotaudio-evidence:
pip install -e plugins/slotaudio-evidence
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from bottlenecks_report import curves, read, tables

from slotaudio import SlotModel, Spec, build, compose
from slotaudio.collapse import Collapse, alike, collapse
from slotaudio.data.batches import collate
from slotaudio.evaluation.long import evaluate_long
from slotaudio.evaluation.results import evaluate, summarise
from slotaudio.evaluation.rows import model_rows
from slotaudio.metrics import score
from slotaudio.objectives.views import cut
from slotaudio.plotting import save
from slotaudio.training.data import Batches
from slotaudio.training.options import TrainOptions
from slotaudio.training.speed import make_optimizer

RATE, WINDOW, CLIP = 8000, 1.0, 3.0
CORRECTOR = {"slot_dim": 128, "iterations": 3}
BOTTLENECKS = {
    "transformer": Spec("transformer", slot_dim=128, layers=2, heads=4, qkv_dim=128, mlp_dim=256),
    "slot_attention": Spec("slot_attention", **CORRECTOR),
    "carry_over": Spec("carry_over", bottleneck={"name": "slot_attention", **CORRECTOR}),
    "evidence": Spec("evidence", **CORRECTOR),
}
POINTS = 10
"""How often a run is looked into."""
WITHIN, THROUGH = ("reference", "blind"), ("blind", "adjacent-given")


def main() -> None:
    """Do the runs that are missing, then report all that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="folder of speaker/utterance.flac")
    parser.add_argument("--dev", type=Path, required=True, help="the same, of other speakers")
    parser.add_argument("--speakers", nargs="+", default=["librispeech-*"], help="wildcards of training speakers")
    parser.add_argument("--bottlenecks", nargs="+", default=list(BOTTLENECKS), choices=BOTTLENECKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=3.0, help="processor time of the training steps of a run")
    parser.add_argument("--clips", type=int, default=6, help="of 3 s, three windows each, in a batch")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--pitch", type=float, default=1.2, help="least ratio of the pitches of the two voices")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("runs/bottlenecks"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "runs.jsonl"
    wanted = {(name, seed, options.minutes): (name, seed) for seed in options.seeds for name in options.bottlenecks}
    missing = [run for key, run in wanted.items() if key not in {identity(done) for done in read(path)}]
    voices: dict[str, Any] = {"rate": RATE, "resample": True, "cache": True}
    apart: dict[str, Any] = {**voices, "pitch": options.pitch}
    if missing:
        training = build(
            "dataset",
            Spec("folder", path=options.train, speakers=options.speakers, seconds=CLIP, size=32000, **apart),
        )
        dev = build("dataset", Spec("folder", path=options.dev, seconds=6.0, size=24, fixed=True, seed=1, **apart))
        talks = build(
            "dataset",
            Spec("conversations", path=options.dev, seconds=20.0, overlap=0.9, pauses=0.0, size=3, seed=1, **voices),
        )
    for number, (name, seed) in enumerate(missing, start=1):
        print(f"{number} of {len(missing)}: {name}, seed {seed}", flush=True)
        run = trained(name, seed, training, dev, options)
        model = run.pop("model")
        run |= measured(model, dev, talks)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")
        print({key: value for key, value in run.items() if key != "curve"}, flush=True)
    runs = [run for run in read(path) if identity(run) in wanted]
    print(tables(runs))
    save(curves(runs), options.output / "bottlenecks.png", force=True)


def identity(run: dict[str, Any]) -> tuple[str, int, float]:
    """Return what tells runs apart."""
    return run["bottleneck"], run["seed"], run["minutes"]


def small(bottleneck: str) -> SlotModel:
    """Return band-split at a size that one CPU core can teach something in minutes, with one of the bottlenecks."""
    return compose(
        slots=2,
        window=WINDOW,
        frontend=Spec("stft", sample_rate=RATE, window=512, hop=256, framing="centred", features="complex"),
        encoder=Spec("band_split", dim=64, hidden=64, blocks=1),
        bottleneck=BOTTLENECKS[bottleneck],
        decoder=Spec("mask", hidden=64, blocks=1),
        matcher="exhaustive",
    )


def trained(name: str, seed: int, training: Any, dev: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Train one model; the data depend on the seed and the step alone, whatever the bottleneck."""
    torch.manual_seed(seed)
    model = small(name)
    objective = build("objective", Spec("supervised", matcher="fixed", cost="snr", assignment="clip"))
    training.epochs.seed = seed
    batches = iter(Batches(training, options.clips, start=0, stop=10**6, seed=seed))
    muon = TrainOptions(optimizer="muon", learning_rate=options.rate, betas=(0.9, 0.99), weight_decay=0.01)
    optimizer = make_optimizer(model.parameters(), muon)
    budget = 60 * options.minutes
    watched = collate([dev[index] for index in range(8)])
    curve: list[dict[str, float]] = []
    losses: list[float] = []
    step, seconds = 0, 0.0
    while seconds < budget:
        batch = next(batches)
        began = time.process_time()
        for group in optimizer.param_groups:
            group["lr"] = options.rate * rate_factor(seconds / budget)
        with torch.autocast("cpu", torch.bfloat16):
            loss = objective(model.train(), batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        seconds += time.process_time() - began
        step += 1
        losses.append(loss.item())
        if step == 1 or seconds >= budget * len(curve) / POINTS:
            curve.append({"step": step, "seconds": round(seconds, 1), "loss": sum(losses) / len(losses)})
            curve[-1] |= diagnosed(model.eval(), watched)
            losses = []
            print({key: round(value, 4) for key, value in curve[-1].items()}, flush=True)
    return {
        "bottleneck": name,
        "seed": seed,
        "minutes": options.minutes,
        "steps": step,
        "audio": step * options.clips * CLIP,
        "seconds": seconds,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "curve": curve,
        "model": model.eval(),
    }


def rate_factor(progress: float) -> float:
    """Warm up over the first twentieth, then follow half a cosine down to zero."""
    return max(20 * progress, 0.02) if progress < 0.05 else 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


@torch.no_grad()
def diagnosed(model: SlotModel, batch: Any) -> dict[str, float]:
    """Look into the slots of every window; SI-SDRi, in the order of the sources, where both are within 15 dB."""
    mixture = cut(batch.mixture[:, None], model.window_samples)[:, :, 0]
    sources = cut(batch.sources, model.window_samples).flatten(0, 1)
    prediction = model(mixture)
    estimates = model.sources(prediction, len(mixture)).flatten(0, 1)
    gain = score(estimates, sources, mixture.flatten(0, 1), metrics=("si_sdr",)).mean("si_sdr_i")
    energy = sources.square().sum(dim=(2, 3))
    both = energy.amin(dim=1) > 0.03 * energy.amax(dim=1)  # within 15 dB
    return {
        "window_si_sdri": gain[both].mean().item(),
        "collapsed": collapse(estimates, sources).share,
        **alike([prediction.slots]),
    }


def measured(model: SlotModel, dev: Any, talks: Any) -> dict[str, float]:
    """Measure a trained model on mixtures and, one assignment for each whole recording, on conversations."""
    found: dict[str, float] = {}
    results = list(evaluate(model_rows(model, joinings=WITHIN), [dev[i] for i in range(len(dev))], RATE, ("si_sdr",)))
    for (joining,), means in summarise(results, ["joining"]).items():
        found[f"si_sdri {joining}"] = means["si_sdr_i"].mean
    results = list(evaluate_long(model_rows(model, joinings=THROUGH), talks))
    for (joining,), means in summarise(results, ["joining"]).items():
        for value in ("si_sdri", "right_windows", "right_joins", "swaps_per_minute"):
            found[f"talk {value} {joining}"] = means[value].mean
    total = Collapse(0, 0)
    inside = []
    for chunk in chunks(dev, 10):
        batch = collate(chunk)
        mixture = cut(batch.mixture[:, None], model.window_samples)[:, :, 0]
        with torch.no_grad():
            estimates = model.sources(model(mixture), len(mixture)).flatten(0, 1)
        total += collapse(estimates, cut(batch.sources, model.window_samples).flatten(0, 1))
        inside.append(diagnosed(model, batch))
    means = {key: sum(part[key] for part in inside) / len(inside) for key in inside[0]}
    return {**found, **means, "collapsed": total.share, "collapse windows": float(total.windows)}


def chunks(dataset: Any, size: int) -> Iterator[list[Any]]:
    """Yield the items of a data set, `size` at a time."""
    for start in range(0, len(dataset), size):
        yield [dataset[index] for index in range(start, min(start + size, len(dataset)))]


if __name__ == "__main__":
    main()
