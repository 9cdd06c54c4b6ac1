"""Where slots go: their vectors over the whole recording, seen from the side on which they differ most."""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from slotaudio.plotting.assignment import assignment_matrix
from slotaudio.plotting.colours import deepening, slot_colour

_READ = (
    "Left: a dot is the slot behind an output in one window; near dots are alike to the model. Outputs that stay apart "
    "were told apart.\n"
    "Right: the model gives its slots in an order that may change; outputs were put together from them so that a voice "
    "stays where it is."
)


def project(
    vectors: Float[Tensor, "entries slots dim"],
) -> tuple[Float[Tensor, "entries slots 2"], Float[Tensor, "2"]]:
    """Return the first two principal components of all slots, and which shares of the variance they hold.

    The same for the same slots in another order; signs are such that each component's largest weight is positive.
    """
    rows = rearrange(vectors.double(), "entries slots dim -> (entries slots) dim")
    rows = rows - rows.mean(dim=0)
    _, strengths, axes = torch.linalg.svd(rows, full_matrices=False)
    variances = torch.nn.functional.pad(strengths.square(), (0, 2))
    axes = torch.nn.functional.pad(axes, (0, 0, 0, 2))[:2]
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    shares = variances[:2] / variances.sum().clamp_min(torch.finfo(torch.float64).tiny)
    points = rearrange(rows @ axes.mT, "(entries slots) axes -> entries slots axes", slots=vectors.shape[1])
    return points.float(), shares.float()


def trajectories(
    axes: Axes,
    vectors: Float[Tensor, "entries slots dim"],
    times: Float[Tensor, "entries"],
    weights: Float[Tensor, "entries slots"] | None = None,
    names: Sequence[str] = (),
) -> None:
    """Draw each slot's way through the plane of most variance: pale at the beginning, in full colour at the end.

    Args:
        axes: of matplotlib.
        vectors, times: see `SlotHistory`.
        weights: 0 to 1; points of less weight (slots that are hardly heard) are smaller.
        names: of the outputs.
    """
    points, shares = project(vectors)
    begin, end = float(times[0]), max(float(times[-1]), float(times[0]) + 1e-6)
    sizes = torch.ones(points.shape[:2]) if weights is None else weights.clamp(0, 1)
    for slot in range(points.shape[1]):
        colour, way = slot_colour(slot), points[:, slot].numpy()
        name = names[slot] if slot < len(names) else f"slot {slot + 1}"
        axes.plot(*way.T, color=colour, linewidth=0.6, alpha=0.25, zorder=1)
        axes.scatter(
            *way.T,
            c=times.numpy(),
            cmap=deepening(colour),
            vmin=begin,
            vmax=end,
            s=(3 + 22 * sizes[:, slot]).numpy(),
            linewidths=0,
            zorder=2,
        )
        axes.scatter(*way[:1].T, s=60, facecolors="white", edgecolors=colour, linewidths=2, zorder=3)
        axes.scatter(*way[-1:].T, s=60, marker="s", color=colour, edgecolors="white", linewidths=1, zorder=3)
        axes.scatter([], [], color=colour, s=36, label=name)
    axes.scatter([], [], s=40, facecolors="white", edgecolors="#4D4D4D", linewidths=2, label=_clock(begin))
    axes.scatter([], [], s=40, marker="s", color="#4D4D4D", label=_clock(end))
    axes.set_xlabel(f"component 1 ({100 * shares[0]:.0f} % of variance)")
    axes.set_ylabel(f"component 2 ({100 * shares[1]:.0f} % of variance)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="best", fontsize=9, frameon=True, framealpha=0.85, edgecolor="none")


def identity_figure(
    vectors: Float[Tensor, "entries slots dim"],
    times: Float[Tensor, "entries"],
    shares: Float[Tensor, "slots slots"],
    weights: Float[Tensor, "entries slots"] | None = None,
    names: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Draw how well slots keep their identity: their ways through time, and which slot became which output.

    Args:
        vectors, times, weights: see `trajectories`.
        shares: for every output (row), in which share of the windows it was each of the model's slots.
        names: of the outputs.
        title: over the whole figure.
    """
    outputs = len(shares)
    figure = Figure(figsize=(11, 4.8), dpi=140, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.45, 1])
    trajectories(left, vectors, times, weights, names)
    left.set_title("what the model made of each voice", loc="left", fontsize=12, fontweight="bold")
    assignment_matrix(
        right,
        100 * shares,
        rows=names,
        columns=[str(slot + 1) for slot in range(outputs)],
        label="share of windows (%)",
        form="{:.0f}",
        limits=(0.0, 100.0),
    )
    right.set(xlabel="slot of the model", ylabel="output")
    right.set_title("which slot became which output", loc="left", fontsize=12, fontweight="bold")
    figure.supxlabel(_READ, fontsize=9, x=0.01, ha="left")
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    return f"{minutes}:{rest:02d} min"
