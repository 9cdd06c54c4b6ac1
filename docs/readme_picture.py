"""Draw the picture of the README: the first mixture of `slotaudio demo` and what the default model makes of it.

python docs/readme_picture.py docs/_static/separated.png
"""

import sys

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from slotaudio import Separator, metrics
from slotaudio.data.bundled import demo_list, speech
from slotaudio.data.folder import FolderMixtures
from slotaudio.plotting import SLOT_COLOURS, pixels, spectrogram
from slotaudio.plotting.colours import deepening

RATE = 16000


def main(path: str) -> None:
    """Separate, and draw the mixture on the left and the outputs in their colours on the right."""
    mixture, sources, _ = FolderMixtures(speech("dev"), seconds=None, mixtures=demo_list())[0]
    outputs = Separator.from_pretrained()(mixture, RATE).sources
    score = metrics.score(outputs[None], sources[None], mixture[None])
    gains = dict(zip(score.assignment[0].tolist(), score.values["si_sdr_i"][0].tolist(), strict=True))
    figure = Figure(figsize=(10, 3.2), dpi=100, layout="constrained")
    grid = figure.add_gridspec(len(outputs), 2)
    top = panel(figure.add_subplot(grid[:, 0]), mixture, "#343a40", "two people at once")
    for slot, (wave, colour) in enumerate(zip(outputs, SLOT_COLOURS, strict=False)):
        axes = figure.add_subplot(grid[slot, 1])
        panel(axes, wave, colour, f"slot {slot + 1}: SI-SDRi {gains[slot]:+.1f} dB", top)
        axes.tick_params(labelbottom=slot == len(outputs) - 1)
    figure.supxlabel("time (s)", fontsize=9)
    figure.supylabel("frequency (kHz)", fontsize=9)
    Image.fromarray(pixels(figure)).quantize(64).save(path, optimize=True)


def panel(axes: Axes, wave: Tensor, colour: str, title: str, top: float | None = None) -> float:
    """Draw one wave in ink on white paper; return the level of its loudest cell."""
    loudest = spectrogram(axes, wave, RATE, top)
    (image,) = axes.images
    level = loudest if top is None else top
    image.set(cmap=deepening(colour, lightest=0.0), clim=(level - 50, level - 15))
    axes.set_title(title, loc="left", color=colour, fontsize=11, fontweight="bold")
    axes.set(ylim=(0, 5))
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return loudest


if __name__ == "__main__":
    main(*sys.argv[1:])
