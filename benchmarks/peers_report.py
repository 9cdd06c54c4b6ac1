"""Tables and figures of what peers.py and peers_speed.py have measured, as much as there is.

    python benchmarks/peers_report.py runs/peers --page docs/results/peers.md --figures docs/results

In the page, what stands between the lines <!-- tables --> and <!-- /tables --> is replaced; the figures are
peers_training.png, peers_speed.png and peers_memory.png.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contest import read
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from page import fill
from peers import CONTESTANTS

from slotaudio.plotting import SLOT_COLOURS, save, slot_colour

Runs = Mapping[str, Sequence[dict[str, Any]]]
"""Lines by contestant."""


def main() -> None:
    """Print the tables, fill the page and draw the figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of runs.jsonl and speed.jsonl")
    parser.add_argument("--page", type=Path, help="Markdown file whose tables are replaced")
    parser.add_argument("--figures", type=Path, help="folder for the pictures")
    options = parser.parse_args()
    runs, speeds = (grouped(read(options.folder / name)) for name in ("runs.jsonl", "speed.jsonl"))
    if not runs and not speeds:
        parser.error(f"{options.folder} holds no finished runs of peers.py or peers_speed.py")
    text = "\n\n".join(([trainings(runs)] if runs else []) + ([separations(speeds)] if speeds else []))
    print(text)
    if options.page:
        fill(options.page, text)
    if options.figures:
        figures = {"peers_training": curves(runs)} if runs else {}
        figures |= {"peers_memory": memory(speeds)} if speeds else {}
        figures |= {"peers_speed": trade(speeds, runs)} if runs and speeds else {}
        for name, figure in figures.items():
            print(save(figure, options.figures / f"{name}.png", force=True))


def grouped(lines: Sequence[dict[str, Any]]) -> Runs:
    """Return the lines of each contestant, in the order of peers.py."""
    found = {name: [line for line in lines if line["name"] == name] for name in CONTESTANTS}
    return {name: group for name, group in found.items() if group}


def last(runs: Sequence[dict[str, Any]]) -> float:
    """Return the mean over the seeds of SI-SDRi at the end."""
    return statistics.mean(run["curve"][-1][2] for run in runs)


