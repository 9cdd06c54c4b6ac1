"""Level: recordings come at any level, models know the one they were trained at."""

import torch
from jaxtyping import Float
from torch import Tensor

TRAINED = -23.0
"""Decibels of the loudest window of training mixtures: two talkers at -33 to -25 dB each, where they are loudest."""

_HALF_LIFE = 30.0
_MOST = 1e4


class Level:
    """Follow a recording's level and say by how much to amplify each window on the way into the model.

    The level is that of the loudest window so far, forgotten with a half-life of 30 s: it holds through
    pauses, rises at once, and needs no look ahead, so that files and live streams are treated alike.
    What is amplified on the way in is attenuated on the way out: the outputs keep the recording's level.

    Args:
        hop_seconds: from window to window.
        target: level that the model expects, in decibels relative to full scale.
    """

    def __init__(self, hop_seconds: float, target: float = TRAINED) -> None:
        self.loudest: Float[Tensor, " batch"] | None = None
        self._keep = 0.5 ** (hop_seconds / _HALF_LIFE)
        self._target = 10.0 ** (target / 20)

    def gains(self, windows: Float[Tensor, "batch steps channels window"]) -> Float[Tensor, "batch steps"]:
        """Return the factor of each window, in order; 1 as long as all is silent."""
        gains = []
        for power in windows.square().mean(dim=(2, 3)).unbind(1):
            self.loudest = power if self.loudest is None else torch.maximum(self.loudest * self._keep, power)
            factor = (self._target * self.loudest.rsqrt()).clamp(max=_MOST)
            gains.append(torch.where(self.loudest > 0, factor, 1.0))
        return torch.stack(gains, dim=1)
