"""What makes a step faster and changes nothing but rounding: memory layout, compiled stages, one optimiser kernel."""

from typing import Any

import torch
from torch import nn

from slotaudio.errors import UserError
from slotaudio.model import SlotModel
from slotaudio.training.muon import Muon
from slotaudio.training.options import TrainOptions


def tune(model: SlotModel, options: TrainOptions) -> None:
    """Lay out and compile the stages of a model as the options say."""
    if options.channels_last and isinstance(model.encoder, nn.Module):
        model.encoder.to(memory_format=torch.channels_last)
    if options.compile:
        for stage in (model.encoder, model.bottleneck, model.decoder):  # a frontend is complex, which it cannot compile
            if isinstance(stage, nn.Module):
                stage.compile()


def make_optimizer(weights: Any, options: TrainOptions) -> torch.optim.Optimizer:
    """Return the optimiser of the options.

    Raises:
        UserError: a fused one that does not exist.
    """
    rate, betas, decay = options.learning_rate, options.betas, options.weight_decay
    if options.optimizer == "muon":
        if options.fused:
            raise UserError("train.fused = true goes with 'adam' and 'adamw': 'muon' has no fused kernel")
        return Muon(weights, rate, betas=betas, weight_decay=decay)
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    return kind(weights, rate, betas=betas, weight_decay=decay, fused=options.fused or None)
