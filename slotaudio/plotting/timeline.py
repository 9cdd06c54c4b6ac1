"""Who is heard when: the mixture coloured by slot, and below it a lane for every slot."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.plotting.colours import blend, slot_colour
from slotaudio.plotting.summaries import PowerMap
from slotaudio.rttm import Turn
from slotaudio.separation.doubt import Stretch

_RANGE = 60.0
"""Decibels from full ink to white paper."""

_LANE = 40.0
"""Decibels that a lane shows below the loudest moment of the recording."""

_GREY = "#4D4D4D"


def timeline_figure(
    mixture: PowerMap,
    outputs: Sequence[PowerMap],
    *,
    presence: Float[Tensor, "entries slots"] | None = None,
    times: Float[Tensor, "entries"] | None = None,
    turns: Sequence[Turn] = (),
    assignment: Mapping[str, int] | None = None,
    doubtful: Sequence[Stretch] = (),
    names: Sequence[str] = (),
    colours: Sequence[int] = (),
    title: str = "",
) -> Figure:
    """Draw a recording of any length: every cell of its spectrogram in the colours of the slots that own it.

    The more of a cell's power is an output's, the more its colour; the louder the cell, the more ink. A lane for each
    output shows its presence where the model tells it, and else its level below the recording's loudest moment.

    Args:
        mixture, outputs: of one length and sample rate; at least one output.
        presence, times: probabilities, and the seconds that they are about (see `SlotHistory`).
        turns: who really speaks when, drawn as bars below.
        assignment: for speakers of `turns` their output, whose colour their bars take; without it they are grey.
        doubtful: stretches in seconds, hatched, in which voices may have changed places (`Separated.doubtful`).
        names: of the outputs; ``slot 1`` and so on by default.
        colours: for every output, which of `SLOT_COLOURS`; in their order by default.
        title: over the whole figure.

    Raises:
        UserError: no outputs, or outputs of another length than the mixture.
    """
    if not outputs or any(track.received != mixture.received for track in outputs):
        raise UserError(f"timeline: {len(outputs)} outputs are to be one or more, each as long as the mixture")
    minutes = mixture.seconds > 180
    scale = 1 / 60 if minutes else 1.0
    speakers = list(dict.fromkeys(turn.speaker for turn in turns))
    heights = [2.8, *[0.55] * len(outputs), *([0.25 + 0.2 * len(speakers)] if speakers else [])]
    figure = Figure(figsize=(11, 1.1 + sum(heights) + 0.08 * len(outputs)), dpi=140, layout="constrained")
    figure.get_layout_engine().set(hspace=0.02, h_pad=0.03)  # type: ignore[union-attr, call-arg]
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    powers = torch.stack([track.power() for track in outputs])
    inks = [slot_colour(slot) for slot in colours or range(len(outputs))]
    _coloured(panels[0], mixture, powers, inks, scale)
    labels = list(names) or [f"slot {slot + 1}" for slot in range(len(outputs))]
    lanes = _levels(powers) if presence is None else presence.T
    at = mixture.column_times if presence is None or times is None else times
    if presence is not None:  # what is known of the first and the last window holds to the ends of the recording
        at = torch.cat([at.new_zeros(1), at, at.new_full((1,), mixture.seconds)])
        lanes = torch.cat([lanes[:, :1], lanes, lanes[:, -1:]], dim=1)
    for slot, axes in enumerate(panels[1 : 1 + len(outputs)]):
        _lane(axes, at * scale, lanes[slot], inks[slot], labels[slot], presence is not None)
    if speakers:
        owned = {speaker: inks[slot] for speaker, slot in (assignment or {}).items() if 0 <= slot < len(inks)}
        _turns(panels[-1], turns, {speaker: owned.get(speaker, _GREY) for speaker in speakers}, scale)
    if doubtful:
        _hatched(list(panels[: 1 + len(outputs)]), [(start * scale, end * scale) for start, end in doubtful])
    panels[-1].set_xlabel("time (min)" if minutes else "time (s)")
    panels[0].set_xlim(0, mixture.seconds * scale)
    if title:
        panels[0].set_title(title, loc="left", fontsize=12, fontweight="bold")
    panels[0].set_title("who is heard when: each cell in the colour of its output", loc="right", fontsize=9)
    told = "presence: probability that an output holds a source"
    panels[1].set_title(
        "level: 0 dB is the loudest moment of all outputs" if presence is None else told, loc="left", fontsize=9
    )
    for axes in panels[:-1]:
        axes.tick_params(labelbottom=False, bottom=False)
    return figure


def _coloured(
    axes: Axes, mixture: PowerMap, powers: Float[Tensor, "slots rows columns"], inks: Sequence[str], scale: float
) -> None:
    decibels = 10 * mixture.power().clamp_min(1e-12).log10()
    strength = (1 + (decibels - decibels.max()) / _RANGE).clamp(0, 1)
    if float(decibels.max()) <= -119:  # silence: nothing to draw
        strength = torch.zeros_like(strength)
    shares = powers / powers.sum(dim=0).clamp_min(1e-20)
    axes.imshow(
        blend(shares, strength, inks).clamp(0, 1).numpy(),
        origin="lower",
        aspect="auto",
        extent=(0, mixture.span * scale, 0, mixture.top / 1000),
        interpolation="antialiased",
    )
    axes.set_ylabel("frequency (kHz)")


def _levels(powers: Float[Tensor, "slots rows columns"]) -> Float[Tensor, "slots columns"]:
    """Return levels in decibels below the loudest moment of all outputs, `-_LANE` at least."""
    level = 10 * powers.mean(dim=1).clamp_min(1e-12).log10()
    top = level.max().clamp_min(-100.0)
    return (level - top).clamp(-_LANE, 0)


def _lane(
    axes: Axes, at: Float[Tensor, "entries"], values: Float[Tensor, "entries"], colour: str, name: str, presence: bool
) -> None:
    low, high = (0.0, 1.0) if presence else (-_LANE, 0.0)
    axes.fill_between(at.numpy(), low, values.numpy(), color=colour, linewidth=0)
    axes.set(ylim=(low, high + 0.06 * (high - low)), yticks=[low, high])
    axes.set_yticklabels(["0", "1"] if presence else [f"\N{MINUS SIGN}{_LANE:.0f}", "0"], fontsize=8)
    axes.set_ylabel("presence" if presence else "level\n(dB)", fontsize=8)
    axes.text(1.006, 0.5, name, transform=axes.transAxes, color=colour, fontweight="bold", va="center", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def _hatched(panels: Sequence[Axes], stretches: Sequence[Stretch]) -> None:
    """Hatch stretches in the picture and in the lanes, and say above the lanes what that means."""
    light: dict[str, Any] = {
        "facecolor": "none",
        "edgecolor": (*to_rgb(_GREY), 0.45),
        "hatch": "////",
        "linewidth": 0.5,
    }
    for axes in panels:
        for start, end in stretches:
            axes.axvspan(start, end, **light)
    key = Patch(label="voices may have changed places: listen there", **light)
    panels[1].legend(
        handles=[key],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        borderaxespad=0,
        borderpad=0.2,
        frameon=False,
        fontsize=9,
    )


def _turns(axes: Axes, turns: Sequence[Turn], speakers: Mapping[str, str], scale: float) -> None:
    for row, (speaker, colour) in enumerate(reversed(list(speakers.items()))):
        bars = [(turn.start * scale, turn.duration * scale) for turn in turns if turn.speaker == speaker]
        axes.broken_barh(bars, (row + 0.15, 0.7), color=colour)
    axes.set(ylim=(0, len(speakers)), yticks=[row + 0.5 for row in range(len(speakers))])
    axes.set_yticklabels(list(reversed(list(speakers))), fontsize=8)
    axes.text(1.006, 0.5, "truth", transform=axes.transAxes, color=_GREY, va="center", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
