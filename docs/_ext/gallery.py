"""What sphinx-gallery shows of a tutorial: figures that a block ends with, and figures that a script saved nowhere."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_LAST = "___"
"""Where sphinx-gallery keeps the value of a block's last expression."""


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figure that the block ends with; `slotaudio.plotting` returns figures and shows none."""
    value = block_vars["example_globals"].pop(_LAST, None)
    if not isinstance(value, Figure):
        return ""
    path = Path(next(block_vars["image_path_iterator"]))
    value.savefig(path)
    return figure_rst([str(path)], gallery_conf["src_dir"])


def reset(gallery_conf: dict[str, Any], fname: str) -> None:
    """Let every tutorial start from the same seed."""
    import torch

    torch.manual_seed(0)
