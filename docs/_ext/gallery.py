"""What sphinx-gallery shows of a tutorial: the figures that blocks end with."""

from pathlib import Path
from typing import Any
from weakref import WeakSet

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_LAST = "___"
"""Where sphinx-gallery keeps the value of a block's last expression."""

_drawn: WeakSet[Figure] = WeakSet()


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figure that the block ends with; `slotaudio.plotting` returns figures and shows none."""
    value = block_vars["example_globals"].get(_LAST)
    if (
        not isinstance(value, Figure) or value in _drawn
    ):  # a block that ends with no value leaves that of an earlier one
        return ""
    _drawn.add(value)
    path = Path(next(block_vars["image_path_iterator"]))
    value.savefig(path)
    return figure_rst([str(path)], gallery_conf["src_dir"])


def reset(gallery_conf: dict[str, Any], fname: str) -> None:
    """Let every tutorial start from the same seed."""
    import torch

    torch.manual_seed(0)
