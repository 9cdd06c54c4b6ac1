"""Figures to files and to arrays."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from slotaudio.errors import UserError
from slotaudio.writing import check_free, replacing


def save(figure: Figure, path: str | os.PathLike[str], force: bool = False) -> Path:
    """Write a figure; the format is that of the name's ending.

    Raises:
        UserError: the file exists, or cannot be written.
    """
    target = Path(path)
    check_free(target, force)
    try:
        with replacing(target) as partial:
            figure.savefig(partial, format=target.suffix[1:])
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error
    return target


def pixels(figure: Figure) -> UInt8[np.ndarray, "rows columns 3"]:
    """Draw a figure and return its picture, for loggers."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
