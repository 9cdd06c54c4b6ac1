"""The raw wave as a spectrum of one band."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.types import Spectrum


class Waveform(nn.Module):
    """Pass samples through unchanged, for end-to-end systems; every sample is a frame.

    Args:
        sample_rate: in hertz.
        channels: 1 for mono, 2 for stereo.
    """

    def __init__(self, sample_rate: int = 16000, channels: int = 1) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.channels = self.out_channels = channels
        self.freq = 1

    def forward(self, wave: Float[Tensor, "batch channels time"]) -> Spectrum:
        """Return the wave with a frequency axis of one."""
        return Spectrum(rearrange(wave, "batch channels time -> batch channels 1 time"), wave.shape[-1])

    def features(self, spectrum: Spectrum) -> Float[Tensor, "batch maps freq frames"]:
        """Return the samples."""
        return spectrum.values

    def inverse(
        self, values: Float[Tensor, "batch channels freq frames"], length: int
    ) -> Float[Tensor, "batch channels time"]:
        """Drop the frequency axis again."""
        return rearrange(values, "batch channels 1 time -> batch channels time")[..., :length]
