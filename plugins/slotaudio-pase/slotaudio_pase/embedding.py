"""Features of a recording: mixed down, brought to the model's rate, encoded."""

from typing import Any

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor

from slotaudio.resampling import resample


@torch.no_grad()
def embedding(model: Any, wave: Float[Tensor, "channels time"], sample_rate: int) -> Float[Tensor, "tokens dim"]:
    """Return the tokens of a recording, in evaluation mode.

    The recording is encoded in one piece, whose full-rate feature maps are 64 times as large; cut very long ones.

    Args:
        model: its encoder is used, with its frontend.
        wave: any number of channels; several are mixed down.
        sample_rate: of the wave; any.
    """
    training = model.training
    model.eval()
    mono = reduce(wave, "channels time -> 1 1 time", "mean")
    tokens = model.encode(resample(mono, sample_rate, model.sample_rate)).tokens
    model.train(training)
    return rearrange(tokens, "1 steps tokens dim -> (steps tokens) dim")
