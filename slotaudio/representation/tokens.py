"""Tokens of an encoder over time: features of models without slots, and of the others before their slots."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.model import SlotModel, on_device
from slotaudio.representation.embedding import Embedding
from slotaudio.representation.sliding import CONTEXT, sliding
from slotaudio.types import Features


class TokenEmbedder:
    """The tokens of a model's encoder, one vector per time; tokens of several frequencies are averaged.

    Args:
        model: any with an encoder; put into evaluation mode.
        window: seconds that are encoded at once by models that take any length; others take their own.
        context: seconds on either side of which the tokens are left to the neighbouring windows. Encoders whose
            tokens hear no more give the same tokens as for the recording in one piece.
        device: where to compute; where the model is by default.
        channel: the one to be taken of a recording's, from 1; None brings all of them to those of the model.
    """

    def __init__(
        self,
        model: SlotModel,
        window: float = 10.0,
        context: float = CONTEXT,
        device: str | None = None,
        channel: int | None = None,
    ) -> None:
        self.model = on_device(device, model).eval()
        self.whole = model.window is not None
        self.window = model.window or window
        self.context = context
        self.channel = channel

    def __call__(self, blocks: Iterable[Float[Tensor, "channels _"]], sample_rate: int) -> Iterator[Embedding]:
        """Yield the tokens of the windows that are finished."""
        device = next((parameter.device for parameter in self.model.parameters()), torch.device("cpu"))

        @torch.no_grad()
        def encode(wave: Float[Tensor, "1 channels time"]) -> tuple[Tensor, Float[np.ndarray, " steps"]]:
            return by_time(self.model.encode(wave.to(device)))

        yield from sliding(
            encode,
            blocks,
            sample_rate,
            wanted=self.model.sample_rate,
            channels=self.model.frontend.channels,
            channel=self.channel,
            window=self.window,
            context=self.context,
            whole=self.whole,
        )


def by_time(features: Features) -> tuple[Float[Tensor, "steps dim"], Float[np.ndarray, " steps"]]:
    """Return the mean of the tokens of each time, and the times as shares of the window."""
    tokens = features.tokens[0]
    places = features.positions[:, -1].detach().cpu()
    distinct, column = places.unique(return_inverse=True)
    columns = len(distinct)
    inside = (distinct.double().numpy() + 1) / 2 * (1 - 1 / columns) + 0.5 / columns
    steps = len(tokens)
    sums = tokens.new_zeros(steps, columns, tokens.shape[-1]).index_add_(1, column.to(tokens.device), tokens)
    means = sums / torch.bincount(column, minlength=columns).to(tokens)[:, None]
    return means.flatten(0, 1), ((np.arange(steps)[:, None] + inside) / steps).reshape(-1)
