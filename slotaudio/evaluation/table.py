"""The table that an evaluation prints."""

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table

from slotaudio.evaluation.mean import Mean
from slotaudio.evaluation.results import Result, summarise

BY = ("system", "mask", "window", "joining")
"""The labels that tell rows apart."""

_TITLES = {
    "si_snr": "SI-SNR",
    "si_snr_i": "SI-SNRi",
    "si_sdr_i": "SI-SDRi",
    "bss_sdr": "BSS SDR",
    "bss_sdr_i": "BSS SDRi",
    "stoi": "STOI",
    "estoi": "ESTOI",
    "pesq": "PESQ",
    "residual": "silent source",
    "surplus": "surplus slots",
    "right_number": "right number",
}
"""Columns in order; what was not measured is left out. The CSV files have all metrics."""

_BY_SPEAKERS = "si_sdr_i"
"""The column that is followed by its interval for other speakers."""

_SHARES = ("right_number",)
"""Columns in percent."""


def results_table(results: Sequence[Result], by: Sequence[str] = BY) -> Table:
    """Return means over mixtures in dB with half their 95 % confidence intervals, one line per row.

    Where the speakers are known, the interval of SI-SDRi for other speakers stands beside them (see `Mean`).
    What leaks into silent references and surplus slots has columns of its own, in dB against the mixture, where
    there are any. Of some mixtures the number of sources is found right.
    """
    means = summarise(results, by)
    columns = [name for name in _TITLES if any(name in row and row[name].count for row in means.values())]
    scales = " (STOI, ESTOI, PESQ: their own scales)" if {"stoi", "estoi", "pesq"}.intersection(columns) else ""
    known = any(not math.isnan(row[_BY_SPEAKERS].speakers[0]) for row in means.values() if _BY_SPEAKERS in row)
    other = "; that of SI-SDRi for other speakers" if known else ""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, caption=f"dB{scales}, mean over mixtures ± 95 % confidence{other}"
    )
    table.add_column("")
    for name in columns:
        table.add_column(_TITLES[name], justify="right", no_wrap=True)
        if known and name == _BY_SPEAKERS:
            table.add_column("other speakers", justify="right", no_wrap=True)
    table.add_column("mixtures", justify="right", no_wrap=True)
    for key, values in means.items():
        cells = []
        for name in columns:
            cells.append(_cell(name, values[name]))
            if known and name == _BY_SPEAKERS:
                cells.append(_interval(values[name]))
        count = max((values[name].count for name in columns), default=0)
        table.add_row(" ".join(filter(None, map(_label, key))), *cells, str(count))
    return table


def _cell(name: str, value: Mean) -> str:
    return f"{value.mean:.0%}" if name in _SHARES and value.count else str(value)


def _interval(value: Mean) -> str:
    low, high = value.speakers
    return "–" if math.isnan(low) else f"{low:.1f} to {high:.1f}"


def _label(value: str | float) -> str:
    return f"{value:g} s" if isinstance(value, float) else str(value)
