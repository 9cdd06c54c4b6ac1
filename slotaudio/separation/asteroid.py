"""A `Separator` in the words of asteroid, for its functions and for programs written for its models."""

from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.separation.separator import Separator


class Separatable:
    """What asteroid calls separatable (`asteroid.separate.Separatable`): `forward_wav`, `sample_rate`, `in_channels`.

    ``asteroid.separate.separate(Separatable(separator), "mix.wav", resample=True)`` writes ``mix_est1.wav``,
    ``mix_est2.wav``, ... as for any model of asteroid's. asteroid needs not be installed for the rest.

    Two axes are ``batch time`` there and ``channels time`` here, and sources have no channels there: hence a class of
    its own. asteroid's functions also bring the sources to one common level.

    Args:
        separator: of a model of one channel.

    Raises:
        UserError: the model gives sources of several channels.
    """

    in_channels: int | None = None
    """Any number: several channels are mixed down."""

    def __init__(self, separator: Separator) -> None:
        channels = separator.model.frontend.channels
        if channels != 1:
            raise UserError(f"asteroid's sources have one channel; those of this model have {channels}")
        self.separator = separator

    @property
    def sample_rate(self) -> float:
        """Of the model, in hertz; waves are taken to be at this rate."""
        return float(self.separator.sample_rate)

    def forward_wav(
        self, wav: Float[Tensor, "... time"] | Float[np.ndarray, "... time"], **options: Any
    ) -> Float[Tensor, "... sources time"] | Float[np.ndarray, "... sources time"]:
        """Separate waves of the axes ``time``, ``batch time`` or ``batch channels time``.

        Args:
            wav: array or tensor; the sources are of the same kind.
            options: those of calling the separator.

        Returns:
            Sources ``batch sources time``, without ``batch`` where the wave has only ``time``.

        Raises:
            UserError, AudioFileError: as for calling the separator.
        """
        wave = wav[:, None] if wav.ndim == 2 else wav
        sources = self.separator(wave, **options).sources
        return sources[:, :, 0] if sources.ndim == 4 else sources

    __call__ = forward_wav
