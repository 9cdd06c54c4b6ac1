"""Features that nothing was learned for: what learned ones have to beat."""

from collections.abc import Iterable, Iterator

import numpy as np
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from slotaudio.representation.embedding import Embedding
from slotaudio.representation.sliding import sliding
from slotaudio.resampling import torchaudio

_HOP, _FRAME, _SIZE = 0.010, 0.025, 512


class LogMel:
    """Logarithms of mel bands, every 10 ms of 25 ms.

    Args:
        bands: number of mel bands.
        sample_rate: that recordings are brought to, in hertz.
        channel: the one to be taken of a recording's, from 1; None mixes them down.
    """

    def __init__(self, bands: int = 80, sample_rate: int = 16000, channel: int | None = None) -> None:
        self.sample_rate = sample_rate
        self.channel = channel
        self._hop = round(_HOP * sample_rate)
        size = round(_FRAME * sample_rate)
        self._mel = torchaudio().transforms.MelSpectrogram(
            sample_rate,
            n_fft=max(_SIZE, size),
            win_length=size,
            hop_length=self._hop,
            n_mels=bands,
            pad_mode="constant",
        )

    def __call__(self, blocks: Iterable[Float[Tensor, "channels _"]], sample_rate: int) -> Iterator[Embedding]:
        """Yield the bands of the windows that are finished."""
        yield from sliding(
            self._frames, blocks, sample_rate, wanted=self.sample_rate, channel=self.channel, step=_FRAME
        )

    def _frames(
        self, wave: Float[Tensor, "1 1 time"]
    ) -> tuple[Float[Tensor, "steps dim"], Float[np.ndarray, " steps"]]:
        # frames lie around multiples of the hop; the one behind the last sample is left out
        count = -(-wave.shape[-1] // self._hop)
        bands = rearrange(self._mel(wave), "1 1 dim steps -> steps dim")[:count]
        return self.finished(bands), np.arange(count) * self._hop / wave.shape[-1]

    def finished(self, bands: Float[Tensor, "steps bands"]) -> Float[Tensor, "steps dim"]:
        """Return the features of mel bands."""
        return bands.clamp_min(1e-8).log()


class Mfcc(LogMel):
    """Mel-frequency cepstral coefficients, every 10 ms of 25 ms (Davis and Mermelstein 1980).

    Args:
        coefficients: the first so many, that of the level included.
        bands: number of mel bands.
        sample_rate: that recordings are brought to, in hertz.
        channel: the one to be taken of a recording's, from 1; None mixes them down.
    """

    def __init__(
        self, coefficients: int = 20, bands: int = 40, sample_rate: int = 16000, channel: int | None = None
    ) -> None:
        super().__init__(bands, sample_rate, channel)
        self._cosines = torchaudio().functional.create_dct(coefficients, bands, norm="ortho")

    def finished(self, bands: Float[Tensor, "steps bands"]) -> Float[Tensor, "steps dim"]:
        """Return the cepstrum of mel bands."""
        return super().finished(bands) @ self._cosines
