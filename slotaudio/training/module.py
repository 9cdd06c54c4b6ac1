"""`Training`: the LightningModule that joins a model, its objective and the options."""

import math
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from slotaudio.errors import SlotaudioError
from slotaudio.metrics import in_order, score
from slotaudio.model import SlotModel
from slotaudio.separation.separator import Separator
from slotaudio.training.muon import Muon
from slotaudio.training.options import TrainOptions
from slotaudio.types import Batch


class TrainingDiverged(SlotaudioError):
    """A loss or a gradient is no longer a number."""


class Training(lightning.LightningModule):
    """Train `model` on `objective`. What is random at a step depends on the seed and the step alone."""

    def __init__(self, model: SlotModel, objective: Any, options: TrainOptions) -> None:
        super().__init__()
        self.model = model
        self.objective = objective  # its weights, if it has any, are trained too
        self.options = options

    def training_step(self, batch: Batch, index: int) -> Tensor:
        torch.manual_seed(1_000_003 * self.options.seed + index)
        losses = self.objective(self.model, batch)
        if not torch.isfinite(losses["loss"]):
            raise TrainingDiverged(f"the loss is {losses['loss'].item()}")
        self.log("loss", losses["loss"], prog_bar=True, logger=False)
        self.log_dict({f"train/{name}": loss.detach() for name, loss in losses.items()})
        return losses["loss"]

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        limit = self.options.gradient_clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.parameters(), limit)
        if not torch.isfinite(norm):
            raise TrainingDiverged(f"the gradient's norm is {norm.item()}")
        self.log_dict({"train/gradient_norm": norm, "train/learning_rate": optimizer.param_groups[0]["lr"]})

    def validation_step(self, batch: Batch, index: int) -> Tensor | None:
        torch.manual_seed(index)
        self.log("validation/loss", self.objective(self.model, batch)["loss"], batch_size=1)
        if self.model.decoder is None:
            return None  # nothing to listen to: the loss has to do
        estimates = Separator(self.model)(batch.mixture).sources
        scores = score(estimates, batch.sources, batch.mixture, self.model.matcher, metrics=("si_sdr",))
        for name in ("si_sdr", "si_sdr_i"):
            if not torch.isnan(scores.mean(name)).any():  # silence has no ratio, a source that is alone no improvement
                self.log(f"validation/{name}", scores.mean(name).mean(), prog_bar=name == "si_sdr_i", batch_size=1)
        return in_order(estimates, scores.assignment)

    def configure_optimizers(self) -> Any:
        options = self.options
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": Muon}[options.optimizer]
        optimizer = kind(
            self.parameters(), options.learning_rate, betas=options.betas, weight_decay=options.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, options))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return Batch(batch.mixture.to(device), batch.sources.to(device), batch.metadata)


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
        case "constant":
            return 1.0
