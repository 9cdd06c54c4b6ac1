"""A stand-in for a model that knows the answer, to see how an objective judges it."""

from dataclasses import replace
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
        level: of the noise, relative to audio's full scale; one number, or one for each slot (see `only`).
        labelled: keep the order of the sources.
    """

    def __init__(
        self, batch: Batch, perfect: Literal["sources", "mixture"], level: float | Tensor, labelled: bool = False
    ) -> None:
        super().__init__()
        self.batch, self.perfect, self.level, self.labelled = batch, perfect, level, labelled
        self.frontend = STFT(window=64, hop=16, framing="centred")
        self.matcher = Hungarian()
        self.sample_rate, self.window_samples, self.slots = 16000, None, batch.sources.shape[1]
        self.window, self.mask = None, "wiener"
        self.offset = torch.zeros(batch.sources.shape)

    def forward(self, windows: Float[Tensor, "batch 1 channels time"]) -> Prediction:
        """Return the answer as finished waves."""
        mixture = rearrange(windows, "batch 1 channels time -> batch channels time")
        if self.perfect == "sources":
            kept = self.batch.mixture[:, :1, :1, None] > 0  # every item has an order of its own
            waves = torch.where(kept | self.labelled, self.batch.sources, self.batch.sources.flip(1))
        else:
            waves = mixture[:, None].expand(-1, self.slots, -1, -1)
        waves = waves + self.offset[torch.arange(len(waves)) % len(self.offset)] + self.level * noise(0, *waves.shape)
        batch, slots = waves.shape[:2]
        tokens = torch.zeros(batch, 1, 1, 1)
        return Prediction(
            self.frontend(mixture),
            Features(tokens, torch.zeros(1, 2)),
            Slots(torch.zeros(batch, 1, slots, 1)),
            Estimates(waves=waves),
        )

    def giving_the_mixture(self) -> "Oracle":
        """Return a model that did not separate anything: each slot holds an equal share of the mixture."""
        shared = (self.batch.mixture[:, None] / self.slots).expand_as(self.batch.sources)
        return Oracle(replace(self.batch, sources=shared), "sources", 0.0, labelled=True)

    def sources(self, prediction: Prediction, batch: int) -> Float[Tensor, "batch 1 slots channels time"]:
        """Return the waves."""
        assert prediction.estimates.waves is not None  # see `forward`
        return rearrange(prediction.estimates.waves, "batch slots channels time -> batch 1 slots channels time")


def only(slot: int, slots: int) -> Float[Tensor, "slots 1 1"]:
    """Return the level of noise in one slot alone."""
    return (torch.arange(slots) == slot).float()[:, None, None]
