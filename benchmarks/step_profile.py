"""Where the time of one training step goes, and how much of the machine's matrix rate it reaches.

    python benchmarks/step_profile.py                                  # paper size; batch 64 on a GPU, 1 on a CPU
    python benchmarks/step_profile.py --recipe band-split --batch 8 --variants fp32 bf16
    python benchmarks/step_profile.py --device cuda --batch 64         # the same table on a GPU

The matrix rate is that of one large product, measured here, in the same precision and with the same number of threads.
On a CPU all times are processor time, so that other work on the machine does not count. A step is what training does:
objective, backward, clipping, optimiser; the data are ready. Each variant adds to those before. Prints Markdown.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from slotaudio.recipe import Recipe, load_recipe
from slotaudio.training.module import Training
from slotaudio.training.speed import tune
from slotaudio.types import Batch

VARIANTS = {
    "fp32": [],
    "bf16": ["train.precision=bf16"],
    "channels_last": ["train.channels_last=true"],
    "fused": ["train.fused=true"],
    "exhaustive": ["matcher={name='exhaustive', check=false}"],
    "compile": ["train.compile=true"],
}

KINDS = {
    "convolutions": ("conv",),
    "matrix products": ("mm", "linear", "matmul", "attention", "einsum"),
    "normalisation": ("norm",),
    "optimiser": ("adam", "optimizer", "foreach"),
    "transforms": ("fft", "stft", "overlap"),
    "copies and casts": ("copy", "to", "contiguous", "clone", "cat", "memcpy", "convert"),
}
"""Names of operations, or parts of them, by what they do; the rest is element by element."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="audioslots")
    parser.add_argument("--set", dest="changes", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    parser.add_argument("--steps", type=int, help="measured steps of each variant, of which the median counts")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    gpu = device.type != "cpu"
    batch, steps = options.batch or (64 if gpu else 1), options.steps or (20 if gpu else 2)
    rates = {kind: matrix_rate(device, kind) for kind in (torch.float32, torch.bfloat16)}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {options.threads} thread(s)"
    print(f"`{options.recipe}`, batch {batch}, {name}; torch {torch.__version__}; one large product: ", end="")
    print(", ".join(f"{rate / 1e12:.2f} TFLOP/s in {str(kind)[6:]}" for kind, rate in rates.items()) + "\n")
    print("| variant | seconds per step | against the first | TFLOP per step | TFLOP/s | of the product's rate |")
    print("|---|---|---|---|---|---|", flush=True)
    changes, first, tables = [*options.changes, f"train.batch_size={batch}"], 0.0, []
    flop = count(load_recipe(options.recipe, changes), batch)
    for variant in options.variants:
        changes += VARIANTS[variant]
        recipe = load_recipe(options.recipe, changes)
        step = stepper(recipe, device, batch)
        seconds = measure(step, device, steps)
        first = first or seconds
        rate = flop / seconds
        peak = rates[torch.bfloat16 if recipe.train.precision == "bf16" else torch.float32]
        print(
            f"| {'' if variant == options.variants[0] else '+ '}{variant} | {seconds:.3f} | {first / seconds:.2f} | "
            f"{flop / 1e12:.2f} | {rate / 1e12:.3f} | {100 * rate / peak:.0f} % |",
            flush=True,
        )
        tables.append(shares(step, device))
        del step
    print("\nShare of the time by what is done:\n")
    print("| |" + "".join(f" {variant} |" for variant in options.variants))
    print("|---|" + "---|" * len(tables))
    for kind in (*KINDS, "element by element"):
        print(f"| {kind} |" + "".join(f" {100 * table.get(kind, 0):.0f} % |" for table in tables))


def stepper(recipe: Recipe, device: torch.device, size: int) -> Callable[[], None]:
    """Return a function that does one training step on a batch that lies ready."""
    options = recipe.train
    module, batch = prepared(recipe, device, size)
    tune(module.model, options)
    optimizer = module.configure_optimizers()["optimizer"]

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16"):
            loss = module.objective(module.model, batch)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), options.gradient_clip or float("inf"))
        optimizer.step()
        optimizer.zero_grad()

    return step


def prepared(recipe: Recipe, device: torch.device, size: int) -> tuple[Training, Batch]:
    """Return a recipe's model with its objective, and a batch of noise."""
    torch.manual_seed(0)
    model = recipe.model()
    if device.type != "cpu":
        model.to(device)
    samples = model.window_samples or round(2.0 * model.sample_rate)
    sources = 0.05 * torch.randn(size, min(2, model.slots), model.frontend.channels, samples, device=device)
    return Training(model, recipe.objective(model), recipe.train), Batch(sources.sum(1), sources)


def measure(step: Callable[[], None], device: torch.device, steps: int) -> float:
    """Return the median seconds of a step, after one that does not count (on a GPU: five)."""
    seconds, warm_up = [], 1 if device.type == "cpu" else 5
    for number in range(steps + warm_up):
        started = now(device)
        step()
        if number >= warm_up:
            seconds.append(now(device) - started)
    return statistics.median(seconds)


def now(device: torch.device) -> float:
    """Return the time in seconds: the processor's, or the clock when an accelerator has done all it was told."""
    if device.type == "cpu":
        return time.process_time() / torch.get_num_threads()
    torch.accelerator.synchronize()
    return time.perf_counter()


def matrix_rate(device: torch.device, kind: torch.dtype) -> float:
    """Return floating point operations per second of a product of two large square matrices."""
    size = 2048 if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device).to(kind) for _ in range(2))

    def product() -> None:
        left @ right

    return 2 * size**3 / measure(product, device, 5)


def count(recipe: Recipe, size: int) -> int:
    """Return the floating point operations of a step: products and convolutions, counted without computing them."""
    with FakeTensorMode(), FlopCounterMode(display=False) as counter:
        module, batch = prepared(recipe, torch.device("cpu"), size)
        module.model.matcher = in_order  # what it finds costs nothing here, and cannot be found from no numbers
        module.objective(module.model, batch)["loss"].backward()
    return counter.get_total_flops()


def in_order(cost: torch.Tensor) -> torch.Tensor:
    """Give every source the slot of its own number."""
    return torch.arange(cost.shape[2], device=cost.device).expand(len(cost), -1)


def shares(step: Callable[[], None], device: torch.device) -> dict[str, float]:
    """Return what share of a step's time goes to which kind of operation."""
    gpu = device.type != "cpu"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    with profile(activities=activities) as profiler:
        step()
        now(device)
    found: dict[str, float] = {}
    for event in profiler.key_averages():
        kind = next((kind for kind, parts in KINDS.items() if _matches(event.key, parts)), "element by element")
        spent = event.self_device_time_total if gpu else event.self_cpu_time_total
        found[kind] = found.get(kind, 0.0) + spent
    total = sum(found.values())
    return {kind: spent / total for kind, spent in found.items()}


def _matches(key: str, parts: tuple[str, ...]) -> bool:
    words = key.lower().removeprefix("aten::").strip("_")
    return any(part == words or (len(part) > 2 and part in words) or (part == "mm" and "mm" in words) for part in parts)


if __name__ == "__main__":
    main()
