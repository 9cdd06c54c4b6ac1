"""`Training`: the LightningModule that joins a model, its objective and the options."""

import math
from collections import defaultdict
from collections.abc import Sized
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from slotaudio.collapse import alike
from slotaudio.data.remixing import Repeat
from slotaudio.errors import SlotaudioError
from slotaudio.metrics import score
from slotaudio.model import SlotModel
from slotaudio.separation.observation import Observation
from slotaudio.separation.separator import Separator
from slotaudio.training.options import TrainOptions
from slotaudio.training.processes import shard, totals
from slotaudio.training.speed import make_optimizer
from slotaudio.types import Batch


class TrainingDiverged(SlotaudioError):
    """A loss or a gradient is no longer a number."""


_SCORES = ("loss", "si_sdr", "si_sdr_i")


class Training(lightning.LightningModule):
    """Train `model` on `objective`. What is random at a step depends on the seed, the step and the process alone.

    Args:
        model, objective: what is trained; weights that the objective has are trained too.
        options: how.
        validation: the data set, of which several processes take a `slotaudio.training.processes.Share` each.
    """

    def __init__(self, model: SlotModel, objective: Any, options: TrainOptions, validation: Any = None) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.options = options
        self.items = len(validation) if isinstance(validation, Sized) else None
        self.seen: list[Observation] = []
        """What the model saw in the first validation mixture, window by window."""
        self._losses: list[Tensor] = []
        self._scores: dict[str, list[float]] = defaultdict(list)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        torch.manual_seed(1_000_003 * self.options.seed + index + 1_000_000_007 * self.global_rank)
        losses = self.objective(self.model, batch)
        self._losses.append(losses["loss"].detach())
        self.log("loss", losses["loss"], prog_bar=True, logger=False)
        self.log_dict({f"train/{name}": loss.detach() for name, loss in losses.items()})
        return losses["loss"]

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        limit = self.options.gradient_clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.parameters(), limit)
        if hasattr(norm, "full_tensor"):  # of weights that several processes share
            norm = norm.full_tensor()
        # looked at together, and only here: each look waits for the device. In several processes a loss that is no
        # number makes everybody's gradient one, so that all of them stop
        found, self._losses = torch.stack([norm.detach().float(), *(loss.float() for loss in self._losses)]), []
        if not torch.isfinite(found).all():
            bad = [value for value in found.tolist()[1:] if not math.isfinite(value)]
            raise TrainingDiverged(f"the loss is {bad[0]}" if bad else f"the gradient's norm is {norm.item()}")
        self.log_dict({"train/gradient_norm": norm, "train/learning_rate": optimizer.param_groups[0]["lr"]})

    def validation_step(self, batch: Batch, index: int) -> dict[str, Tensor] | None:
        """Measure; return the estimates, one for each slot, and the assignment, where there is something to hear."""
        item = index if self.items is None else index * self.trainer.world_size + self.global_rank
        torch.manual_seed(item)
        found = {"loss": self.objective(self.model, batch)["loss"]}
        heard = None
        # without a decoder, or as many slots as sources (an autoencoder has one), the loss has to do
        if self.model.decoder is not None and self.model.slots >= batch.sources.shape[1]:
            self.seen = [] if index == 0 else self.seen
            estimates = Separator(self.model)(batch.mixture, observer=None if index else self.seen.append).sources
            scores = score(estimates, batch.sources, batch.mixture, self.model.matcher, metrics=("si_sdr",))
            found |= {name: scores.mean(name).mean() for name in ("si_sdr", "si_sdr_i")}
            heard = {"estimates": estimates, "assignment": scores.assignment}
        if self.items is None or item < self.items:
            for name, value in found.items():
                if name == "loss" or not torch.isnan(value):  # silence has no ratio, a lone source no improvement
                    self._scores[name].append(float(value))
        return heard

    def on_validation_epoch_end(self) -> None:
        """Log the means over the items of all processes, and how alike the slots are in the first item."""
        found = [(sum(self._scores[name]), len(self._scores[name])) for name in _SCORES]
        self._scores.clear()
        for name, (total, count) in zip(_SCORES, totals(self.trainer, torch.tensor(found).double()), strict=True):
            if count:
                self.log(f"validation/{name}", total / count, prog_bar=name == "si_sdr_i", batch_size=1)
        for name, value in alike([window.slots for window in self.seen]).items():
            self.log(f"validation/{name}", value, batch_size=1)

    def configure_optimizers(self) -> Any:
        options = self.options
        optimizer = make_optimizer(self.parameters(), options)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, options))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Let the options decide, which may have changed since the checkpoint that a run is resumed from."""
        options, schedule = self.options, self.lr_schedulers()
        assert isinstance(schedule, torch.optim.lr_scheduler.LambdaLR)
        for group in schedule.optimizer.param_groups:
            group["initial_lr"] = options.learning_rate
            group["lr"] = options.learning_rate * rate_factor(schedule.last_epoch, options)
            group["weight_decay"] = options.weight_decay
            if "betas" in group:  # Muon's momentum is PyTorch's own
                group["betas"] = tuple(options.betas)
        schedule.base_lrs = [options.learning_rate] * len(schedule.base_lrs)

    def transfer_batch_to_device(self, batch: Batch | Repeat, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device)


class ShardedTraining(Training):
    """Training whose processes hold a share of the weights each."""

    def configure_model(self) -> None:
        """Spread the weights."""
        assert self.device_mesh is not None  # the strategy made it
        shard(self.model, self.device_mesh["data_parallel"])


def rate_factor(step: int, options: TrainOptions) -> float:
    """Return the learning rate of a step as a share of the highest: linear warm-up, then the schedule."""
    if step < options.warmup_steps:
        return (step + 1) / options.warmup_steps
    progress = (step - options.warmup_steps) / max(1, options.steps - options.warmup_steps)
    match options.schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        case "linear":
            return max(0.0, 1 - progress)
        case "polynomial":
            return max(0.0, 1 - progress) ** 0.9
        case "constant":
            return 1.0
