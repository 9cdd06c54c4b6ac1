"""The channels of a recording: one is taken or copied, or all are mixed down to the one that a model takes."""

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from einops import rearrange, reduce, repeat
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.separation.intake import SeparationWarning

_COMPARED, _COMMON, _DEAD = 3.0, 0.25, 1e-4
"""Seconds of sound after which channels are compared; share of their power in common, 1 for equal ones, below which
they are told of; share of the loudest one's power below which a channel is dead."""

_FADE = 0.02
"""Seconds for which a channel of zeros stays in the mix once another is heard, then goes out of it, and comes in."""

_NEVER = 2**62


class ChannelWarning(SeparationWarning):
    """Something about the channels of a recording, for which one of them may be the better choice.

    Args:
        found: what it is.
        channel: that may be taken instead, from 1.
        which: of the channels that is, in words.
    """

    def __init__(self, found: str, channel: int, which: str) -> None:
        super().__init__(found, channel, which)
        self.found, self.channel, self.which = found, channel, which

    def __str__(self) -> str:
        return self._proposed(f"channel={self.channel}")

    @property
    def on_command_line(self) -> str:
        """The same in the words of the commands that take recordings."""
        return self._proposed(f"--channel {self.channel}")

    def _proposed(self, choice: str) -> str:
        return f"{self.found}; {choice} takes {self.which} alone"


def channel_map(
    channels: int, wanted: int, name: str, sample_rate: int, channel: int | None = None, quiet: bool = False
) -> Callable[[Float[Tensor, "batch channels time"]], Float[Tensor, "batch wanted time"]]:
    """Return how to bring the blocks of a recording to the model's number of channels; warns if that mixes channels.

    Args:
        channels: of the recording.
        wanted: of the model.
        name: of the recording, in messages.
        sample_rate: of the blocks, in hertz.
        channel: the one to be taken, from 1; None for all of them.
        quiet: do not warn.

    Raises:
        UserError: there is no such channel, or neither mixing down to one channel nor copying one channel does it.
    """
    if channel is not None:
        if not 1 <= channel <= channels:
            raise UserError(f"{name} has no channel {channel}; choose from 1 to {channels}")
        return lambda wave: repeat(wave[:, channel - 1], "batch time -> batch wanted time", wanted=wanted)
    if channels == wanted:
        return lambda wave: wave
    if channels == 1:
        return lambda wave: repeat(wave, "batch 1 time -> batch wanted time", wanted=wanted)
    if wanted == 1:
        return MixDown(channels, name, sample_rate, quiet)
    raise UserError(f"{name} has {channels} channels; the model takes {wanted} or 1")


class MixDown:
    """Mix the channels of a recording, block by block, and say so; and say if they turn out to have little in common.

    The mix is the mean of the channels that were heard so far: one that is nothing but zeros has no share from 40 ms
    after another is heard, and what is heard in the others is as loud as in them. Nobody knows beforehand whether such
    a channel stays silent. One that does not comes in within 20 ms; from there on the mix is the mean with it, and what
    was heard before it softer. To add it at full level instead would drive the mix beyond full scale.

    Where each person of a call has a channel, one is silent while the other speaks, and the mean has no more power than
    that of unrelated signals. Power is that of the differences of samples, which know no offset.
    """

    def __init__(self, channels: int, name: str, sample_rate: int, quiet: bool = False) -> None:
        self._name = name
        self._unheard = 0 if quiet else round(_COMPARED * sample_rate)
        self._apart = np.zeros(channels)
        self._together = 0.0
        self._fade = round(_FADE * sample_rate)
        self._passed = 0
        self._begun: Tensor | None = None  # in each channel of the batch, the first sample that is heard
        if not quiet:
            found = f"{name} has {channels} channels; they are mixed down to the one that the model takes"
            warnings.warn(ChannelWarning(found, 1, "the first"), stacklevel=4)

    def __call__(self, wave: Float[Tensor, "batch channels time"]) -> Float[Tensor, "batch 1 time"]:
        """Return the mean of the channels that were heard so far, however the recording is cut into blocks."""
        mixed = self._mixed(wave)
        if self._unheard > 0 and wave.any():
            self._compare(wave)
        return mixed

    def _mixed(self, wave: Float[Tensor, "batch channels time"]) -> Float[Tensor, "batch 1 time"]:
        start, self._passed = self._passed, self._passed + wave.shape[-1]
        if self._begun is None:
            self._begun = torch.full(wave.shape[:2], _NEVER)
        elif bool((self._begun + self._fade <= start).all()):
            return reduce(wave, "batch channels time -> batch 1 time", "mean")
        heard = wave != 0
        begins = (self._begun == _NEVER) & heard.any(dim=-1)
        if begins.any():  # of a block without samples there is no first one
            self._begun = torch.where(begins, start + heard.byte().argmax(dim=-1), self._begun)
        begun = rearrange(self._begun, "batch channels -> batch channels 1")
        onset = begun.amin(dim=1, keepdim=True)  # of the first channel that is heard
        time = torch.arange(start, self._passed)
        since = (self._left(begun - onset) + (time - begun + 1) / self._fade).clamp(max=1)
        share = torch.where(time < begun, self._left(time - onset), since)
        return (share * wave).sum(dim=1, keepdim=True) / share.sum(dim=1, keepdim=True)

    def _left(self, samples: Tensor) -> Tensor:
        """Return the share that a channel of zeros still has so long after another one was heard."""
        return 1 - (samples / self._fade - 1).clamp(0, 1)

    def _compare(self, wave: Float[Tensor, "batch channels time"]) -> None:
        channels = wave.shape[1]
        self._unheard -= wave.shape[-1]
        self._apart += reduce(wave.diff().square(), "batch channels time -> channels", "sum").double().numpy()
        self._together += float(wave.mean(dim=1).diff().square().sum())
        apart = self._apart.mean()
        common = channels * self._together - apart  # of channels that are equal (channels - 1) times their power
        if self._unheard > 0 or common >= _COMMON * (channels - 1) * apart:
            return
        dead = self._apart < _DEAD * self._apart.max()
        if dead.any():
            self._tell_of_dead(int(dead.sum()))
        elif self._together < _DEAD * apart:
            self._tell(f"the channels of {self._name} cancel each other, as those of opposite polarity do")
        else:
            self._tell(
                f"the channels of {self._name} have little in common: they may hold different voices already, as those "
                "of a phone call do"
            )

    def _tell_of_dead(self, dead: int) -> None:
        assert self._begun is not None
        mixed, channels = int((self._begun < _NEVER).any(dim=0).sum()), len(self._apart)
        nothing = f"of the {channels} channels of {self._name} {dead} hold{'s' * (dead == 1)}"
        if mixed > channels - dead:
            softer = 20 * math.log10(mixed / (channels - dead))
            self._tell(f"{nothing} next to nothing, which makes the mix {softer:.0f} dB softer")
        else:
            warnings.warn(f"{nothing} nothing, and no share in the mix", SeparationWarning, stacklevel=5)

    def _tell(self, found: str) -> None:
        take = int(self._apart.argmax()) + 1
        which = "the first" if take == 1 else "the loudest"
        warnings.warn(ChannelWarning(found, take, which), stacklevel=5)
