"""A mixture beside what became of it: attention, estimates and true sources, one column for each slot."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from slotaudio.plotting.attention import attention_overlay
from slotaudio.plotting.colours import slot_colour
from slotaudio.plotting.spectrograms import RANGE, spectrogram


def separation_figure(
    mixture: Float[Tensor, "channels time"],
    estimates: Float[Tensor, "slots channels time"],
    sample_rate: int,
    references: Float[Tensor, "sources channels time"] | None = None,
    attention: Float[Tensor, "slots rows columns"] | None = None,
    captions: Sequence[str] = (),
    title: str = "",
    names: Sequence[str] = (),
    colours: Sequence[int] = (),
) -> Figure:
    """Draw a mixture, and for every slot a column of where it looked, what it gave and what was true.

    All levels are relative to the mixture's loudest cell.

    Args:
        mixture, estimates: at `sample_rate`.
        references: true sources in the order of the slots; columns beyond their number stay without.
        attention: from `attention_map`.
        captions: one per slot, for instance its SI-SDRi.
        title: over the whole figure.
        names: of the slots; ``slot 1`` and so on by default.
        colours: for every slot, which of `SLOT_COLOURS`; in their order by default.
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
    whole.set_title(f"black is {RANGE:.0f} dB below the loudest cell of the mixture", loc="right", fontsize=9)
    whole.set_ylabel("frequency (kHz)")
    for slot in range(slots):
        colour = slot_colour(colours[slot] if colours else slot)
        name = names[slot] if slot < len(names) else f"slot {slot + 1}"
        for row, kind in enumerate(kinds, start=1):
            if kind == "reference" and references is not None and slot >= len(references):
                continue
            axes = figure.add_subplot(grid[row, slot])
            _panel(axes, kind, slot, (mixture, estimates, references, attention), sample_rate, top, colour)
            caption = f"  {captions[slot]}" if kind == "estimate" and slot < len(captions) else ""
            axes.set_title(
                f"{_HEADINGS[kind].format(name)}{caption}", loc="left", fontsize=11, color=colour, fontweight="bold"
            )
            last = row == len(kinds)
            axes.tick_params(labelleft=slot == 0, labelbottom=last)
            axes.set(ylabel="frequency (kHz)" if slot == 0 else "", xlabel="time (s)" if last else "")
    if title:
        figure.suptitle(title, fontsize=13)
    for axes in figure.axes:
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
        axes.set_xlim(0, seconds)
    return figure


_HEADINGS = {
    "attention": "{}: where it looked (attention)",
    "estimate": "{}: estimate",
    "reference": "true source",
}


def _panel(axes: Axes, kind: str, slot: int, waves: tuple[Any, ...], sample_rate: int, top: float, colour: str) -> None:
    mixture, estimates, references, attention = waves
    if kind == "attention":
        spectrogram(axes, mixture, sample_rate, top, "gray_r")
        attention_overlay(axes, attention[slot], colour, mixture.shape[-1] / sample_rate, sample_rate / 2000)
    else:
        spectrogram(axes, (estimates if kind == "estimate" else references)[slot], sample_rate, top)
