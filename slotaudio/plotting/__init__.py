"""Pictures: what went in, where the slots looked, what came out. Figures are returned, never shown.

Only `matplotlib.figure.Figure` is used, no global state: these functions work in threads, servers and loggers.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.separation.observation import Observation

SLOT_COLOURS = ("#e8590c", "#1971c2", "#2f9e44", "#ae3ec9", "#f08c00", "#0c8599", "#c2255c", "#5c940d")
"""One per slot, the same in every picture."""

_RANGE = 70.0
"""Decibels from the loudest cell of a picture to black."""


def spectrogram(
    axes: Axes, wave: Float[Tensor, "channels time"], sample_rate: int, top: float | None = None, colours: str = "magma"
) -> float:
    """Draw the level of a wave over time and frequency; return the level of the loudest cell in decibels.

    Args:
        axes: of matplotlib.
        wave: its channels are averaged.
        sample_rate: in hertz.
        top: level of the brightest colour; that of the loudest cell by default. Give the same to several pictures to
            compare their levels.
        colours: name of a colour map.
    """
    size = 2 ** round(torch.tensor(sample_rate * 0.032).log2().item())
    mono = torch.nn.functional.pad(wave.float().mean(dim=0), (0, max(0, size - wave.shape[-1])))
    values = torch.stft(mono, size, size // 4, window=torch.hann_window(size), return_complex=True).abs()
    decibels = 20 * values.clamp_min(1e-7).log10()
    loudest = float(decibels.max())
    top = loudest if top is None else top
    axes.imshow(
        decibels.numpy(),
        origin="lower",
        aspect="auto",
        cmap=colours,
        vmin=top - _RANGE,
        vmax=top,
        extent=(0, wave.shape[-1] / sample_rate, 0, sample_rate / 2000),
        interpolation="antialiased",
    )
    axes.set(xlim=(0, wave.shape[-1] / sample_rate), ylim=(0, min(8.0, sample_rate / 2000)))
    return loudest


def attention_map(
    observations: Sequence[Observation], window: float, seconds: float
) -> Float[Tensor, "slots rows columns"] | None:
    """Lay the attention of all windows over one another in time; None if the model has none to show.

    Args:
        observations: of the windows of one recording, as a separator's `observer` gets them.
        window: seconds per window.
        seconds: length of the map.
    """
    maps = [observation.slots.attention[0] for observation in observations if observation.slots.attention is not None]
    if not maps:
        return None
    attention = torch.stack(maps).float().cpu()  # windows steps slots tokens
    positions = observations[0].positions.cpu()
    rows = positions[:, 0].unique() if positions.shape[1] == 2 else positions.new_zeros(1)
    row = (
        torch.searchsorted(rows, positions[:, 0].contiguous()) if len(rows) > 1 else torch.zeros(len(positions)).long()
    )
    steps, slots = attention.shape[1:3]
    columns = len(positions[:, -1].unique()) * steps
    width = max(1, round(seconds / window * columns))
    total, weight = torch.zeros(slots, len(rows), width), torch.zeros(len(rows), width)
    for number, observation in enumerate(observations):
        for step in range(steps):
            inside = (step + (positions[:, -1] + 1) / 2 * (1 - 1 / columns) + 0.5 / columns) / steps
            column = ((observation.start + inside * window) / seconds * width).floor().long()
            valid = (column >= 0) & (column < width)
            cells = (row[valid], column[valid])
            weight.index_put_(cells, torch.ones(int(valid.sum())), accumulate=True)
            for slot in range(slots):
                total[slot].index_put_(cells, attention[number, step, slot, valid], accumulate=True)
    return total / weight.clamp_min(1)


def attention_overlay(
    axes: Axes, attention: Float[Tensor, "rows columns"], colour: str, seconds: float, top: float
) -> None:
    """Lay a slot's attention in its colour over a picture that reaches from 0 to `top` kHz."""
    strength = (attention / attention.flatten().quantile(0.99).clamp_min(1e-9)).clamp(0, 1)
    see_through = LinearSegmentedColormap.from_list("slot", [(*_rgb(colour), 0.0), (*_rgb(colour), 0.85)])
    axes.imshow(
        strength.numpy(),
        origin="lower",
        aspect="auto",
        cmap=see_through,
        vmin=0,
        vmax=1,
        extent=(0, seconds, 0, top),
        interpolation="bilinear",
    )


