"""The one path from a wave to sources: blocks go in, finished sources come out, memory stays constant.

    block ─ resample ─ windows ─ level ─ model ─ mask ─ join ─ follow turns ─ resample back ─ share residual ─▶ piece

Whole recordings, files and live sources all go through `SourceStream`; however the wave is cut into blocks,
the sources are the same.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.model import SlotModel
from slotaudio.resampling import Resampler
from slotaudio.separation.framing import Framing
from slotaudio.separation.joining import Joiner, JoiningRule, SlotWindow, take
from slotaudio.separation.level import Level
from slotaudio.separation.masks import synthesise
from slotaudio.separation.observation import Observation, levels, of_window, reordered
from slotaudio.separation.residual import ResidualSharer
from slotaudio.separation.state import fingerprint, load_state, save_state
from slotaudio.separation.turns import TurnFollower
from slotaudio.separation.windows import count, split
from slotaudio.spec import Spec
from slotaudio.types import Slots


class SourceStream:
    """Separate a recording that arrives in blocks; made by `Separator.open`.

    Args:
        model: in evaluation mode.
        framing: windows and hops.
        rule: the order of each window's slots.
        follower: brings back who changes places inside of windows; None for nobody.
        sample_rate: of the blocks, and of what comes back.
        mask: how magnitudes become masks.
        consistent: make the outputs add up to the mixture.
        rest: but for what the model leaves of the frequencies that it hears.
        target: level in decibels that the model expects; None leaves levels alone.
        seed: of slots that start from noise.
        observer: called with every window.
        precision: ``"bf16"`` lets the model compute its matrix products in bfloat16.
    """

    def __init__(
        self,
        model: SlotModel,
        framing: Framing,
        rule: JoiningRule,
        sample_rate: int,
        mask: Spec,
        consistent: bool = True,
        target: float | None = None,
        seed: int = 0,
        observer: Callable[[Observation], None] | None = None,
        precision: str = "fp32",
        rest: bool = False,
        follower: TurnFollower | None = None,
    ) -> None:
        self.model = model
        self.precision = precision
        self.framing = framing
        self.mask = mask
        self.observer = observer
        self._device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        self._sample_rate = sample_rate
        self._in = Resampler(sample_rate, model.sample_rate)
        self._out = Resampler(model.sample_rate, sample_rate)
        self._level = None if target is None else Level(model.sample_rate, framing.hop, target)
        self._joiner = Joiner(framing.window, framing.hop, rule)
        self._follower = follower
        self._sharer = ResidualSharer(sample_rate // 100) if consistent else None
        self._rest = consistent and rest
        self._generator = torch.Generator(self._device).manual_seed(seed)
        self._initial: Tensor | None = None  # slots carried over from the last window
        self._buffer: Tensor | None = None  # model's rate, from the start of the next window
        self._unjoined: Tensor | None = None  # model's rate, from the next sample to be joined; where a rest is left
        self._past: Tensor | None = None  # model's rate, what came right before the buffer
        self._mixture: Tensor | None = None  # input's rate, from the next sample to be finished
        self.received = 0
        """Samples pushed so far."""
        self._resampled = self._windows = self._joined = self._made = 0

    @property
    def latency(self) -> float:
        """Seconds that a sample waits at most for others before it is finished; computing comes on top."""
        joined = (self.framing.window + (self.framing.together - 1) * self.framing.hop) / self.model.sample_rate
        return joined + (0.0 if self._follower is None else self._follower.latency)

    @torch.no_grad()
    def push(self, wave: Float[Tensor, "batch channels time"]) -> Float[Tensor, "batch slots channels finished"]:
        """Take the next block and return what is finished of the sources, possibly no samples."""
        if self._mixture is None:
            self._mixture = wave[..., :0]
            self._buffer = wave.new_zeros(*wave.shape[:2], self.framing.lead)
            self._past = self._unjoined = self._buffer[..., :0]
        self.received += wave.shape[-1]
        self._mixture = torch.cat([self._mixture, wave], dim=-1)
        joined = self._separate(self._in.push(wave), least=self.framing.together)
        if self._follower is not None:
            joined = self._follower.push(joined)
        return self._finished(self._out.push(self._beside(joined)))

    @torch.no_grad()
    def finish(self) -> Float[Tensor, "batch slots channels finished"]:
        """Return the rest; all pieces together are as long as all blocks together."""
        assert self._buffer is not None, "finish() before the first push()"
        framing = self.framing
        pieces = [self._separate(self._in.finish(), least=framing.together)]
        length = self._resampled
        remaining = count(2 * framing.lead + length, framing.window, framing.hop) - self._windows
        if remaining > 0:
            missing = (remaining - 1) * framing.hop + framing.window - self._buffer.shape[-1]
            self._buffer = torch.nn.functional.pad(self._buffer, (0, missing))
            pieces.append(self._separate(self._buffer[..., :0], least=1, padding=max(0, missing - framing.lead)))
        pieces.append(self._without_lead(self._joiner.finish()))
        joined = torch.cat(pieces, dim=-1)
        excess = self._joined - framing.lead - length
        joined = joined[..., : joined.shape[-1] - excess]
        if self._follower is not None:
            joined = torch.cat([self._follower.push(joined), self._follower.finish()], dim=-1)
        last = self._finished(torch.cat([self._out.push(self._beside(joined)), self._out.finish()], dim=-1))
        return last if self._sharer is None else torch.cat([last, self._sharer.finish()], dim=-1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that the stream remembers to a file, to go on later or elsewhere.

        Raises:
            UserError: see `slotaudio.separation.state.save_state`.
        """
        save_state(self, path, self._made_for())

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Go on where a stream of the same separator was saved, whatever this one received so far.

        Raises:
            UserError: the file is no such state, or the model, the rate or an option differs (says which).
        """
        load_state(self, path, self._made_for())
        if self._initial is not None:
            self._initial = self._initial.to(self._device)

    def _made_for(self) -> dict[str, Any]:
        return {
            "model": fingerprint(self.model),
            "sample rate": self._sample_rate,
            "framing": asdict(self.framing),
            "mask": self.mask.to_dict(),
            "joining": type(self._joiner.rule).__name__,
            "turns": self._follower is not None,
            "consistency": self._sharer is not None,
            "rest": self._rest,
            "level": self._level is not None,
        }

    def _separate(
        self, wave: Float[Tensor, "batch channels time"], least: int, padding: int = 0
    ) -> Float[Tensor, "batch slots channels joined"]:
        """Append to the buffer and take windows from it, as long as there are `least` of them.

        The last window may end in `padding`, see `_heard`.
        """
        assert self._buffer is not None
        self._resampled += wave.shape[-1]
        self._buffer = torch.cat([self._buffer, wave], dim=-1)
        if self._rest:
            assert self._unjoined is not None
            self._unjoined = torch.cat([self._unjoined, wave], dim=-1)
        framing = self.framing
        batch, channels = self._buffer.shape[:2]
        pieces = [self._buffer.new_zeros(batch, self.model.slots, channels, 0)]
        while (ready := (self._buffer.shape[-1] - framing.window) // framing.hop + 1) >= least:
            steps = min(ready, framing.together)
            if padding and ready > 1:
                steps = min(steps, ready - 1)  # the last by itself
            stretch = self._buffer[..., : (steps - 1) * framing.hop + framing.window]
            windows = split(stretch, framing.window, framing.hop)
            pieces += self._windows_through_model(windows, padding if ready == 1 else 0)
            self._past = self._buffer[..., (steps - 1) * framing.hop : steps * framing.hop]
            self._buffer = self._buffer[..., steps * framing.hop :]
        return torch.cat(pieces, dim=-1)

    def _windows_through_model(
        self, windows: Float[Tensor, "batch steps channels window"], padding: int = 0
    ) -> list[Float[Tensor, "batch slots channels hop"]]:
        batch, steps = windows.shape[:2]
        windows, earlier, unheard = self._heard(windows, padding)
        gains = windows.new_ones(batch, steps) if self._level is None else self._level.gains(windows)
        gains = rearrange(gains, "batch steps -> batch steps 1 1")
        parts = [self._predicted(part) for part in (windows * gains).split(self.framing.at_once, dim=1)]
        waves = torch.cat([waves.to(windows) for waves, *_ in parts], dim=1) / gains[:, :, None]
        waves = torch.nn.functional.pad(waves[..., earlier:], (0, unheard))
        seen = [slots for _, each, _ in parts for slots in each]
        carried = self._initial is not None
        upcoming = [
            SlotWindow(wave, slots.vectors.mean(dim=1).to(wave), carried=carried)
            for wave, slots in zip(waves.unbind(1), seen, strict=True)
        ]
        self._joiner.foresee(upcoming)
        positions = _within(parts[0][2], unheard - earlier, self.framing.window)
        pieces = []
        for window, slots in zip(upcoming, seen, strict=True):
            piece, order = self._joiner.push(window)
            pieces.append(self._without_lead(piece))
            self._observe(slots, positions, order, window.waves, earlier)
        return pieces

    def _predicted(
        self, windows: Float[Tensor, "batch steps channels heard"]
    ) -> tuple[Float[Tensor, "batch steps slots channels heard"], list[Slots], Float[Tensor, "tokens axes"]]:
        """Return what the model makes of windows: waves, the slots of each, and where the tokens lie in one."""
        batch, steps = windows.shape[:2]
        initial = self._initial
        if initial is None:
            initial = self.model.initial_slots(batch, self._generator)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            prediction = self.model(windows.to(self._device), initial)
        slots = _in_float32(prediction.slots)
        self._initial = slots.carried
        if prediction.estimates.magnitudes is None and self.mask != self.model.mask:
            raise UserError(f"mask {self.mask.name!r} was asked for, but the model's decoder leaves no choice of mask")
        waves = synthesise(prediction.estimates, prediction.spectrum, self.model.frontend, self.mask)
        waves = rearrange(
            waves, "(batch steps) slots channels window -> batch steps slots channels window", steps=steps
        )
        seen = [of_window(slots, step, steps) for step in range(steps)]
        return waves, seen, prediction.features.positions

    def _heard(
        self, windows: Float[Tensor, "batch steps channels window"], padding: int
    ) -> tuple[Float[Tensor, "batch steps channels heard"], int, int]:
        """Return what the model hears of windows, the earlier samples in it, and how many of the window are missing.

        A model of any length never learned what follows a recording, and seconds of digital silence cost it
        decibels: instead of the `padding` of a last window it hears what came before, if anything did.
        """
        unheard = max(0, min(padding, windows.shape[-1] - self.model.sample_rate // 10))
        if self.model.window is not None or not unheard:
            return windows, 0, 0
        heard = windows[..., : windows.shape[-1] - unheard]
        if not self._windows:
            return heard, 0, unheard
        assert self._past is not None
        past = rearrange(self._past, "batch channels past -> batch 1 channels past")
        return torch.cat([past[..., past.shape[-1] - unheard :], heard], dim=-1), unheard, unheard

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

    def _beside(self, joined: Float[Tensor, "batch slots channels time"]) -> Float[Tensor, "batch more channels time"]:
        """Put what the model heard beside its slots, where it may leave a rest: both go through the same resampling."""
        if not self._rest:
            return joined
        assert self._unjoined is not None
        heard, self._unjoined = self._unjoined.tensor_split([joined.shape[-1]], dim=-1)
        return torch.cat([joined, heard[:, None]], dim=1)

    def _finished(
        self, sources: Float[Tensor, "batch more channels time"]
    ) -> Float[Tensor, "batch slots channels finished"]:
        """Cut to the recording's length and, beside the mixture, make the sources add up to it."""
        assert self._mixture is not None
        size = min(sources.shape[-1], self.received - self._made)
        self._made += size
        sources, mixture = sources[..., :size], self._mixture[..., :size]
        self._mixture = self._mixture[..., size:]
        if self._rest:
            sources, heard = sources[:, :-1], sources[:, -1]
            mixture = mixture - heard + sources.sum(dim=1)
        return sources if self._sharer is None else self._sharer.push(mixture, sources)


def _in_float32(slots: Slots) -> Slots:
    """Undo what autocast made of slots: nobody who looks at them has to know of bfloat16."""
    values = {name: value for name, value in vars(slots).items() if value is not None}
    return replace(
        slots, **{name: value.to(torch.promote_types(value.dtype, torch.float32)) for name, value in values.items()}
    )


def _within(positions: Float[Tensor, "tokens axes"], missing: int, window: int) -> Float[Tensor, "tokens axes"]:
    """Return positions within a whole window of tokens whose window lacked its last `missing` samples."""
    if not missing:
        return positions
    time = (positions[:, -1:] + 1) * (1 - missing / window) - 1
    return torch.cat([positions[:, :-1], time], dim=-1)
