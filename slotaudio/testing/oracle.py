"""A stand-in for a model that knows the answer, to see how an objective judges it."""

from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.frontends.stft import STFT
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.testing.drawing import noise
from slotaudio.types import Batch, Estimates, Features, Prediction, Slots


class Oracle(nn.Module):
    """Answer with the batch's own sources, in some order, and some noise on them.

    Args:
        batch: what the objective is going to show.
        perfect: ``"sources"``, or ``"mixture"`` for objectives that ask for their input back.
        level: of the noise, relative to audio's full scale.
        labelled: keep the order of the sources.
    """

    def __init__(
        self, batch: Batch, perfect: Literal["sources", "mixture"], level: float, labelled: bool = False
    ) -> None:
        super().__init__()
        self.batch, self.perfect, self.level, self.labelled = batch, perfect, level, labelled
        self.frontend = STFT(window=64, hop=16, framing="centred")
        self.matcher = Hungarian()
        self.sample_rate, self.window_samples, self.slots = 16000, None, batch.sources.shape[1]
        self.window, self.mask = None, "wiener"

    def forward(self, windows: Float[Tensor, "batch 1 channels time"]) -> Prediction:
        """Return the answer as finished waves."""
        mixture = rearrange(windows, "batch 1 channels time -> batch channels time")
        if self.perfect == "sources":
            kept = self.batch.mixture[:, :1, :1, None] > 0  # every item has an order of its own
            waves = torch.where(kept | self.labelled, self.batch.sources, self.batch.sources.flip(1))
        else:
            waves = mixture[:, None].expand(-1, self.slots, -1, -1)
        waves = waves + self.level * noise(0, *waves.shape)
        batch, slots = waves.shape[:2]
        tokens = torch.zeros(batch, 1, 1, 1)
        return Prediction(
            self.frontend(mixture),
            Features(tokens, torch.zeros(1, 2)),
            Slots(torch.zeros(batch, 1, slots, 1)),
            Estimates(waves=waves),
        )

    def sources(self, prediction: Prediction, batch: int) -> Float[Tensor, "batch 1 slots channels time"]:
        """Return the waves."""
        assert prediction.estimates.waves is not None  # see `forward`
        return rearrange(prediction.estimates.waves, "batch slots channels time -> batch 1 slots channels time")
