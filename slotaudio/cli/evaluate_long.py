"""`slotaudio evaluate --long`: conversations of minutes, and whether everybody stays the same output."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slotaudio.cli.reporting import progress_bar
from slotaudio.errors import UserError

if TYPE_CHECKING:
    from slotaudio.evaluation.results import Result
    from slotaudio.evaluation.rows import Row

CONVERSATIONS = 4
"""How many, unless said otherwise."""

TIMELINES = "timelines.rttm"
"""Who speaks when in all conversations."""

_TITLES = {
    "si_sdri": ("SI-SDRi", "{:.2f} dB"),
    "right_windows": ("right speaker", "{:.1%}"),
    "right_joins": ("right joins", "{:.1%}"),
    "swaps_per_minute": ("swaps/min", "{:.2f}"),
    "right_returns": ("right returns", "{:.1%}"),
    "right_counts": ("right counts", "{:.1%}"),
    "right_presence": ("by presence", "{:.1%}"),
    "right_number": ("right number", "{:.0%}"),
    "real_time_factor": ("real time", "× {:.3f}"),
}


def evaluate_conversations(
    rows: "Sequence[Row]",
    data: str,
    options: Mapping[str, Any],
    output: Path | None,
    quiet: bool,
    **offered: Any,
) -> None:
    """Measure identity on seeded conversations of a folder's speakers, print the table, write the files.

    Raises:
        UserError: a data set that makes no conversations.
    """
    from slotaudio.evaluation import results as found
    from slotaudio.evaluation.data import evaluation_data
    from slotaudio.evaluation.long import evaluate_long
    from slotaudio.evaluation.table import BY
    from slotaudio.rttm import write_rttm

    dataset = evaluation_data(data, {"name": "conversations", **options}, **offered)
    if not hasattr(dataset, "conversation"):
        raise UserError(f"data set {data!r} makes no conversations: give a folder of speakers, or 'bundled'")
    results: list[Result] = []
    try:
        with progress_bar("evaluating", quiet) as advance:
            for result in evaluate_long(rows, dataset, advance):
                results.append(result)
    finally:  # what an interrupted evaluation has measured, it has measured
        _publish(results)
        if output is not None and results:
            found.write_results(output / "scores.csv", results)
            found.write_summary(output / "summary.csv", results, BY)
            measured = range(-(-len(results) // len(rows)))
            write_rttm(output / TIMELINES, [turn for n in measured for turn in dataset.conversation(n).turns])


def _publish(results: "Sequence[Result]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from slotaudio.evaluation.results import summarise
    from slotaudio.evaluation.table import BY

    if not results:
        return
    means = summarise(results, BY)
    shown = [name for name in _TITLES if any(row[name].count for row in means.values())]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption="means over conversations, ONE assignment for each")
    table.add_column("")
    for name in shown:
        table.add_column(_TITLES[name][0], justify="right")
    table.add_column("conversations", justify="right")
    for key, values in means.items():
        label = " ".join(f"{part:g} s" if isinstance(part, float) else str(part) for part in key)
        cells = [_TITLES[name][1].format(values[name].mean) if values[name].count else "–" for name in shown]
        table.add_row(label, *cells, str(values["right_windows"].count))
    console = Console()
    Console(width=None if console.is_terminal else 160, highlight=False).print(table)
