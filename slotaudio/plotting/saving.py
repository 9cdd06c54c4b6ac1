"""Figures to files and to arrays."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from slotaudio.errors import UserError


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


def pixels(figure: Figure) -> UInt8[np.ndarray, "rows columns 3"]:
    """Draw a figure and return its picture, for loggers."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
