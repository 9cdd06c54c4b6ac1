"""The table that an evaluation prints."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from slotaudio.evaluation.results import Mean, Result, summarise

BY = ("system", "mask", "window", "joining")
"""The labels that tell rows apart."""

_TITLES = {
    "si_snr": "SI-SNR",
    "si_snr_i": "SI-SNRi",
    "si_sdr_i": "SI-SDRi",
    "bss_sdr": "BSS SDR",
    "bss_sdr_i": "BSS SDRi",
    "residual": "silent source",
    "surplus": "surplus slots",
    "right_number": "right number",
}
"""Columns in order; what was not measured is left out. The CSV files have all metrics."""

_SHARES = ("right_number",)
"""Columns in percent."""


def results_table(results: Sequence[Result], by: Sequence[str] = BY) -> Table:
    """Return means over mixtures in dB with half their 95 % confidence intervals, one line per row.

    What leaks into silent references and surplus slots has columns of its own, in dB against the mixture, where
    there are any. Of some mixtures the number of sources is found right.
    """
    means = summarise(results, by)
    columns = [name for name in _TITLES if any(name in row and row[name].count for row in means.values())]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption="dB, mean over mixtures ± 95 % confidence")
    table.add_column("")
    for name in columns:
        table.add_column(_TITLES[name], justify="right", no_wrap=True)
    table.add_column("mixtures", justify="right", no_wrap=True)
    for key, values in means.items():
        count = max((values[name].count for name in columns), default=0)
        table.add_row(" ".join(map(_label, key)), *(_cell(name, values[name]) for name in columns), str(count))
    return table


def _cell(name: str, value: Mean) -> str:
    return f"{value.mean:.0%}" if name in _SHARES and value.count else str(value)


def _label(value: str | float) -> str:
    return f"{value:g} s" if isinstance(value, float) else str(value)
