"""Changing the sample rate, of whole waves and of streams; and the one door to torchaudio."""

import math
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import firwin, resample_poly
from torch import Tensor

from slotaudio.errors import SlotaudioError

_ZEROS = 48
"""Zero crossings of the filter on each side: it passes 90 % of the band and stops what would alias by 80 dB."""


class Resampler:
    """Resample a stream block by block; however it is cut, the result is that of one block.

    A linear-phase polyphase filter (`scipy.signal.resample_poly`) without delay: output sample m lies
    at input time ``m * old / new``, and n samples become ``ceil(n * new / old)``.

    Args:
        old, new: sample rates in hertz.
    """

    def __init__(self, old: int, new: int) -> None:
        self._old = old
        divisor = math.gcd(old, new)
        self.up, self.down = new // divisor, old // divisor
        widest = max(self.up, self.down)
        self._filter = firwin(2 * _ZEROS * widest + 1, 0.95 / widest, window=("kaiser", 8.0)) if widest > 1 else None
        # context on each side, in whole periods of the rates, so that blocks stay in phase
        self._context = -(-(_ZEROS * widest // self.up + 1) // self.down) * self.down
        self._buffer: Tensor | None = None
        self._left = 0
        self._seen = self._made = 0

    @property
    def latency(self) -> float:
        """Seconds that a sample waits at most for others."""
        return 0.0 if self._filter is None else (self._context + self.down) / self._old

    def push(self, wave: Float[Tensor, "*axes time"]) -> Float[Tensor, "*axes resampled"]:
        """Take the next block and return what is finished; possibly no samples."""
        if self._filter is None:
            self._buffer = wave[..., :0]
            return wave
        self._seen += wave.shape[-1]
        self._buffer = wave if self._buffer is None else torch.cat([self._buffer, wave], dim=-1)
        ready = (self._buffer.shape[-1] - self._left - self._context) // self.down * self.down
        return self._advance(max(0, ready), self._context)

    def finish(self) -> Float[Tensor, "*axes resampled"]:
        """Return the rest; the resampler is then as new."""
        if self._buffer is None:
            return torch.zeros(0)
        if self._filter is None:
            return self._buffer
        due = -(-self._seen * self.up // self.down) - self._made
        wave = self._advance(self._buffer.shape[-1] - self._left, 0)[..., :due]
        self._buffer, self._left, self._seen, self._made = None, 0, 0, 0
        return wave

    def _advance(self, ready: int, right: int) -> Float[Tensor, "*axes resampled"]:
        """Convert `ready` samples, seeing their context; keep as much context for the next ones."""
        assert self._buffer is not None
        first = self._left * self.up // self.down
        count = -(-ready * self.up // self.down)
        segment = self._buffer[..., : self._left + ready + right]
        wave = segment[..., :0]
        if ready:
            wave = _polyphase(segment, self.up, self.down, self._filter)[..., first : first + count]
        keep = min(self._left + ready, self._context)
        self._buffer = self._buffer[..., self._left + ready - keep :]
        self._left = keep
        self._made += wave.shape[-1]
        return wave


def _polyphase(wave: Tensor, up: int, down: int, taps: "np.ndarray[tuple[int], np.dtype[np.float64]] | None") -> Tensor:
    samples = wave.detach().cpu().numpy()
    resampled = resample_poly(samples, up, down, axis=-1, window=np.asarray(taps, dtype=samples.dtype))
    return torch.from_numpy(resampled).to(wave.device)


def resample(wave: Float[Tensor, "*axes time"], old: int, new: int) -> Float[Tensor, "*axes resampled"]:
    """Resample a whole wave; n samples become ``ceil(n * new / old)``."""
    if old == new:
        return wave
    resampler = Resampler(old, new)
    return torch.cat([resampler.push(wave), resampler.finish()], dim=-1)


def torchaudio() -> ModuleType:
    """Import torchaudio, the only place that does.

    Nothing that separating WAV, FLAC, OGG or MP3 files needs comes through here.

    Raises:
        SlotaudioError: it does not import beside the installed torch; says what to install.
    """
    try:
        import torchaudio as module
    except Exception as error:  # RuntimeError (other CUDA), OSError (CPU-only torch) and ImportError are all real
        raise SlotaudioError(
            f"torchaudio cannot be imported beside torch {torch.__version__} ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no reason given'}): its last release, 2.11.0, needs "
            'torch 2.11 to 2.14 as published on PyPI: pip install "torch>=2.11,<2.15" torchaudio==2.11.0',
            page="start/install#when-something-is-wrong",
        ) from error
    return module
