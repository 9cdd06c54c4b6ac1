"""Whole recordings: when one is over, it is known which of its outputs are sources, and in which order they belong."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from slotaudio.separation.hindsight import HindsightOrder
from slotaudio.separation.intake import Wave
from slotaudio.separation.joining import JoiningRule
from slotaudio.separation.observation import Observation

if TYPE_CHECKING:
    from slotaudio.separation.separator import Separator


class WholeRecording:
    """Separate a recording in blocks, as a stream does, but decide about the order of its outputs when all were heard.

    Until then nobody who changes places is brought back: what `push` and `finish` return is to be put into `order`.

    Args:
        separator: whose model and options it is separated with.
        sample_rate: of the blocks, in hertz.
        rule: the order of each window's slots, which is then that of the outputs; by default what `joining` says.
        observer: called with what the model saw in each window.
        follow: bring back who changes places at once, as a stream does, for who listens meanwhile; `order` then moves
            nobody.

    Raises:
        UserError: an impossible sample rate.
    """

    def __init__(
        self,
        separator: "Separator",
        sample_rate: int,
        rule: JoiningRule | None = None,
        observer: Callable[[Observation], None] | None = None,
        *,
        follow: bool = False,
    ) -> None:
        self.sample_rate = sample_rate
        self.meter = separator.presence_meter(observer)
        """Says how many sources there are, and which outputs hold them."""
        self._slots = separator.model.slots
        self._stream = separator.open(sample_rate, rule, self.meter.update, follow=follow)
        self._hindsight = None if follow or rule is not None else separator.hindsight(sample_rate)

    @property
    def received(self) -> int:
        """Samples pushed so far."""
        return self._stream.received

    def push(self, block: Wave) -> Float[Tensor, "batch slots channels finished"]:
        """Take the next block and return what is finished; see `SourceStream.push`."""
        return self._heard(self._stream.push(block))

    def finish(self) -> Float[Tensor, "batch slots channels finished"]:
        """Return the rest; see `SourceStream.finish`."""
        rest = self._heard(self._stream.finish())
        if self._hindsight is not None:
            self._hindsight.finish()
        return rest

    def order(self, recording: int = 0) -> HindsightOrder:
        """Return, after `finish`, the order of the outputs of one recording of the batch."""
        if self._hindsight is None:
            return HindsightOrder.unchanged(self.sample_rate, self._slots)
        return self._hindsight.decide(self.meter.present()[recording], recording)

    def _heard(self, piece: Float[Tensor, "batch slots channels _"]) -> Float[Tensor, "batch slots channels _"]:
        if self._hindsight is not None:
            self._hindsight.push(piece)
        return piece
