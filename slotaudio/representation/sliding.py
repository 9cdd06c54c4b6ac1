"""From a function of one window to an embedder of recordings of any length, in constant memory."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.representation.embedding import Embedding, name_of
from slotaudio.resampling import Resampler
from slotaudio.separation.channels import channel_map

CONTEXT = 1.0
"""Seconds on either side that are heard with a stretch, and whose own features are left to its neighbours."""

Function = Callable[[Float[Tensor, "1 channels time"]], tuple[Float[Tensor, "steps dim"], Float[np.ndarray, " steps"]]]
"""From a window to vectors, and where each lies in it, in order, as a share of its length."""


def sliding(
    function: Function,
    blocks: Iterable[Float[Tensor, "channels _"]],
    sample_rate: int,
    *,
    wanted: int,
    channels: int = 1,
    channel: int | None = None,
    window: float = 10.0,
    context: float = CONTEXT,
    step: float = 0.0,
    whole: bool = False,
) -> Iterator[Embedding]:
    """Apply a function to windows that overlap by twice the context, and keep what lies within it.

    What depends on no more than the context is the same as of the recording in one piece; a recording that fits
    into one window is one piece.

    Args:
        function: of one window.
        blocks, sample_rate: see `slotaudio.representation.Embedder`.
        wanted: sample rate that the function wants, in hertz.
        channels: that it wants.
        channel: the one to be taken of the recording's, from 1; None brings all of them to those that it wants.
        window, context: in seconds.
        step: seconds that are heard for a vector, for `Embedding.window`; its share of the window if 0.
        whole: the function takes windows of the full length only; the last one is padded with silence.

    Raises:
        UserError: see `slotaudio.separation.channels.channel_map`.
    """
    size, margin = round(window * wanted), round(min(context, window / 4) * wanted)
    hop = size - 2 * margin
    buffer = torch.zeros(channels, 0)
    start = 0

    def stretch(wave: Float[Tensor, "channels time"], stop: float) -> Embedding:
        heard = torch.nn.functional.pad(wave, (0, size - wave.shape[1])) if whole else wave
        vectors, inside = function(heard[None])
        times = start / wanted + inside * heard.shape[1] / wanted
        kept = (times >= (start + margin if start else 0) / wanted) & (times < stop)
        array = vectors.float().cpu().numpy()[kept][:, None]
        return Embedding(times[kept], array, step or heard.shape[1] / wanted / len(vectors))

    for wave in _resampled(blocks, sample_rate, wanted, channels, channel):
        buffer = torch.cat([buffer, wave], dim=1)
        while buffer.shape[1] > size:
            yield stretch(buffer[:, :size], (start + size - margin) / wanted)
            buffer, start = buffer[:, hop:], start + hop
    if buffer.shape[1]:
        yield stretch(buffer, (start + buffer.shape[1]) / wanted if whole else np.inf)


def _resampled(
    blocks: Iterable[Float[Tensor, "channels _"]], sample_rate: int, wanted: int, channels: int, channel: int | None
) -> Iterator[Float[Tensor, "channels _"]]:
    resampler, fit = Resampler(sample_rate, wanted), None
    for block in blocks:
        fit = fit or channel_map(block.shape[0], channels, name_of(blocks), sample_rate, channel)
        yield resampler.push(fit(block[None])[0])
    if fit is not None:
        yield resampler.finish()
