"""What several processes gain: measured with two on this CPU, reckoned for eight and sixty-four GPUs.

    python benchmarks/scaling.py                      # both tables
    python benchmarks/scaling.py --plan-only --achieved 300e12 --within 400e9 --between 25e9

Measured: every process takes the same number of mixtures per step ("weak scaling"), DDP over gloo. What counts is
the processor time of each process: its wait for the other does not, which makes the figure meaningful on a busy
machine; what it spends on copying and adding gradients does.

Reckoned: a ring all-reduce sends 2 (N - 1) / N of the gradients' bytes over the slowest link of each GPU. The worst
case waits for all of it after the backward pass, the best hides it behind that pass, two thirds of a step. The paper's
batch of 64 is shared, so that a step stays what it is. Prints Markdown.
"""

import argparse
import os
import socket
import statistics
import time

import torch
from step_profile import count, prepared, stepper
from torch import multiprocessing
from torch.nn.parallel import DistributedDataParallel

from slotaudio.recipe import load_recipe

SMALL = ["train.precision=fp32", "data.train.name=synthetic"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="audioslots-small", help="that is measured")
    parser.add_argument("--batch", type=int, default=4, help="mixtures of each measured process")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--plan-only", action="store_true")
    parser.add_argument("--planned", default="audioslots", help="recipe that is reckoned")
    parser.add_argument("--achieved", type=float, default=400e12, help="operations per second of one GPU (assumed)")
    parser.add_argument(
        "--within", type=float, default=400e9, help="bytes per second between GPUs of a machine (assumed)"
    )
    parser.add_argument(
        "--between", type=float, default=50e9, help="bytes per second of a GPU to other machines (assumed)"
    )
    options = parser.parse_args()
    if not options.plan_only:
        measured(options.recipe, options.batch, options.steps)
    plan(options.planned, options.achieved, options.within, options.between)


def measured(recipe: str, batch: int, steps: int) -> None:
    """Print the processor time of a step in one process and in two."""
    print(f"`{recipe}`, {batch} mixtures per process, one thread each, torch {torch.__version__}\n")
    print("| processes | processor seconds of a step, each | mixtures per processor second | efficiency |")
    print("|---|---|---|---|", flush=True)
    alone = 0.0
    for processes in (1, 2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        context = multiprocessing.get_context("spawn")
        results = context.SimpleQueue()
        arguments = (processes, port, recipe, batch, steps, results)
        multiprocessing.start_processes(worker, arguments, nprocs=processes, start_method="spawn")
        seconds = statistics.mean(results.get() for _ in range(processes))
        alone = alone or seconds
        print(f"| {processes} | {seconds:.3f} | {batch / seconds:.2f} | {100 * alone / seconds:.0f} % |", flush=True)
    print()


def worker(rank: int, processes: int, port: int, recipe: str, batch: int, steps: int, results: object) -> None:
    """Take some steps and report the median processor seconds of one."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=processes)
    module, data = prepared(load_recipe(recipe, SMALL), torch.device("cpu"), batch)
    optimizer = module.configure_optimizers()["optimizer"]
    model = DistributedDataParallel(Losses(module)) if processes > 1 else Losses(module)
    seconds = []
    for _ in range(steps + 1):
        started = time.process_time()
        model(data).backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.process_time() - started)
    results.put(statistics.median(seconds[1:]))  # type: ignore[attr-defined]
    torch.distributed.destroy_process_group()


class Losses(torch.nn.Module):
    """A model and its objective as one module, whose output is the loss."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: object) -> torch.Tensor:
        return self.module.objective(self.module.model, batch)["loss"]


def plan(name: str, achieved: float, within: float, between: float) -> None:
    """Print what more GPUs would bring, from counted operations and weights."""
    recipe = load_recipe(name)
    batch, steps = recipe.train.batch_size, recipe.train.steps
    one, two = (
        count(stepper(load_recipe(name, [f"train.batch_size={size}"]), torch.device("cpu"), size)) for size in (1, 2)
    )
    flop = one + (batch - 1) * (two - one)  # what a step does once, for positions, counts once
    with torch.device("meta"):
        weights = sum(weight.numel() for weight in recipe.model().parameters())
    print(
        f"`{name}`: {weights / 1e6:.1f} M weights ({4 * weights / 1e6:.0f} MB of gradients in float32), "
        f"{flop / 1e12:.1f} TFLOP per step of {batch}. Assumed: {achieved / 1e12:.0f} TFLOP/s achieved by each GPU, "
        f"{within / 1e9:.0f} GB/s within a machine of eight, {between / 1e9:.0f} GB/s to others\n"
    )
    print("| GPUs | mixtures each | computing | sent by each | on the way | efficiency | hours for all steps |")
    print("|---|---|---|---|---|---|---|")
    for gpus in (1, 8, 64):
        computing = flop / gpus / achieved
        sent = 2 * (gpus - 1) / gpus * 4 * weights
        way = sent / (within if gpus <= 8 else between)
        shown = max(0.0, way - 2 / 3 * computing)
        worst, best = computing / (computing + way), computing / (computing + shown)
        hours = [steps * (computing + extra) / 3600 for extra in (shown, way)]
        print(
            f"| {gpus} | {batch / gpus:g} | {1e3 * computing:.1f} ms | {sent / 1e6:.0f} MB | {1e3 * way:.2f} ms | "
            f"{100 * worst:.0f} to {100 * best:.0f} % | {hours[0]:.1f} to {hours[1]:.1f} |"
        )


if __name__ == "__main__":
    main()
