"""What no microphone hears: the offset of cheap converters, and all else far below the lowest voice."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import oaconvolve
from torch import Tensor

REACH = 0.25
"""Seconds on each side over which the mean is taken: half of 2 Hz is taken off, 4 Hz and more stay."""


class OffsetFilter:
    """Take the offset off a stream: the mean around each sample, weighted by a Hann window.

    Zero phase and unit gain from 4 Hz on, so that what is left is the recording as it sounds. At the ends the
    offset is that of the nearest sample with a whole window around it; recordings shorter than a window keep theirs.
    However the wave is cut into blocks, the result is that of one block.

    Args:
        sample_rate: in hertz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._reach = round(REACH * sample_rate)
        weights = np.hanning(2 * self._reach + 3)[1:-1]
        self._weights = weights / weights.sum()
        self._buffer: Tensor | None = None  # from a reach before the next sample to be finished
        self._last: Tensor | None = None  # offset so far

    def push(
        self, wave: Float[Tensor, "*axes time"]
    ) -> tuple[Float[Tensor, "*axes finished"], Float[Tensor, "*axes finished"]]:
        """Take the next block and return what is finished, without its offset, and the offset."""
        # a copy: who gives the wave may fill its memory anew, as sound cards do
        self._buffer = buffer = wave.clone() if self._buffer is None else torch.cat([self._buffer, wave], dim=-1)
        whole = buffer.shape[-1] - 2 * self._reach
        if whole <= 0:
            return wave[..., :0], wave[..., :0]
        weights = self._weights.reshape([1] * (buffer.ndim - 1) + [-1])
        offset = torch.from_numpy(oaconvolve(buffer.cpu().double().numpy(), weights, "valid", axes=-1)).to(wave)
        start = self._reach
        if self._last is None:
            start = 0
            offset = torch.cat([offset[..., :1].expand(*offset.shape[:-1], self._reach), offset], dim=-1)
        self._last = offset[..., -1:].clone()
        self._buffer = buffer[..., whole:]
        return buffer[..., start : self._reach + whole] - offset, offset

    def finish(self) -> tuple[Float[Tensor, "*axes finished"], Float[Tensor, "*axes finished"]]:
        """Return the rest, as `push` does."""
        assert self._buffer is not None, "finish() before the first push()"
        if self._last is None:
            return self._buffer, torch.zeros_like(self._buffer)
        rest = self._buffer[..., self._reach :]
        return rest - self._last, self._last.expand_as(rest)
