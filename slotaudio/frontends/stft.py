"""The short-time Fourier transform with power compression."""

from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Complex, Float
from torch import Tensor, nn

from slotaudio.errors import UserError
from slotaudio.types import Spectrum


class STFT(nn.Module):
    """STFT magnitudes compressed by a power, and the way back.

    ``framing="end_pad"`` is for AudioSlots (arXiv 2305.05591, section 3), whose window, hop and power are the
    defaults: frames start at sample 0, the end is padded with zeros, and the last bin is dropped, so that 0.5 s at
    16 kHz gives exactly 256 x 64. The paper does not say so; but 257 or 65 would not lead to its grid of 32 x 8, and
    its oracle rows agree with these frames alone. Its inverse divides by what windows *without end* would
    add up to, so the first and last samples fade; dividing by the true sum, nearly zero there, would
    explode. ``framing="centred"`` reflects the wave at both ends, keeps every bin and is exactly
    invertible: the better one whenever the paper's geometry is not needed.

    Args:
        sample_rate: in hertz.
        window: length of the Hann window and the transform, in samples.
        hop: in samples.
        power: exponent of the compression, magnitude to the power of 0.3 in the paper.
        framing: ``"end_pad"`` or ``"centred"``.
        features: what encoders see, ``"magnitude"`` (1 map: compressed magnitude) or ``"complex"``
            (3 maps: compressed real and imaginary part, compressed magnitude).

    Raises:
        UserError: unknown framing or features, or sizes that do not fit.
    """

    hann: Tensor
    gain: Tensor

    def __init__(
        self,
        sample_rate: int = 16000,
        window: int = 512,
        hop: int = 125,
        power: float = 0.3,
        framing: Literal["end_pad", "centred"] = "end_pad",
        features: Literal["magnitude", "complex"] = "magnitude",
    ) -> None:
        super().__init__()
        if framing not in ("end_pad", "centred"):
            raise UserError(f"stft: framing {framing!r} is not known; choose 'end_pad' or 'centred'")
        if features not in ("magnitude", "complex"):
            raise UserError(f"stft: features {features!r} are not known; choose 'magnitude' or 'complex'")
        if not 0 < hop <= window // 2:
            raise UserError(f"stft: a hop of {hop} needs a window of at least {2 * hop} samples, not {window}")
        if not 0 < power <= 1:
            raise UserError(f"stft: power {power} is outside 0 < power <= 1")
        self.sample_rate = sample_rate
        self.channels = 1
        self.window = window
        self.hop = hop
        self.power = power
        self.framing = framing
        self.kind = features
        self.freq = window // 2 + (framing == "centred")
        self.out_channels = 1 if features == "magnitude" else 3
        self.register_buffer("hann", torch.hann_window(window), persistent=False)
        squares = nn.functional.pad(self.hann.square(), (0, -window % hop))
        self.register_buffer("gain", squares.unflatten(0, (-1, hop)).sum(dim=0), persistent=False)

    def forward(self, wave: Float[Tensor, "batch channels time"]) -> Spectrum:
        """Transform a wave of any length of at least one sample."""
        batch, _, length = wave.shape
        exact = wave.to(torch.promote_types(wave.dtype, torch.float32))  # there is no transform of bfloat16
        flat = rearrange(exact, "batch channels time -> (batch channels) time")
        if self.framing == "end_pad":
            frames = -(-length // self.hop)
            flat = nn.functional.pad(flat, (0, (frames - 1) * self.hop + self.window - length))
            values = torch.stft(flat, self.window, self.hop, window=self.hann, center=False, return_complex=True)
            values = values[:, :-1]  # 256 bins divide by 8, 257 do not; the Nyquist bin holds next to nothing
        else:
            # reflection needs more samples than half a window; shorter waves continue with silence
            flat = nn.functional.pad(flat, (0, max(0, self.window // 2 + 1 - length)))
            values = torch.stft(flat, self.window, self.hop, window=self.hann, return_complex=True)
        values = rearrange(values, "(batch channels) freq frames -> batch channels freq frames", batch=batch)
        return Spectrum(values, length)

    def features(self, spectrum: Spectrum) -> Float[Tensor, "batch maps freq frames"]:
        """Return the compressed magnitude, or compressed real, imaginary and magnitude maps."""
        compressed = self.compress(spectrum.values)
        if self.kind == "magnitude":
            return compressed
        unit = spectrum.values / spectrum.values.abs().clamp_min(1e-8)
        return torch.cat([unit.real * compressed, unit.imag * compressed, compressed], dim=1)

    def compress(self, values: Complex[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        """Magnitude to the power of `power`; the floor keeps the gradient finite at silence."""
        return values.abs().clamp_min(1e-8) ** self.power

    def expand(self, compressed: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        """Undo `compress`; negative values, which a linear output can give, become zero."""
        return compressed.clamp_min(0) ** (1 / self.power)

    def inverse(
        self, values: Complex[Tensor, "batch channels freq frames"], length: int
    ) -> Float[Tensor, "batch channels time"]:
        """Return the wave of `length` samples."""
        batch = values.shape[0]
        flat = rearrange(values, "batch channels freq frames -> (batch channels) freq frames")
        if self.framing == "end_pad":
            wave = self._overlap_add(nn.functional.pad(flat, (0, 0, 0, 1)))
        else:
            padded = max(length, self.window // 2 + 1)
            wave = torch.istft(flat, self.window, self.hop, window=self.hann, length=padded)
        return rearrange(wave[:, :length], "(batch channels) time -> batch channels time", batch=batch)

    def _overlap_add(self, values: Complex[Tensor, "rows freq frames"]) -> Float[Tensor, "rows time"]:
        frames = torch.fft.irfft(values, n=self.window, dim=1) * self.hann[:, None]
        size = (values.shape[-1] - 1) * self.hop + self.window
        wave = nn.functional.fold(frames, (1, size), (1, self.window), stride=(1, self.hop))[:, 0, 0]
        return wave / self.gain.repeat(-(-size // self.hop))[:size]
