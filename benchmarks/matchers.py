"""Assignment against the peers: ``python benchmarks/matchers.py [--slots 2 3 4] [--batch 1 16] [--output FILE]``.

Two questions, each in one process with the contestants taking turns and the least of many times kept:
finding the best assignment of a given cost, and the whole permutation-invariant loss of waves, forward and backward.
Peers: a loop over `scipy.optimize.linear_sum_assignment`, torchmetrics' permutation-invariant training and asteroid's
PITLossWrapper (left out where it is not installed).
"""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics.functional.audio import permutation_invariant_training, signal_noise_ratio
from torchmetrics.functional.audio.pit import (
    _find_best_perm_by_exhaustive_method,
    _find_best_perm_by_linear_sum_assignment,
)

from slotaudio import build
from slotaudio.objectives.costs import snr

try:
    from asteroid.losses import PITLossWrapper, pairwise_neg_snr
except ImportError:
    PITLossWrapper = None

EXHAUSTIVE, HUNGARIAN = build("matcher", "exhaustive"), build("matcher", "hungarian")


def ours(slots: int) -> tuple[str, Callable[[Tensor], Tensor]]:
    """Return the matcher that the documentation recommends for so many slots."""
    return ("exhaustive", EXHAUSTIVE) if slots <= 4 else ("hungarian", HUNGARIAN)


def loop(cost: Tensor) -> Tensor:
    """Solve item by item with scipy, as most training code does."""
    return torch.stack([torch.from_numpy(linear_sum_assignment(item.numpy().T)[1]) for item in cost])


def finders(slots: int) -> Mapping[str, Callable[[Tensor], object]]:
    """Return who finds the assignment of a cost "batch slots sources"."""
    scipy_of_torchmetrics = _find_best_perm_by_linear_sum_assignment
    best = _find_best_perm_by_exhaustive_method if slots <= 3 else scipy_of_torchmetrics  # as torchmetrics chooses
    found = {
        "slotaudio": ours(slots)[1],
        "scipy loop": loop,
        "torchmetrics": lambda cost: best(cost.mT, torch.min),
    }
    if PITLossWrapper is not None:
        found["asteroid"] = lambda cost: PITLossWrapper.find_best_perm(cost)
    return found


def losses(slots: int) -> Mapping[str, Callable[[Tensor, Tensor], Tensor]]:
    """Return permutation-invariant losses of waves "batch slots time"."""
    matcher = ours(slots)[1]

    def slotaudio(estimates: Tensor, sources: Tensor) -> Tensor:
        cost = snr(estimates[:, :, None], sources[:, :, None], sources.sum(1)[:, None])
        return cost.gather(1, matcher(cost)[:, None]).mean()

    def torchmetrics(estimates: Tensor, sources: Tensor) -> Tensor:
        return -permutation_invariant_training(estimates, sources, signal_noise_ratio, eval_func="max")[0].mean()

    found = {"slotaudio": slotaudio, "torchmetrics": torchmetrics}
    if PITLossWrapper is not None and slots < 10:  # more it takes for a mistake in the axes
        found["asteroid"] = PITLossWrapper(pairwise_neg_snr, pit_from="pw_mtx")
    return found


def least_seconds(contestants: Mapping[str, Callable[[], object]], budget: float) -> dict[str, float]:
    """Return the least time of each, taking turns for `budget` seconds, three rounds at least."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    start = time.perf_counter()
    while len(times["slotaudio"]) < 3 or time.perf_counter() - start < budget:
        for name, run in contestants.items():
            before = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - before)
    return {name: min(values) for name, values in times.items()}


def backward(loss: Callable[[Tensor, Tensor], Tensor], estimates: Tensor, sources: Tensor) -> Callable[[], None]:
    """Return a function that computes the loss and its gradient."""

    def run() -> None:
        estimates.grad = None
        loss(estimates, sources).backward()

    return run


def row(label: str, times: Mapping[str, float], names: list[str]) -> str:
    """Return a row of the table: microseconds, and how many times slower the fastest peer is."""
    fastest = min(value for name, value in times.items() if name != "slotaudio")
    cells = " | ".join(f"{1e6 * times[name]:.0f}" if name in times else "-" for name in names)
    return (
        f"| {label} | {cells} | {fastest / times['slotaudio']:.1f} | {times['torchmetrics'] / times['slotaudio']:.1f} |"
    )


def table(title: str, names: list[str], rows: list[str]) -> str:
    """Return a table in Markdown."""
    head = (
        f"| slots | batch | {' | '.join(f'{name} µs' for name in names)} | fastest peer / ours | torchmetrics / ours |"
    )
    return "\n".join([f"## {title}", "", head, "|---" * (len(names) + 4) + "|", *rows])


def main() -> None:
    """Measure, print both tables and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, nargs="+", default=[2, 3, 4, 6, 8, 12, 16])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16, 256])
    parser.add_argument("--samples", type=int, default=4000, help="length of the waves of the whole loss")
    parser.add_argument("--budget", type=float, default=1.0, help="seconds for each row")
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found, whole = [], []
    for slots in options.slots:
        for batch in options.batch:
            generator = torch.Generator().manual_seed(slots * 1000 + batch)
            cost = torch.randn(batch, slots, slots, generator=generator)
            contestants = {name: partial(find, cost) for name, find in finders(slots).items()}
            best = cost.gather(1, ours(slots)[1](cost)[:, None]).sum()
            assert np.isclose(float(best), float(cost.gather(1, loop(cost)[:, None]).sum()), rtol=1e-4)
            found.append(row(f"{slots} | {batch}", least_seconds(contestants, options.budget), list(finders(2))))
            print(found[-1], flush=True)
            if batch * slots * slots > 20_000:
                continue  # torchmetrics holds every pair of waves
            estimates = torch.randn(batch, slots, options.samples, generator=generator, requires_grad=True)
            sources = torch.randn(batch, slots, options.samples, generator=generator)
            runs = {name: backward(loss, estimates, sources) for name, loss in losses(slots).items()}
            whole.append(row(f"{slots} | {batch}", least_seconds(runs, options.budget), list(losses(2))))
            print(whole[-1], flush=True)
    names = list(finders(2))
    text = "\n\n".join(
        [
            table("Finding the assignment", names, found),
            table(
                f"The whole loss of waves of {options.samples} samples, forward and backward", list(losses(2)), whole
            ),
        ]
    )
    if options.output:
        numbers = [" ".join(map(str, values)) for values in (options.slots, options.batch)]
        command = f"python benchmarks/matchers.py --slots {numbers[0]} --batch {numbers[1]} --samples {options.samples}"
        options.output.write_text(
            f"# Matchers against peers\n\n`{command}`, one thread of a shared CPU, least of many times, microseconds. "
            f"`exhaustive` up to four slots, `hungarian` above.\n\n{text}\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
