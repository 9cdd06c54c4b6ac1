"""What goes wrong in training mode alone."""

from dataclasses import replace

import torch
from torch import nn

from defects import Defect
from defects.bottlenecks import HealthyBottleneck
from defects.decoders import HealthyDecoder
from defects.encoders import HealthyEncoder
from defects.objectives import HealthyObjective


class AuxiliaryWidth(HealthyEncoder):
    """Returns wider tokens in training, for a loss of its own."""

    def forward(self, features):
        found = super().forward(features)
        return replace(found, tokens=torch.cat([found.tokens] * 2, dim=3)) if self.training else found


class LevelsInTraining(HealthyEncoder):
    """Divides each item by its level in training, which silence has not."""

    def forward(self, features):
        level = features.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return super().forward(features / level if self.training else features)


class FirstSlotLearnsFaster(HealthyBottleneck):
    """Sharpens the first slot in training, and has dropout besides."""

    def __init__(self, in_dim: int, slots: int, slot_dim: int = 8, temperature: float = 1.0) -> None:
        super().__init__(in_dim, slots, slot_dim, temperature)
        self.drop = nn.Dropout(0.1)

    def logits(self, tokens, slots):
        logits = super().logits(self.drop(tokens), slots)
        return torch.cat([2 * logits[:, :1], logits[:, 1:]], dim=1) if self.training else logits


class LastSlotTakesTheRest(HealthyDecoder):
    """Gives what is left over to the last slot in training."""

    def mix(self, cells):
        if not self.training:
            return cells
        return torch.cat([cells[:, :-1], 1 - cells[:, :-1].sum(dim=1, keepdim=True)], dim=1)


class RatioInTraining(HealthyObjective):
    """Weighs by how wrong the model was, without a floor, in training."""

    def __call__(self, model, batch):
        losses = super().__call__(model, batch)
        return {**losses, "ratio": losses["loss"] / 0} if model.training else losses


class InOrderInTraining(HealthyObjective):
    """Saves the time for matching in training."""

    def __call__(self, model, batch):
        self.hurried = model.training
        return super().__call__(model, batch)

    def match(self, cost):
        return torch.arange(cost.shape[2]).expand(len(cost), -1) if self.hurried else super().match(cost)


DEFECTS = (
    Defect("encoder", AuxiliaryWidth, "test_training_follows_the_contract_as_well"),
    Defect("encoder", LevelsInTraining, "test_training_follows_the_contract_as_well"),
    Defect("bottleneck", FirstSlotLearnsFaster, "test_permuting_the_initial_slots_permutes_the_result"),
    Defect("decoder", LastSlotTakesTheRest, "test_permuting_the_slots_permutes_the_estimates"),
    Defect("objective", RatioInTraining, "test_losses_are_named_numbers"),
    Defect("objective", InOrderInTraining, "test_order_of_the_sources_does_not_matter"),
)
