"""`Pictures`: the first validation mixture, seen and heard, in TensorBoard."""

import math
import time
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from jaxtyping import Float
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from torch import Tensor

from slotaudio.metrics import si_sdr
from slotaudio.plotting import (
    PowerMap,
    SlotHistory,
    assignment_figure,
    attention_map,
    identity_figure,
    pixels,
    separation_figure,
    timeline_figure,
)
from slotaudio.separation.observation import Observation
from slotaudio.separation.separator import Separator
from slotaudio.types import Batch


class Pictures(lightning.Callback):
    """Log pictures and audio of one validation mixture, its sources and their estimates, when the model is validated.

    Validations that follow the last pictures within `pause` seconds get none: drawing takes a second. The pictures
    are those of `slotaudio.plotting`: attention and estimates, who is heard when, how the slots go through time, and
    the SI-SDR of every slot against every source with the assignment.
    """

    def __init__(self, pause: float = 20.0) -> None:
        self.pause = pause
        self._drawn = -math.inf

    def on_validation_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Batch, index: int, dataloader_idx: int = 0
    ) -> None:
        boards = [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if index or outputs is None or not boards or not trainer.is_global_zero:
            return
        if time.monotonic() - self._drawn < self.pause:
            return
        self._drawn = time.monotonic()
        rate, step = module.model.sample_rate, trainer.global_step
        mixture, sources = batch.mixture[0].float().cpu(), batch.sources[0].float().cpu()
        given, chosen = outputs["estimates"][0].float().cpu(), outputs["assignment"][0].cpu()
        order = [*chosen.tolist(), *sorted(set(range(len(given))) - set(chosen.tolist()))]
        waves = {"mixture": mixture[0]}
        for number, (source, estimate) in enumerate(zip(sources, given[order], strict=False), start=1):
            waves |= {f"source {number}": source[0], f"estimate {number}": estimate[0]}
        figures = _figures(module.model, mixture, sources, given, order, module.seen, f"step {step}")
        for board in boards:
            for name, figure in figures.items():
                board.add_image(f"validation/{name}", pixels(figure), step, dataformats="HWC")
            for name, wave in waves.items():
                board.add_audio(f"validation/{name}", wave.clamp(-1, 1), step, rate)


def _figures(
    model: Any,
    mixture: Float[Tensor, "channels time"],
    sources: Float[Tensor, "sources channels time"],
    given: Float[Tensor, "slots channels time"],
    order: Sequence[int],
    seen: Sequence[Observation],
    title: str,
) -> dict[str, Figure]:
    """Draw one separated mixture; `order` names the slots of the sources first."""
    history, rate = SlotHistory(), model.sample_rate
    for observation in seen:
        history(observation)
    window = Separator(model).framing.window / rate
    attention = attention_map(seen, window, mixture.shape[-1] / rate)
    names = list(model.names or [f"slot {slot + 1}" for slot in range(len(given))])
    ordered: dict[str, Any] = {"names": [names[slot] for slot in order], "colours": order, "title": title}
    slots, each = given.flatten(1), sources.flatten(1)
    pairs = (len(slots), len(each), -1)
    ratios = si_sdr(slots[:, None].expand(pairs), each[None].expand(pairs)).float()
    chosen = torch.tensor(order[: len(sources)])
    return {
        "separation": separation_figure(
            mixture, given[order], rate, sources, None if attention is None else attention[order], **ordered
        ),
        "timeline": timeline_figure(_power(mixture, rate), [_power(wave, rate) for wave in given[order]], **ordered),
        "identity": identity_figure(
            history.vectors, history.times(window), history.shares, history.heard, names, title
        ),
        "assignment": assignment_figure(ratios, chosen, rows=names, label="SI-SDR (dB)", title=title),
    }


def _power(wave: Float[Tensor, "channels time"], rate: int) -> PowerMap:
    power = PowerMap(rate)
    power.push(wave)
    return power
