"""Windows through a model: at the level that it expects, from the slots that it carried, and back to waves."""

from dataclasses import dataclass, replace

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.model import SlotModel
from slotaudio.separation.framing import Framing
from slotaudio.separation.level import Level
from slotaudio.separation.masks import synthesise
from slotaudio.separation.observation import of_window
from slotaudio.spec import Spec
from slotaudio.types import Slots


@dataclass(frozen=True)
class Predicted:
    """What a model made of windows that follow each other."""

    waves: Float[Tensor, "batch steps slots channels window"]
    slots: list[Slots]
    """Of each window."""
    positions: Float[Tensor, "tokens axes"]
    """Of the tokens, in each window."""
    carried: bool
    """Whether the slots go on from window to window, each in its place."""
    earlier: int
    """Samples before the window that were heard with it."""


class WindowPredictor:
    """Put the windows of one recording through a model, in order.

    How many of them go through it together makes no difference, unless its bottleneck looks from window to window.
    Slots that start from noise start each window of a recording from the same, as they do in training.

    Args:
        model: in evaluation mode.
        framing: windows and hops, and how many windows go through the model together.
        mask: how magnitudes become masks.
        target: level in decibels that the model expects; None leaves levels alone.
        seed: of slots that start from noise.
        precision: ``"bf16"`` lets the model compute its matrix products in bfloat16.
        merged: put what all slots hold into the first one.
    """

    def __init__(
        self,
        model: SlotModel,
        framing: Framing,
        mask: Spec,
        target: float | None,
        seed: int,
        precision: str,
        merged: bool = False,
    ) -> None:
        self.model = model
        self.mask = mask
        self.level = None if target is None else Level(model.sample_rate, framing.hop, target)
        self._framing = framing
        self._precision = precision
        self._merged = merged
        self._device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        self._generator = torch.Generator(self._device).manual_seed(seed)
        self._initial: Tensor | None = None  # slots that the next window starts from

    def __call__(
        self,
        windows: Float[Tensor, "batch steps channels window"],
        past: Float[Tensor, "batch channels past"] | None = None,
        padding: int = 0,
    ) -> Predicted:
        """Return what the model makes of the next windows.

        Args:
            past: what came right before the first of them; None for nothing.
            padding: samples at the end of a last window, which is then the only one, that are no recording any more.

        Raises:
            UserError: a mask was asked for, and the model's decoder leaves no choice.
        """
        batch, steps = windows.shape[:2]
        windows, earlier, unheard = self._heard(windows, past, padding)
        gains = windows.new_ones(batch, steps) if self.level is None else self.level.gains(windows)
        gains = rearrange(gains, "batch steps -> batch steps 1 1")
        parts = [self._predicted(part) for part in (windows * gains).split(self._framing.at_once, dim=1)]
        waves = torch.cat([waves.to(windows) for waves, *_ in parts], dim=1) / gains[:, :, None]
        if self._merged:
            waves = torch.cat([waves.sum(dim=2, keepdim=True), torch.zeros_like(waves[:, :, 1:])], dim=2)
        slots = [of_window(slots, step, part.shape[1]) for part, slots, _ in parts for step in range(part.shape[1])]
        return Predicted(
            torch.nn.functional.pad(waves[..., earlier:], (0, unheard)),
            slots,
            within(parts[0][2], unheard - earlier, self._framing.window),
            carried=parts[0][1].carried is not None,
            earlier=earlier,
        )

    def _heard(
        self,
        windows: Float[Tensor, "batch steps channels window"],
        past: Float[Tensor, "batch channels past"] | None,
        padding: int,
    ) -> tuple[Float[Tensor, "batch steps channels heard"], int, int]:
        """Return what the model hears of windows, the earlier samples in it, and how many of the window are missing.

        A model of any length never learned what follows a recording, and seconds of digital silence cost it
        decibels: instead of the `padding` of a last window it hears what came before, if anything did.
        """
        unheard = max(0, min(padding, windows.shape[-1] - self.model.sample_rate // 10))
        if self.model.window is not None or not unheard:
            return windows, 0, 0
        heard = windows[..., : windows.shape[-1] - unheard]
        if past is None:
            return heard, 0, unheard
        past = rearrange(past, "batch channels past -> batch 1 channels past")
        return torch.cat([past[..., past.shape[-1] - unheard :], heard], dim=-1), unheard, unheard

    def _predicted(
        self, windows: Float[Tensor, "batch steps channels heard"]
    ) -> tuple[Float[Tensor, "batch steps slots channels heard"], Slots, Float[Tensor, "tokens axes"]]:
        """Return the waves and slots of windows that go through the model together, and where the tokens lie in one."""
        batch, steps = windows.shape[:2]
        if self._initial is None:
            self._initial = self.model.initial_slots(batch, self._generator)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bf16"):
            prediction = self.model(windows.to(self._device), self._initial.to(self._device))
        slots = _in_float32(prediction.slots)
        if slots.carried is not None:
            self._initial = slots.carried
        if prediction.estimates.magnitudes is None and self.mask != self.model.mask:
            raise UserError(f"mask {self.mask.name!r} was asked for, but the model's decoder leaves no choice of mask")
        waves = synthesise(prediction.estimates, prediction.spectrum, self.model.frontend, self.mask)
        waves = rearrange(
            waves, "(batch steps) slots channels window -> batch steps slots channels window", steps=steps
        )
        return waves, slots, prediction.features.positions


def within(positions: Float[Tensor, "tokens axes"], missing: int, window: int) -> Float[Tensor, "tokens axes"]:
    """Return positions within a whole window of tokens whose window lacked its last `missing` samples."""
    if not missing:
        return positions
    time = (positions[:, -1:] + 1) * (1 - missing / window) - 1
    return torch.cat([positions[:, :-1], time], dim=-1)


def _in_float32(slots: Slots) -> Slots:
    """Undo what autocast made of slots: nobody who looks at them has to know of bfloat16."""
    values = {name: value for name, value in vars(slots).items() if value is not None}
    return replace(
        slots, **{name: value.to(torch.promote_types(value.dtype, torch.float32)) for name, value in values.items()}
    )
