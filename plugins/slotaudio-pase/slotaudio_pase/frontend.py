"""SincNet as a frontend: one real band per learned filter."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.types import Spectrum
from slotaudio_pase.sinc import SincFilters


class SincFrontend(nn.Module):
    """Filter the wave with SincNet's band-pass filters, and put it together again from their bands.

    The inverse applies every filter once more (they are symmetric), adds the bands up and divides each frequency by
    the power that the bank passes there: for a stride of 1 that is the least-squares inverse, exact where the
    bank passes anything. What lies below the lowest edge or above the highest is lost, and so is, with longer
    strides, what aliases.

    Args:
        filters: number of bands.
        width: taps of each filter, odd.
        stride: samples from frame to frame.
        sample_rate: in hertz.
    """

    def __init__(self, filters: int = 64, width: int = 251, stride: int = 1, sample_rate: int = 16000) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.channels = self.out_channels = 1
        self.freq = filters
        self.stride = stride
        self.filters = SincFilters(filters, width, sample_rate)

    def forward(self, wave: Float[Tensor, "batch channels time"]) -> Spectrum:
        """Return the bands, ``ceil(time / stride)`` frames."""
        weight = self.filters()
        bands = nn.functional.conv1d(wave, weight, stride=self.stride, padding=weight.shape[-1] // 2)
        return Spectrum(rearrange(bands, "batch freq frames -> batch 1 freq frames"), wave.shape[-1])

    def features(self, spectrum: Spectrum) -> Float[Tensor, "batch maps freq frames"]:
        """Return the bands."""
        return spectrum.values

    def inverse(
        self, values: Float[Tensor, "batch channels freq frames"], length: int
    ) -> Float[Tensor, "batch channels time"]:
        """Return the wave that the bands stand for."""
        weight = self.filters().to(values)
        bands = rearrange(values, "batch 1 freq frames -> batch freq frames")
        added = nn.functional.conv_transpose1d(bands, weight, stride=self.stride)
        with torch.autocast(values.device.type, enabled=False):
            size = added.shape[-1] + weight.shape[-1]
            passed = torch.fft.rfft(self.filters().squeeze(1), n=size).abs().square().sum(0) / self.stride
            floor = 1e-3 * passed.max()
            wave = torch.fft.irfft(torch.fft.rfft(added.to(passed), n=size) / passed.clamp_min(floor), n=size)
        margin = weight.shape[-1] // 2
        return wave[..., margin : margin + length]
