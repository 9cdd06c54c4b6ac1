"""The table that AudioSlots was published with."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from slotaudio.evaluation.results import Result, summarise

METRICS = {"si_snr": "SI-SNR", "si_snr_i": "SI-SNRi"}


def table1(results: Sequence[Result]) -> Table:
    """Return the layout of AudioSlots' Table 1 (arXiv 2305.05591), in Markdown.

    One line per system, window and way of joining; for each mask SI-SNR and its improvement over the mixture, in dB
    with half the 95 % confidence interval. Masks that a system does not leave open have columns of their own.
    """
    means = summarise(results, ("system", "window", "joining", "mask"))
    masks = list(dict.fromkeys(key[-1] for key in means))
    table = Table(box=box.MARKDOWN)
    for name in ("system", "window", "joining"):
        table.add_column(name, no_wrap=True)
    for mask in masks:
        for title in METRICS.values():
            table.add_column(f"{mask} {title}", justify="right", no_wrap=True)
    for system, window, joining in dict.fromkeys(key[:-1] for key in means):
        measured = [means.get((system, window, joining, mask), {}) for mask in masks]
        cells = [str(found.get(metric, "")) for found in measured for metric in METRICS]
        table.add_row(str(system), f"{window:g} s" if window else "", str(joining), *cells)
    return table
