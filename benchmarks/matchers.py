"""Assignment against the peers: ``python benchmarks/matchers.py [--slots 2 3 4] [--batch 1 16] [--page FILE]``.

Two questions, each in one process on one thread, with the contestants taking turns and the least of many processor
times kept: finding the best assignment of a given cost, and the whole permutation-invariant loss of waves, forward and
backward. Peers: a loop over `scipy.optimize.linear_sum_assignment`, torchmetrics' permutation-invariant training and
asteroid's PITLossWrapper (left out where it is not installed). In the page, what stands between the lines
<!-- tables --> and <!-- /tables --> is replaced; the figure shows time against slots.
"""

import argparse
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from page import fill
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics.functional.audio import permutation_invariant_training, signal_noise_ratio
from torchmetrics.functional.audio.pit import (
    _find_best_perm_by_exhaustive_method,
    _find_best_perm_by_linear_sum_assignment,
)

from slotaudio import build
from slotaudio.objectives.costs import snr
from slotaudio.plotting import save, slot_colour

try:
    from asteroid.losses import PITLossWrapper, pairwise_neg_snr
except ImportError:
    PITLossWrapper = None

Times = Mapping[tuple[int, int], Mapping[str, float]]
"""Seconds of each contestant, by slots and batch."""

EXHAUSTIVE, HUNGARIAN = build("matcher", "exhaustive"), build("matcher", "hungarian")


def ours(slots: int) -> tuple[str, Callable[[Tensor], Tensor]]:
    """Return the matcher that the documentation recommends for so many slots."""
    return ("exhaustive", EXHAUSTIVE) if slots <= 6 else ("hungarian", HUNGARIAN)


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
    """Return the least time of each, taking turns for `budget` seconds, three rounds at least.

    The order is another one in each round: whoever comes after a peer that fills the caches is slower by microseconds.
    """
    order, shuffle = list(contestants), random.Random(0).shuffle
    times: dict[str, list[float]] = {name: [] for name in contestants}
    start = time.process_time()
    while len(times["slotaudio"]) < 3 or time.process_time() - start < budget:
        shuffle(order)
        for name in order:
            before = time.process_time()
            contestants[name]()
            times[name].append(time.process_time() - before)
    return {name: min(values) for name, values in times.items()}


def backward(loss: Callable[[Tensor, Tensor], Tensor], estimates: Tensor, sources: Tensor) -> Callable[[], None]:
    """Return a function that computes the loss and its gradient."""

    def run() -> None:
        estimates.grad = None
        loss(estimates, sources).backward()

    return run


def table(title: str, names: list[str], times: Times) -> str:
    """Return a table in Markdown: microseconds, and how many times slower the fastest peer and torchmetrics are."""
    head = (
        f"| slots | batch | {' | '.join(f'{name} µs' for name in names)} | fastest peer / ours | torchmetrics / ours |"
    )
    lines = [f"## {title}", "", head, "|---" * (len(names) + 4) + "|"]
    for (slots, batch), found in times.items():
        cells = " | ".join(f"{1e6 * found[name]:.0f}" if name in found else "-" for name in names)
        fastest = min(value for name, value in found.items() if name != "slotaudio") / found["slotaudio"]
        ratio = found["torchmetrics"] / found["slotaudio"]
        lines.append(f"| {slots} | {batch} | {cells} | {fastest:.1f} | {ratio:.1f} |")
    return "\n".join(lines)


def figure(finding: Times, whole: Times) -> Figure:
    """Draw time against slots: of one problem, of the largest batch, and of the loss at its commonest batch."""
    drawn = Figure(figsize=(11, 3.8), dpi=140, layout="constrained")
    batches = [batch for _, batch in finding]
    middle = max((batch for _, batch in whole), key=lambda batch: ([each for _, each in whole].count(batch), batch))
    panels = [("assignment", finding, min(batches)), ("assignment", finding, max(batches)), ("loss", whole, middle)]
    names = list(dict.fromkeys(name for found in finding.values() for name in found))
    for axes, (title, times, batch) in zip(drawn.subplots(1, 3), panels, strict=True):
        for number, name in enumerate(names):
            points = [
                (slots, 1e6 * found[name]) for (slots, each), found in times.items() if each == batch and name in found
            ]
            style = {"linewidth": 2.6, "zorder": 3} if name == "slotaudio" else {"linewidth": 1.4}
            if points:
                axes.plot(
                    *zip(*points, strict=True), color=slot_colour(number), marker="o", markersize=4, label=name, **style
                )
        axes.set(title=f"{title}, batch {batch}", xlabel="slots = sources", yscale="log")
        axes.set_xticks(sorted({slots for slots, _ in finding}))
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
    drawn.axes[0].set_ylabel("microseconds")
    drawn.legend(
        *drawn.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(names), frameon=False
    )
    return drawn


def measure(options: argparse.Namespace) -> tuple[Times, Times]:
    """Return the times of finding the assignment, and of the whole loss."""
    finding, whole = {}, {}
    for slots, batch in ((slots, batch) for slots in options.slots for batch in options.batch):
        generator = torch.Generator().manual_seed(slots * 1000 + batch)
        cost = torch.randn(batch, slots, slots, generator=generator)
        contestants = {name: partial(find, cost) for name, find in finders(slots).items()}
        best = cost.gather(1, ours(slots)[1](cost)[:, None]).sum()
        assert np.isclose(float(best), float(cost.gather(1, loop(cost)[:, None]).sum()), rtol=1e-4)
        finding[slots, batch] = least_seconds(contestants, options.budget)
        print("assignment", slots, batch, finding[slots, batch], flush=True)
        if batch * slots * slots > options.most_pairs:
            continue  # torchmetrics computes every pair of waves by itself
        estimates = torch.randn(batch, slots, options.samples, generator=generator, requires_grad=True)
        sources = torch.randn(batch, slots, options.samples, generator=generator)
        runs = {name: backward(loss, estimates, sources) for name, loss in losses(slots).items()}
        whole[slots, batch] = least_seconds(runs, options.budget)
        print("loss", slots, batch, whole[slots, batch], flush=True)
    return finding, whole


def main() -> None:
    """Measure, print both tables, fill the page and draw the figure if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, nargs="+", default=[2, 3, 4, 6, 8, 12, 16])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    parser.add_argument("--samples", type=int, default=16000, help="length of the waves of the whole loss")
    parser.add_argument("--most-pairs", type=int, default=2048, help="of waves in a batch, for the whole loss")
    parser.add_argument("--budget", type=float, default=1.0, help="seconds for each row, three rounds at least")
    parser.add_argument("--page", type=Path, help="Markdown file whose tables are replaced")
    parser.add_argument("--figure", type=Path, help="picture to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    finding, whole = measure(options)
    title = f"The whole loss of waves of {options.samples} samples, forward and backward"
    text = table("Finding the assignment", list(finders(2)), finding) + "\n\n" + table(title, list(losses(2)), whole)
    print(text)
    if options.page:
        fill(options.page, text)
    if options.figure:
        save(figure(finding, whole), options.figure, force=True)


if __name__ == "__main__":
    main()