def trainings(runs: Runs) -> str:
    """Return the table of training."""
    points = next(iter(runs.values()))[0]["curve"]
    head = " | ".join(f"{minutes:.1f} min" for minutes, _, _ in points)
    lines = [f"| model | parameters | seeds | s of audio per s | steps | {head} |", "|---" * (5 + len(points)) + "|"]
    for name, group in runs.items():
        speed, steps = (statistics.mean(run[key] for run in group) for key in ("audio_per_second", "steps"))
        values = [[run["curve"][i][2] for run in group] for i in range(len(points))]
        cells = " | ".join(spread(column) for column in values)
        weights = group[0]["parameters"] / 1e6
        lines.append(
            f"| {CONTESTANTS[name].title} | {weights:.2f} M | {len(group)} | {speed:.1f} | {steps:.0f} | {cells} |"
        )
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Return the mean, and the least and the most where there are several."""
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def separations(speeds: Runs) -> str:
    """Return the table of separating; estimates have a tilde."""
    lengths = sorted({line["seconds"] for group in speeds.values() for line in group})
    names = [f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min" for seconds in lengths]
    factors, peaks = (" | ".join(f"{what}, {name}" for name in names) for what in ("RTF", "MB"))
    lines = [f"| model | {factors} | {peaks} | MB per minute |", "|---" * (2 + 2 * len(lengths)) + "|"]
    for name, group in speeds.items():
        by_length = {line["seconds"]: line for line in group}
        found = [by_length.get(seconds) for seconds in lengths]
        cells = [("not run" if line["estimated"] else f"{line['factor']:.3f}") if line else "" for line in found]
        cells += [f"{'~' if line['estimated'] else ''}{line['peak']:.0f}" if line else "" for line in found]
        lines.append(f"| {CONTESTANTS[name].title} | {' | '.join(cells)} | {growth(group):.0f} |")
    return "\n".join(lines)


def growth(group: Sequence[dict[str, Any]]) -> float:
    """Return by how many megabytes the peak grows with each minute, between the two longest that were run."""
    run = sorted((line for line in group if not line["estimated"]), key=lambda line: line["seconds"])[-2:]
    return 60 * (run[-1]["peak"] - run[0]["peak"]) / max(1.0, run[-1]["seconds"] - run[0]["seconds"])


def panel(xlabel: str, ylabel: str, wide: float = 7.4) -> tuple[Figure, Axes]:
    """Return an empty figure with labels."""
    figure = Figure(figsize=(wide, 4.4), dpi=140, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    return figure, axes


def style(name: str) -> dict[str, Any]:
    """Return colour and line of a contestant, the same in all figures.

    One with the lesson is dashed, and one whose colour another has already is dotted.
    """
    plain = name.removesuffix("-lesson")
    number = [other for other in CONTESTANTS if not other.endswith("-lesson")].index(plain)
    line = "-" if number < len(SLOT_COLOURS) else ":"
    return {"color": slot_colour(number), "linestyle": line if plain == name else "--"}


def curves(runs: Runs) -> Figure:
    """Draw SI-SDRi against training time: the mean of the seeds, each seed thin."""
    figure, axes = panel("processor minutes of training, one thread", "SI-SDRi on unseen speakers (dB)", 8.6)
    for name, group in runs.items():
        minutes = [point[0] for point in group[0]["curve"]]
        values = [[point[2] for point in run["curve"]] for run in group]
        for each in values if len(values) > 1 else ():
            axes.plot(minutes, each, **style(name), linewidth=0.8, alpha=0.4)
        means = [statistics.mean(column) for column in zip(*values, strict=True)]
        title = CONTESTANTS[name].title
        axes.plot(minutes, means, **style(name), linewidth=2.2, marker="o", markersize=4, label=title)
    axes.axhline(0, color="black", linewidth=0.6)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def trade(speeds: Runs, runs: Runs) -> Figure:
    """Draw the real-time factor of the longest recording that all could take against SI-SDRi."""
    minutes = next(iter(runs.values()))[0]["minutes"]
    figure, axes = panel(
        "seconds of one thread for a second of audio (real-time factor, 60 s)",
        f"SI-SDRi after {minutes:g} minutes of training (dB)",
    )
    heights: list[float] = []
    for name in speeds:
        factor = next(
            (line["factor"] for line in speeds[name] if line["seconds"] == 60 and not line["estimated"]), None
        )
        if factor is not None and name in runs:
            axes.scatter(factor, last(runs[name]), color=style(name)["color"], s=60, zorder=3)
            crowded = any(abs(last(runs[name]) - height) < 0.3 for height in heights)
            heights.append(last(runs[name]))
            axes.annotate(
                CONTESTANTS[name].title,
                (factor, last(runs[name])),
                xytext=(6, -12 if crowded else 5),  # below the point where another name may be above
                textcoords="offset points",
                fontsize=8,
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.1, y=0.1)
    axes.set_xlim(right=3 * axes.get_xlim()[1])  # room for the name of the slowest
    axes.axhline(0, color="black", linewidth=0.6)
    return figure


def memory(speeds: Runs) -> Figure:
    """Draw peak memory against the length of the recording; estimates are hollow."""
    figure, axes = panel("length of the recording (s)", "peak memory (MB)", 8.6)
    for name, group in speeds.items():
        lines = sorted(group, key=lambda line: line["seconds"])
        x, y = ([line[key] for line in lines] for key in ("seconds", "peak"))
        axes.plot(x, y, **style(name), linewidth=1.6, label=CONTESTANTS[name].title)
        edge = style(name)["color"]
        for line in lines:
            face = "white" if line["estimated"] else edge
            axes.scatter(line["seconds"], line["peak"], facecolor=face, edgecolor=edge, zorder=3)
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(sorted({line["seconds"] for group in speeds.values() for line in group}))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    main()
