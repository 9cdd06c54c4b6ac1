"""Tables and figure of the runs of bottlenecks.py, as many as there are.

python benchmarks/bottlenecks_report.py RUNS --figure docs/results/bottlenecks.png --page docs/results/bottlenecks.md

In the page, what stands between the lines <!-- tables --> and <!-- /tables --> is replaced.
"""

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slotaudio.plotting import save, slot_colour

Runs = Sequence[Mapping[str, Any]]

WITHIN = {
    "window_si_sdri": ("SI-SDRi of a window", "{:.2f}", 1.0),
    "si_sdri reference": ("ordered by the sources", "{:.2f}", 1.0),
    "si_sdri blind": ("joined blindly", "{:.2f}", 1.0),
    "collapsed": ("collapsed", "{:.0f} %", 100.0),
    "attention_overlap": ("attention overlap", "{:.2f}", 1.0),
    "slot_similarity": ("slot cosine", "{:.2f}", 1.0),
}
THROUGH = {
    "talk right_windows adjacent-given": ("right windows", "{:.0f} %", 100.0),
    "talk right_joins adjacent-given": ("right joins", "{:.0f} %", 100.0),
    "talk swaps_per_minute adjacent-given": ("swaps per minute", "{:.0f}", 1.0),
    "talk si_sdri adjacent-given": ("SI-SDRi", "{:.2f}", 1.0),
    "talk si_sdri blind": ("SI-SDRi, windows joined blindly", "{:.2f}", 1.0),
}
PANELS = {
    "window_si_sdri": ("SI-SDRi of a window (dB)", None),
    "collapsed": ("collapsed windows (share)", (0.0, 1.02)),
    "attention_overlap": ("attention overlap (share)", (0.0, 1.02)),
    "slot_similarity": ("cosine of the slots", (None, 1.02)),
}


def main() -> None:
    """Print the tables and save the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="runs.jsonl of bottlenecks.py")
    parser.add_argument("--figure", type=Path, help="picture to write")
    parser.add_argument("--page", type=Path, help="Markdown file whose tables are replaced")
    options = parser.parse_args()
    runs = read(options.runs)
    if not runs:
        parser.error(f"{options.runs} holds no finished runs")
    print(tables(runs))
    if options.page:
        before, _, rest = options.page.read_text(encoding="utf-8").partition("<!-- tables -->\n")
        after = rest.partition("<!-- /tables -->\n")[2]
        filled = f"{before}<!-- tables -->\n{tables(runs)}\n<!-- /tables -->\n{after}"
        options.page.write_text(filled, encoding="utf-8")
    if options.figure:
        print(save(curves(runs), options.figure, force=True))


def read(path: Path) -> list[dict[str, Any]]:
    """Return the finished runs; none if the file is missing."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def tables(runs: Runs) -> str:
    """Return the Markdown tables: within windows, then from window to window."""
    sizes = {
        "parameters": ("parameters", lambda found: f"{found[0] / 1e6:.2f} M"),
        "seconds": ("processor time", lambda found: f"{statistics.mean(found):.0f} s"),
        "steps": ("steps", lambda found: f"{statistics.mean(found):.0f}"),
    }
    parts = []
    for first, columns in ((sizes, WITHIN), ({}, THROUGH)):
        heads = [
            "bottleneck",
            "seeds",
            *(head for head, _ in first.values()),
            *(head for head, _, _ in columns.values()),
        ]
        lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
        for name, group in grouped(runs).items():
            cells = [f"`{name}`", str(len(group))]
            cells += [form([run[key] for run in group]) for key, (_, form) in first.items()]
            cells += [spread([scale * run[key] for run in group], form) for key, (_, form, scale) in columns.items()]
            lines.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def grouped(runs: Runs) -> dict[str, list[Mapping[str, Any]]]:
    """Return the runs of each bottleneck."""
    names = dict.fromkeys(run["bottleneck"] for run in runs)
    return {name: [run for run in runs if run["bottleneck"] == name] for name in names}


def spread(values: Sequence[float], form: str) -> str:
    """Return the mean, and the least and the most where there are several."""
    mean = form.format(statistics.mean(values))
    if len(values) == 1:
        return mean
    return f"{mean} ({form.format(min(values)).removesuffix(' %')} to {form.format(max(values)).removesuffix(' %')})"


def curves(runs: Runs) -> Figure:
    """Draw what was watched during training: the mean of the seeds in bold, each seed thin."""
    figure = Figure(figsize=(11, 6.4), dpi=140, layout="constrained")
    for axes, (key, (label, limits)) in zip(figure.subplots(2, 2, sharex=True).flat, PANELS.items(), strict=True):
        for number, (name, group) in enumerate(grouped(runs).items()):
            _lines(axes, [run["curve"] for run in group], key, slot_colour(number), name)
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
        if limits:
            axes.set_ylim(*limits)
    for axes in figure.axes[2:]:
        axes.set_xlabel("processor time of training (s)")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False, fontsize=11)
    return figure


def _lines(axes: Axes, group: Iterable[Sequence[Mapping[str, float]]], key: str, colour: str, name: str) -> None:
    group = list(group)
    times = [[point["seconds"] for point in curve] for curve in group]
    values = [[point[key] for point in curve] for curve in group]
    if len(values) > 1:
        for when, each in zip(times, values, strict=True):
            axes.plot(when, each, color=colour, linewidth=0.8, alpha=0.4)
    when, mean = ([statistics.mean(column) for column in zip(*rows)] for rows in (times, values))  # noqa: B905
    axes.plot(when, mean, color=colour, lw=2.4, label=name)


if __name__ == "__main__":
    main()
