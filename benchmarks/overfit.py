"""Can the model hold a few real mixtures? ``python benchmarks/overfit.py [--minutes 5] [--output FILE]``.

Trains a preset on the same few windows of real speech again and again and measures SI-SDRi on those very windows,
beside the oracle mask: what bottleneck and decoder can express, not what they generalise to.
"""

import argparse
import time
from pathlib import Path

import torch

from slotaudio import Spec, build, preset
from slotaudio.data.batches import collate
from slotaudio.data.bundled import speech
from slotaudio.data.folder import FolderMixtures
from slotaudio.metrics import score
from slotaudio.separation.masks import synthesise
from slotaudio.types import Batch, Estimates


def fixed_batch(path: Path, count: int, seconds: float) -> Batch:
    """Return `count` seeded mixtures as one batch."""
    mixtures = FolderMixtures(path, seconds=seconds, size=count, seed=7, fixed=True)
    return collate([mixtures[index] for index in range(count)])


def main() -> None:
    """Train, print the curve and write the table if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="audioslots-small")
    parser.add_argument("--data", type=Path, default=speech("train"), help="folder of speaker/utterance.flac")
    parser.add_argument("--mixtures", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate of Adam")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model, objective = preset(options.preset), build("objective", Spec("supervised"))
    batch = fixed_batch(options.data, options.mixtures, model.window)

    references = model.frontend(batch.sources.flatten(0, 1)).values.unflatten(0, batch.sources.shape[:2])
    truth = Estimates(magnitudes=model.frontend.compress(references))
    oracle = synthesise(truth, model.frontend(batch.mixture), model.frontend, model.mask)
    best = score(oracle, batch.sources, batch.mixture).mean("si_sdr_i").mean().item()

    optimizer = torch.optim.Adam(model.parameters(), options.rate)
    start, step, rows = time.perf_counter(), 0, []
    while (elapsed := time.perf_counter() - start) < 60 * options.minutes or not rows:
        with torch.autocast("cpu", torch.bfloat16):
            loss = objective(model, batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()
        step += 1
        if elapsed > 60 * options.minutes * (len(rows) + 1) / 10:
            with torch.no_grad():
                estimates = model.eval().sources(model(batch.mixture[:, None]), len(batch.mixture))[:, 0]
            model.train()
            gain = score(estimates, batch.sources, batch.mixture).mean("si_sdr_i").mean().item()
            rows.append(f"| {elapsed / 60:.1f} | {step} | {loss.item():.4f} | {gain:.2f} |")
            print(rows[-1], flush=True)
    lines = ["| minutes | steps | loss | SI-SDRi dB |", "|---|---|---|---|", *rows, f"| oracle mask | | | {best:.2f} |"]
    print("\n".join(lines))
    if options.output:
        command = f"python benchmarks/overfit.py --preset {options.preset} --minutes {options.minutes:g}"
        title = f"# Overfitting {options.mixtures} real mixtures of {model.window} s"
        how = f"{options.threads} thread(s), Adam {options.rate:g}, bfloat16; mixtures of seed 7, weights of seed 0."
        options.output.write_text(f"{title}\n\n`{command}`, {how}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
