"""Factored against naive first layer of the broadcast decoder, at the size of AudioSlots.

    python benchmarks/first_decoder_layer.py --output docs/results/first_decoder_layer.md

The naive layer does what the paper's words say: copy each slot of 4096 numbers to all 256 x 64 cells, append the
position code, multiply. The factored one is what slotaudio does. Both give the same numbers (checked here). The
decoder rows run all layers without gradients, as in separation, where slotaudio's own goes piece by piece.

Every measurement runs in a process of its own. Memory is what the process (on CUDA: the allocator) peaks at above
what it held when weights and slots were in place; and that less the result, which both must hold.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from slotaudio.decoders.spatial_broadcast import SpatialBroadcast

FREQ, FRAMES, SLOT_DIM = 256, 64, 4096
CASES = ("naive layer", "factored layer", "naive decoder", "factored decoder")


def naive_first_layer(decoder: SpatialBroadcast, vectors: Tensor) -> Tensor:
    """Make the F x T x (d + e) tensor and multiply it."""
    places = decoder.places(FREQ, FRAMES, vectors.device)
    cells = torch.cat([vectors[:, None].expand(-1, len(places), -1), places.expand(len(vectors), -1, -1)], dim=-1)
    weight = torch.cat([decoder.from_slot.weight, decoder.from_place.weight], dim=1)
    return nn.functional.linear(cells, weight, decoder.from_place.bias)


def factored_first_layer(decoder: SpatialBroadcast, vectors: Tensor) -> Tensor:
    """Multiply slots and places apart and add the products."""
    return decoder.from_slot(vectors)[:, None] + decoder.from_place(decoder.places(FREQ, FRAMES, vectors.device))


def naive_decoder(decoder: SpatialBroadcast, vectors: Tensor) -> Tensor:
    """Run all layers on the naive first one."""
    cells = torch.relu_(naive_first_layer(decoder, vectors))
    for layer in decoder.hidden:
        cells = torch.relu_(layer(cells))
    return decoder.to_values(cells)


def factored_decoder(decoder: SpatialBroadcast, vectors: Tensor) -> Tensor:
    """Run the decoder as it is."""
    places = decoder.places(FREQ, FRAMES, vectors.device)
    return decoder.evaluate(decoder.from_slot(vectors)[:, None], places)


RUNS: dict[str, Callable[[SpatialBroadcast, Tensor], Tensor]] = dict(
    zip(CASES, (naive_first_layer, factored_first_layer, naive_decoder, factored_decoder), strict=True)
)


@torch.no_grad()
def measure(case: str, slots: int, device: str, repeats: int) -> dict[str, float]:
    """Return seconds (median of `repeats`), peak bytes above the start, and the size and a sum of the result."""
    torch.manual_seed(0)
    decoder = SpatialBroadcast(SLOT_DIM).to(device)
    vectors = torch.randn(slots, SLOT_DIM, device=device)
    decoder.from_slot(vectors)  # libraries load now, not in the measurement
    base = peak(device)
    run, seconds = RUNS[case], []
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        output = run(decoder, vectors)
        synchronise(device)
        seconds.append(time.perf_counter() - start)
        highest = peak(device)
        total, result = output[:, ::97].double().sum().item(), output.nbytes
        del output
    return {"seconds": statistics.median(seconds), "bytes": highest - base, "result": result, "sum": total}


def peak(device: str) -> int:
    """Return the most bytes held so far."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def synchronise(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def table(results: dict[str, dict[str, float]], slots: int, device: str) -> str:
    """Return the results as markdown."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} thread(s)"
    lines = [
        f"First layer of the broadcast decoder: {slots} slots of {SLOT_DIM}, {FREQ} x {FRAMES} cells, "
        f"hidden width 1536, float32, {name}, torch {torch.__version__}.",
        "",
        "| what | time | peak memory | beyond the result |",
        "|---|---|---|---|",
    ]
    for what in ("layer", "decoder"):
        naive, factored = results[f"naive {what}"], results[f"factored {what}"]
        if abs(naive["sum"] - factored["sum"]) > 1e-3 * (1 + abs(naive["sum"])):
            raise SystemExit(f"the two {what}s disagree: {naive['sum']} and {factored['sum']}")
        for kind, row in (("naive", naive), ("factored", factored)):
            beyond = (row["bytes"] - row["result"]) / 2**20
            lines.append(
                f"| {kind} {what} | {1e3 * row['seconds']:.0f} ms | {row['bytes'] / 2**20:.0f} MiB | {beyond:.0f} MiB |"
            )
        speed, size = naive["seconds"] / factored["seconds"], naive["bytes"] / factored["bytes"]
        beyond = (naive["bytes"] - naive["result"]) / (factored["bytes"] - factored["result"])
        lines.append(f"| **ratio, {what}** | **{speed:.1f}** | **{size:.1f}** | **{beyond:.1f}** |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slots", type=int, default=8, help="slots in all: two for each of four mixtures by default")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options.case, options.slots, options.device, options.repeats)))
        return
    results = {}
    for case in CASES:
        command = [sys.executable, __file__, "--case", case, "--slots", str(options.slots), "--device", options.device]
        command += ["--repeats", str(options.repeats)]
        results[case] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    text = table(results, options.slots, options.device)
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
