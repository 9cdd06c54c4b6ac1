"""Level: recordings come at any level, models know the one they were trained at."""

import torch
from jaxtyping import Float
from torch import Tensor

TRAINED = -23.5
"""Decibels of the loudest half second of training mixtures, as measured: two talkers at -33 to -25 dB each."""

_HALF_LIFE = 30.0
_MOST = 1e4


class Level:
    """Follow a recording's level and say by how much to amplify each window on the way into the model.

    The level is that of the loudest half second so far, forgotten with a half-life of 30 s: it holds through
    pauses, rises at once, and needs no look ahead, so that files and live streams are treated alike.
    What is amplified on the way in is attenuated on the way out: the outputs keep the recording's level.

    Args:
        sample_rate: in hertz.
        hop: samples from window to window.
        target: level that the model expects, in decibels relative to full scale.
    """

    def __init__(self, sample_rate: int, hop: int, target: float = TRAINED) -> None:
        self.loudest: Float[Tensor, " batch"] | None = None
        self._keep = 0.5 ** (hop / sample_rate / _HALF_LIFE)
        self._part = sample_rate // 2
        self._target = 10.0 ** (target / 20)

    def gains(self, windows: Float[Tensor, "batch steps channels window"]) -> Float[Tensor, "batch steps"]:
        """Return the factor of each window, in order; 1 as long as all is silent."""
        gains = []
        size = min(self._part, windows.shape[-1])  # half a second, or whole windows where these are shorter
        parts = windows.unfold(-1, size, max(1, self._part // 2)).square().mean(dim=(2, 4))
        last = windows[..., -size:].square().mean(dim=(2, 3))  # which may lie between two of the others
        powers = torch.maximum(parts.amax(dim=2), last)
        for power in powers.unbind(1):
            self.loudest = power if self.loudest is None else torch.maximum(self.loudest * self._keep, power)
            factor = (self._target * self.loudest.rsqrt()).clamp(max=_MOST)
            gains.append(torch.where(self.loudest > 0, factor, 1.0))
        return torch.stack(gains, dim=1)
