"""Who belongs to whom: slots against sources (or outputs), and which pairs were chosen."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from slotaudio.plotting.colours import slot_colour


def assignment_matrix(
    axes: Axes,
    values: Float[Tensor, "slots sources"],
    chosen: Int[Tensor, "sources"] | None = None,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    label: str = "",
    form: str = "{:.1f}",
    limits: tuple[float, float] | None = None,
) -> None:
    """Draw a matrix of slots and sources with its numbers, and a frame around the pairs that were chosen.

    Args:
        axes: of matplotlib.
        values: cost, SI-SDR or share of each pair; NaN where there is none.
        chosen: for every source its slot, as matchers give it.
        rows, columns: names of slots and sources.
        label: of the colour bar: what the values are, and their unit.
        form: how a number is written.
        limits: values of the first and the last colour; those of the matrix by default.
    """
    finite = values[values.isfinite()]
    low, high = limits or ((float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 1.0))
    high = high if high > low else low + 1.0
    image = axes.imshow(values.numpy(), cmap="cividis", vmin=low, vmax=high, aspect="equal")
    for slot, row in enumerate(values.tolist()):
        for source, value in enumerate(row):
            ink = "white" if value < (low + high) / 2 else "black"
            text = form.format(value).replace("-", "\N{MINUS SIGN}") if value == value else "–"
            axes.text(source, slot, text, color=ink, ha="center", va="center", fontsize=11)
    for source, slot in enumerate([] if chosen is None else chosen.tolist()):
        for width, edge in ((6, "white"), (3, "black")):
            corner = (source - 0.45, slot - 0.45)
            axes.add_patch(Rectangle(corner, 0.9, 0.9, fill=False, linewidth=width, edgecolor=edge))
    slots, sources = values.shape
    axes.set_xticks(range(sources), list(columns) or [f"source {number + 1}" for number in range(sources)])
    axes.set_yticks(range(slots), list(rows) or [f"slot {number + 1}" for number in range(slots)])
    for slot, tick in enumerate(axes.get_yticklabels()):
        tick.set(color=slot_colour(slot), fontweight="bold")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    assert axes.figure is not None
    axes.figure.colorbar(image, ax=axes, label=label, fraction=0.045, pad=0.03)


def assignment_figure(
    values: Float[Tensor, "slots sources"],
    chosen: Int[Tensor, "sources"] | None = None,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    label: str = "",
    form: str = "{:.1f}",
    title: str = "",
) -> Figure:
    """Draw an assignment by itself; see `assignment_matrix`."""
    slots, sources = values.shape
    figure = Figure(figsize=(2.6 + 1.1 * sources, 1.2 + 0.95 * slots), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    assignment_matrix(axes, values, chosen, rows=rows, columns=columns, label=label, form=form)
    if title:
        axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    return figure
