r"""Where the time of one training step goes, and how much of the machine's matrix rate it reaches.

    python benchmarks/step_profile.py                                  # paper size; batch 64 on a GPU, 1 on a CPU
    python benchmarks/step_profile.py --recipe band-split --batch 4 --variants fp32 bf16
    python benchmarks/step_profile.py --recipe band-split --batch 4 --variants fp32 bf16 --inference
    python benchmarks/step_profile.py --device cuda --batch 64         # the same table on a GPU
    python benchmarks/step_profile.py --device cuda --recipe band-split-noisy --batch 75 --seconds 5 --variants bf16
    python benchmarks/step_profile.py --device cuda --recipe band-split-noisy --batch 75 --seconds 5 --variants bf16 \
        --pytorchs-own                                                 # without kernels of ours

The matrix rate is that of one large product, measured here, in the same precision and with the same number of threads.
On a CPU all times are processor time, so that other work on the machine does not count. A step is what training does:
objective, backward, clipping, optimiser; the data are ready. Inference is the model, its masks and the inverse
transform. Each variant adds to those before. Operations are products and convolutions as PyTorch's FlopCounterMode
counts them, and those of LSTMs, which it does not see: 2 * 4 * hidden * (input + hidden) * directions for each cell of
the grid, and twice that backwards. Prints Markdown.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from slotaudio.half_precision import pytorchs_own
from slotaudio.recipe import Recipe, load_recipe
from slotaudio.training.module import Training
from slotaudio.training.speed import tune
from slotaudio.types import Batch

VARIANTS = {
    "fp32": ["train.precision=fp32"],
    "bf16": ["train.precision=bf16"],
    "channels_last": ["train.channels_last=true"],
    "fused": ["train.fused=true"],
    "exhaustive": ["matcher={name='exhaustive', check=false}"],
    "compile": ["train.compile=true"],
}

KINDS = {
    "recurrent layers": ("rnn", "lstm"),
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
    parser.add_argument("--inference", action="store_true", help="separating instead of training")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a clip, for models of any length")
    parser.add_argument("--pytorchs-own", action="store_true", help="without the kernels of slotaudio.half_precision")
    options = parser.parse_args()
    if options.pytorchs_own:
        with pytorchs_own():
            run(options)
    else:
        run(options)


def run(options: argparse.Namespace) -> None:
    """Measure each variant and print the tables."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    gpu = device.type != "cpu"
    batch, steps = options.batch or (64 if gpu else 1), options.steps or (20 if gpu else 2)
    rates = {kind: matrix_rate(device, kind) for kind in (torch.float32, torch.bfloat16)}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {options.threads} thread(s)"
    print(f"`{options.recipe}`, batch {batch}, {name}; torch {torch.__version__}; one large product: ", end="")
    print(", ".join(f"{rate / 1e12:.2f} TFLOP/s in {str(kind)[6:]}" for kind, rate in rates.items()) + "\n")
    work = separator if options.inference else stepper
    print("| variant | seconds per step | against the first | TFLOP per step | TFLOP/s | of the product's rate |")
    print("|---|---|---|---|---|---|", flush=True)
    changes, first, tables = [*options.changes, f"train.batch_size={batch}"], 0.0, []
    flop = count(work(load_recipe(options.recipe, changes), device, batch, options.seconds))
    for variant in options.variants:
        changes += VARIANTS[variant]
        recipe = load_recipe(options.recipe, changes)
        step = work(recipe, device, batch, options.seconds)
        seconds = measure(step, device, steps)
        first = first or seconds
        rate = flop / seconds
        peak = rates[torch.bfloat16 if recipe.train.precision == "bf16" else torch.float32]
        print(
            f"| {'' if variant == options.variants[0] else '+ '}{variant} | {seconds:.3f} | {first / seconds:.2f} | "
            f"{flop / 1e12:.3f} | {rate / 1e12:.3f} | {100 * rate / peak:.0f} % |",
            flush=True,
        )
        tables.append(shares(step, device))
        del step
    print("\nShare of the time by what is done:\n")
    print("| |" + "".join(f" {variant} |" for variant in options.variants))
    print("|---|" + "---|" * len(tables))
    for kind in (*KINDS, "element by element"):
        print(f"| {kind} |" + "".join(f" {100 * table.get(kind, 0):.0f} % |" for table in tables))


def stepper(recipe: Recipe, device: torch.device, size: int, seconds: float = 2.0) -> Callable[[], None]:
    """Return a function that does one training step on a batch that lies ready."""
    options = recipe.train
    module, batch = prepared(recipe, device, size, seconds)
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


def separator(recipe: Recipe, device: torch.device, size: int, seconds: float) -> Callable[[], None]:
    """Return a function that separates a batch that lies ready."""
    module, batch = prepared(recipe, device, size, seconds)
    model = module.model.eval().requires_grad_(False)
    tune(model, recipe.train)

    def separate() -> None:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=recipe.train.precision == "bf16"):
            model.sources(model(batch.mixture[:, None]), len(batch.mixture))

    return separate


def prepared(recipe: Recipe, device: torch.device, size: int, seconds: float = 2.0) -> tuple[Training, Batch]:
    """Return a recipe's model with its objective, and a batch of noise."""
    torch.manual_seed(0)
    model = recipe.model()
    if device.type != "cpu":
        model.to(device)
    samples = model.window_samples or round(seconds * model.sample_rate)
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


def count(step: Callable[[], None]) -> int:
    """Return the floating point operations of a step: products, convolutions and LSTMs."""
    recurrent = 0

    def add(module: nn.Module, inputs: tuple[torch.Tensor, ...], _: object) -> None:
        nonlocal recurrent
        if isinstance(module, nn.LSTM):
            flop = 2 * sum(weight.numel() for name, weight in module.named_parameters() if name.startswith("weight"))
            recurrent += flop * inputs[0][..., 0].numel() * (3 if torch.is_grad_enabled() else 1)

    hook = nn.modules.module.register_module_forward_hook(add)
    with pytorchs_own(), FlopCounterMode(display=False) as counter:
        step()
    hook.remove()
    return counter.get_total_flops() + recurrent


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
