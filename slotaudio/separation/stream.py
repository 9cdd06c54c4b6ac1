"""The one path from a wave to sources: blocks go in, finished sources come out, memory stays constant.

    block ─ offset off ─ resample ─ windows ─ level ─ model ─ mask ─ join ─ follow turns ─ resample back ─
    share residual ─▶ piece

Whole recordings, files and live sources all go through `SourceStream`; however the wave is cut into blocks,
the sources are the same.
"""

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.resampling import Resampler
from slotaudio.separation.consistency import MixtureConsistency
from slotaudio.separation.framing import Framing
from slotaudio.separation.intake import Wave, as_batch
from slotaudio.separation.joining import Joiner, JoiningRule, SlotWindow, take
from slotaudio.separation.observation import Observation, levels, reordered
from slotaudio.separation.offset import REACH, OffsetFilter
from slotaudio.separation.predictor import WindowPredictor
from slotaudio.separation.state import fingerprint, load_state, save_state
from slotaudio.separation.turns import TurnFollower
from slotaudio.separation.windows import count, split
from slotaudio.types import Slots


class SourceStream:
    """Separate a recording that arrives in blocks; made by `Separator.open`.

    Args:
        predictor: of this recording.
        framing: windows and hops.
        rule: the order of each window's slots.
        sample_rate: of the blocks, and of what comes back.
        consistent: make the outputs add up to the mixture; its offset is shared equally.
        rest: but for what the model leaves of the frequencies that it hears, and the offset.
        follower: brings back who changes places inside of windows; None for nobody.
        observer: called with every window.
    """

    def __init__(
        self,
        predictor: WindowPredictor,
        framing: Framing,
        rule: JoiningRule,
        sample_rate: int,
        *,
        consistent: bool,
        rest: bool,
        follower: TurnFollower | None,
        observer: Callable[[Observation], None] | None,
    ) -> None:
        self.model = model = predictor.model
        self.framing = framing
        self.observer = observer
        self._sample_rate = sample_rate
        self._filter = OffsetFilter(sample_rate)
        self._in = Resampler(sample_rate, model.sample_rate)
        self._out = Resampler(model.sample_rate, sample_rate)
        self._predictor = predictor
        self._joiner = Joiner(framing.window, framing.hop, rule)
        self._follower = follower
        self._consistency = MixtureConsistency(sample_rate, consistent=consistent, rest=rest)
        self._buffer: Tensor | None = None  # model's rate, from the start of the next window
        self._past: Tensor | None = None  # model's rate, what came right before the buffer
        self.received = 0
        """Samples pushed so far."""
        self._over = self._busy = False  # busy in the middle of a block, for ever if it failed there
        self._resampled = self._windows = self._joined = 0

    @property
    def latency(self) -> float:
        """Seconds that a sample waits at most for others before it is finished; computing comes on top."""
        joined = (self.framing.window + (self.framing.together - 1) * self.framing.hop) / self.model.sample_rate
        followed = 0.0 if self._follower is None else self._follower.latency
        waits = self._in.latency + joined + followed + self._out.latency + self._consistency.latency
        return REACH + max(REACH, waits)  # the first samples wait for both sides

    @torch.no_grad()
    def push(self, block: Wave) -> Float[Tensor, "batch slots channels finished"]:
        """Take the next block and return what is finished of the sources, possibly no samples.

        Args:
            block: floats of as many channels as the model takes; axes ``time``, ``channels time`` or
                ``batch channels time``.

        Raises:
            UserError: a block of the wrong type, axes or channels, or of another batch; the stream is finished,
                or in the middle of a block, which another thread pushed or which failed there.
            AudioFileError: samples that are not finite. The stream goes on after a block that was refused.
        """
        self._check_going()
        wave = self._checked(block)
        self._busy = True
        if self._buffer is None:
            self._buffer = wave.new_zeros(*wave.shape[:2], self.framing.lead)
            self._past = self._buffer[..., :0]
        self.received += wave.shape[-1]
        wave = self._consistency.keep(*self._filter.push(wave))
        joined = self._separate(self._in.push(wave), self.framing.together)
        if self._follower is not None:
            joined = self._follower.push(joined)
        piece = self._consistency.push(self._out.push(self._consistency.beside(joined)))
        self._busy = False
        return piece

    @torch.no_grad()
    def finish(self) -> Float[Tensor, "batch slots channels finished"]:
        """Return the rest; all pieces together are as long as all blocks together.

        Raises:
            UserError: nothing was pushed, or the stream is finished already.
        """
        self._check_going()
        if self._buffer is None:
            raise UserError("this stream got no block yet: push() one before finish()")
        self._over = self._busy = True
        framing = self.framing
        last = self._in.push(self._consistency.keep(*self._filter.finish()))
        pieces = [self._separate(torch.cat([last, self._in.finish()], dim=-1), framing.together)]
        length = self._resampled
        remaining = count(2 * framing.lead + length, framing.window, framing.hop) - self._windows
        if remaining > 0:
            missing = (remaining - 1) * framing.hop + framing.window - self._buffer.shape[-1]
            self._buffer = torch.nn.functional.pad(self._buffer, (0, missing))
            pieces.append(self._separate(self._buffer[..., :0], least=1, padding=max(0, missing - framing.lead)))
        pieces.append(self._without_lead(self._joiner.finish()))
        joined = torch.cat(pieces, dim=-1)
        joined = joined[..., : joined.shape[-1] - (self._joined - framing.lead - length)]
        if self._follower is not None:
            joined = torch.cat([self._follower.push(joined), self._follower.finish()], dim=-1)
        sources = torch.cat([self._out.push(self._consistency.beside(joined)), self._out.finish()], dim=-1)
        ending = self._consistency.finish(sources)
        self._busy = False
        return ending

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that the stream remembers to a file, to go on later or elsewhere.

        Raises:
            UserError: see `slotaudio.separation.state.save_state`; the stream is in the middle of a block.
        """
        self._check_whole()
        save_state(self, path, self._made_for())

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Go on where a stream of the same separator was saved, whatever this one received so far.

        Raises:
            UserError: the file is no such state, or the model, the rate or an option differs (says which).
        """
        load_state(self, path, self._made_for())

    def _check_whole(self) -> None:
        if self._busy:
            raise UserError(
                "this stream is in the middle of a block: one thread at a time may push; if the block failed, open "
                "another stream, or restore() what was saved before"
            )

    def _check_going(self) -> None:
        self._check_whole()
        if self._over:
            raise UserError("this stream is finished: open another one for another recording")

    def _checked(self, block: Wave) -> Float[Tensor, "batch channels time"]:
        wave, channels = as_batch(block, self._sample_rate, self.received), self.model.frontend.channels
        if wave.shape[1] != channels:
            raise UserError(
                f"a block of {wave.shape[1]} channels (its shape is {tuple(block.shape)}), where the model takes "
                f"{channels}: Separator.stream mixes or copies channels"
            )
        if self._buffer is not None and len(wave) != len(self._buffer):
            raise UserError(f"a block of a batch of {len(wave)}, where the first was of {len(self._buffer)}")
        return wave

    def _made_for(self) -> dict[str, Any]:
        return {
            "model": fingerprint(self.model),
            "sample rate": self._sample_rate,
            "framing": asdict(self.framing),
            "mask": self._predictor.mask.to_dict(),
            "joining": type(self._joiner.rule).__name__,
            "turns": self._follower is not None,
            "consistency": self._consistency.consistent,
            "rest": self._consistency.rest,
            "level": self._predictor.level is not None,
        }

    def _separate(
        self, wave: Float[Tensor, "batch channels time"], least: int, padding: int = 0
    ) -> Float[Tensor, "batch slots channels joined"]:
        """Append to the buffer and take windows from it, as long as there are `least` of them.

        The last window may end in `padding`, see `WindowPredictor`.
        """
        assert self._buffer is not None
        self._resampled += wave.shape[-1]
        self._buffer = torch.cat([self._buffer, wave], dim=-1)
        self._consistency.hear(wave)
        framing = self.framing
        batch, channels = self._buffer.shape[:2]
        pieces = [self._buffer.new_zeros(batch, self.model.slots, channels, 0)]
        while (ready := (self._buffer.shape[-1] - framing.window) // framing.hop + 1) >= least:
            steps = min(ready, framing.together)
            if padding and ready > 1:
                steps = min(steps, ready - 1)  # the last by itself
            stretch = self._buffer[..., : (steps - 1) * framing.hop + framing.window]
            windows = split(stretch, framing.window, framing.hop)
            pieces += self._join_windows(windows, padding if ready == 1 else 0)
            self._past = self._buffer[..., (steps - 1) * framing.hop : steps * framing.hop]
            self._buffer = self._buffer[..., steps * framing.hop :]
        return torch.cat(pieces, dim=-1)

    def _join_windows(
        self, windows: Float[Tensor, "batch steps channels window"], padding: int
    ) -> list[Float[Tensor, "batch slots channels hop"]]:
        predicted = self._predictor(windows, self._past if self._windows else None, padding)
        upcoming = [
            SlotWindow(wave, slots.vectors.mean(dim=1).to(wave), carried=predicted.carried)
            for wave, slots in zip(predicted.waves.unbind(1), predicted.slots, strict=True)
        ]
        self._joiner.foresee(upcoming)
        pieces = []
        for window, slots in zip(upcoming, predicted.slots, strict=True):
            piece, order = self._joiner.push(window)
            pieces.append(self._without_lead(piece))
            self._observe(slots, predicted.positions, order, window.waves, predicted.earlier)
        return pieces

    def _observe(
        self,
        slots: Slots,
        positions: Float[Tensor, "tokens axes"],
        order: Int[Tensor, "batch slots"],
        waves: Float[Tensor, "batch slots channels window"],
        earlier: int,
    ) -> None:
        start = (self._windows * self.framing.hop - self.framing.lead - earlier) / self.model.sample_rate
        self._windows += 1
        if self.observer is not None:
            level = levels(take(waves, order), slots.vectors.shape[1])
            self.observer(Observation(start, reordered(slots, order), positions, order, level))

    def _without_lead(
        self, joined: Float[Tensor, "batch slots channels joined"]
    ) -> Float[Tensor, "batch slots channels rest"]:
        lead = max(0, self.framing.lead - self._joined)
        self._joined += joined.shape[-1]
        return joined[..., lead:]
