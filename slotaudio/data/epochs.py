"""`Epochs`: what the items of a data set are drawn from."""

import warnings
from typing import Literal

import numpy as np
import torch

from slotaudio.data.recordings import UnreadableUtterance
from slotaudio.errors import DataError

OnError = Literal["raise", "skip"]


class SkippedUtterance(UserWarning):
    """An utterance could not be read, and the data set was told to go on without it."""


class Epochs:
    """Random numbers by seed, epoch and index, and what to do about items that cannot be made.

    Epoch and count are in shared memory, so that worker processes that live on see the next epoch, and what they skip
    is counted.

    Args:
        seed: of all epochs.
        fixed: every epoch is the first one.
        on_error: ``"raise"`` or ``"skip"``.

    Raises:
        DataError: another `on_error`.
    """

    def __init__(self, seed: int, fixed: bool = False, on_error: OnError = "raise") -> None:
        if on_error not in ("raise", "skip"):
            raise DataError(f"on_error = {on_error!r} is not known; choose 'raise' or 'skip'")
        self.seed, self.fixed, self.on_error = seed, fixed, on_error
        self._shared = torch.zeros(2, dtype=torch.int64).share_memory_()

    @property
    def current(self) -> int:
        """Number of the epoch."""
        return int(self._shared[0])

    @property
    def skipped(self) -> int:
        """How often `skip` went on."""
        return int(self._shared[1])

    def move(self, epoch: int) -> None:
        """Go to another epoch, unless all are the first one."""
        self._shared[0] = 0 if self.fixed else epoch

    def rng(self, index: int, *stream: int) -> np.random.Generator:
        """Return the random numbers of an item of this epoch; of each stream others."""
        return np.random.default_rng([self.seed, self.current, index, *stream])

    def skip(self, error: UnreadableUtterance) -> None:
        """Warn of an item that cannot be made, and count it.

        Raises:
            UnreadableUtterance: the very error, where the data set is to stop at it.
        """
        if self.on_error == "raise":
            raise error
        self._shared[1] += 1
        warnings.warn(f"skipped: {error}", SkippedUtterance, stacklevel=3)