def separation_figure(
    mixture: Float[Tensor, "channels time"],
    estimates: Float[Tensor, "slots channels time"],
    sample_rate: int,
    references: Float[Tensor, "sources channels time"] | None = None,
    attention: Float[Tensor, "slots rows columns"] | None = None,
    captions: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Draw a mixture, and for every slot a column of where it looked, what it gave and what was true.

    All levels are relative to the mixture's loudest cell.

    Args:
        mixture, estimates: at `sample_rate`.
        references: true sources in the order of the slots; columns beyond their number stay without.
        attention: from `attention_map`.
        captions: one per slot, for instance its SI-SDRi.
        title: over the whole figure.
    """
    slots = len(estimates)
    seconds = mixture.shape[-1] / sample_rate
    kinds = [
        name
        for name, there in (("attention", attention), ("estimate", estimates), ("reference", references))
        if there is not None
    ]
    figure = Figure(figsize=(1.2 + 5.4 * max(2, slots), 1.0 + 2.4 * (1 + len(kinds))), dpi=110, layout="constrained")
    grid = figure.add_gridspec(1 + len(kinds), slots)
    whole = figure.add_subplot(grid[0, :])
    top = spectrogram(whole, mixture, sample_rate)
    whole.set_title("mixture", loc="left", fontsize=12, fontweight="bold")
    whole.set_ylabel("kHz")
    for slot in range(slots):
        colour = SLOT_COLOURS[slot % len(SLOT_COLOURS)]
        for row, kind in enumerate(kinds, start=1):
            if kind == "reference" and references is not None and slot >= len(references):
                continue
            axes = figure.add_subplot(grid[row, slot])
            _panel(axes, kind, slot, (mixture, estimates, references, attention), sample_rate, top, colour)
            caption = f"  {captions[slot]}" if kind == "estimate" and slot < len(captions) else ""
            axes.set_title(
                f"{_HEADINGS[kind].format(slot + 1)}{caption}", loc="left", fontsize=11, color=colour, fontweight="bold"
            )
            if slot == 0:
                axes.set_ylabel("kHz")
            else:
                axes.tick_params(labelleft=False)
            if row == len(kinds):
                axes.set_xlabel("seconds")
    if title:
        figure.suptitle(title, fontsize=13)
    whole.set_xlim(0, seconds)
    return figure


def save(figure: Figure, path: str | os.PathLike[str], force: bool = False) -> Path:
    """Write a figure; the format is that of the name's ending.

    Raises:
        UserError: the file exists, or cannot be written.
    """
    target = Path(path)
    if target.exists() and not force:
        raise UserError(f"{target} exists already; --force (force=True) replaces it")
    partial = target.with_name(f".{target.name}.partial")
    try:
        figure.savefig(partial, format=target.suffix[1:])
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"cannot write {target}: {error.strerror}") from error
    return target


_HEADINGS = {
    "attention": "slot {}: attention on the mixture",
    "estimate": "slot {}: estimate",
    "reference": "true source",
}


def _panel(axes: Axes, kind: str, slot: int, waves: tuple[Any, ...], sample_rate: int, top: float, colour: str) -> None:
    mixture, estimates, references, attention = waves
    if kind == "attention":
        spectrogram(axes, mixture, sample_rate, top, "gray")
        attention_overlay(axes, attention[slot], colour, mixture.shape[-1] / sample_rate, sample_rate / 2000)
    else:
        spectrogram(axes, (estimates if kind == "estimate" else references)[slot], sample_rate, top)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue
