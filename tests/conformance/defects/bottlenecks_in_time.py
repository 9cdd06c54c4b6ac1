"""What can go wrong with a bottleneck from window to window."""

from dataclasses import replace

import torch
from torch import nn

from defects import Defect
from defects.bottlenecks import HealthyBottleneck
from slotaudio.types import Slots


class ForgetsInSilence(HealthyBottleneck):
    """Starts again from its own queries when a window shows nothing."""

    def bind(self, tokens, slots):
        found, shares = super().bind(tokens, slots)
        heard = (tokens - self.norm_tokens.bias).abs().sum(dim=(1, 2)) > 0
        return torch.where(heard[:, None, None], found, self.mean[: slots.shape[1]].expand_as(found)), shares


class MergesInSilence(HealthyBottleneck):
    """Gives every slot the mean of all when a window shows nothing."""

    def bind(self, tokens, slots):
        found, shares = super().bind(tokens, slots)
        heard = (tokens - self.norm_tokens.bias).abs().sum(dim=(1, 2)) > 0
        return torch.where(heard[:, None, None], found, found.mean(dim=1, keepdim=True)), shares


class LooksOneWindowAhead(HealthyBottleneck):
    """Mixes the second window with the third."""

    def read(self, tokens):
        tokens = super().read(tokens)
        return torch.cat([tokens[:, :1], tokens[:, 1:] + tokens[:, 1:].flip(1)], dim=1)


class SeesTheFuture(HealthyBottleneck):
    """Removes the mean over all windows."""

    def read(self, tokens):
        return super().read(tokens - tokens.mean(dim=1, keepdim=True))


class CarriesTheFirstWindow(HealthyBottleneck):
    """Hands on what the first window found."""

    def forward(self, features, initial):
        slots = super().forward(features, initial)
        return replace(slots, carried=slots.vectors[:, 0])


class ForgetsToCarry(HealthyBottleneck):
    """Chains its windows within a call and does not say where the next one starts."""

    def forward(self, features, initial):
        return replace(super().forward(features, initial), carried=None)


class LooksFourWindowsAhead(HealthyBottleneck):
    """Mixes each window with the fourth one after it."""

    def read(self, tokens):
        tokens = super().read(tokens)
        return tokens + nn.functional.pad(tokens[:, 4:], (0, 0, 0, 0, 0, min(4, tokens.shape[1])))


class StartsAnewAfterFour(HealthyBottleneck):
    """Forgets its slots every four windows, counted within a call."""

    def forward(self, features, initial):
        parts = [super(StartsAnewAfterFour, self).forward(each, initial) for each in self.parts(features)]
        joined = (torch.cat([getattr(part, name) for part in parts], 1) for name in ("vectors", "attention"))
        return Slots(*joined, carried=parts[-1].carried)

    def parts(self, features):
        return [replace(features, tokens=tokens) for tokens in features.tokens.split(4, dim=1)]


DEFECTS = (
    Defect("bottleneck", ForgetsInSilence, "test_a_window_without_evidence_keeps_the_order", {"other_slots": False}),
    Defect("bottleneck", MergesInSilence, "test_a_window_without_evidence_keeps_the_order"),
    Defect("bottleneck", LooksOneWindowAhead, "test_the_future_does_not_reach_the_past"),
    Defect("bottleneck", SeesTheFuture, "test_the_future_does_not_reach_the_past"),
    Defect("bottleneck", CarriesTheFirstWindow, "test_window_by_window_equals_one_call"),
    Defect("bottleneck", ForgetsToCarry, "test_window_by_window_equals_one_call"),
    Defect("bottleneck", LooksFourWindowsAhead, "test_the_future_does_not_reach_the_past"),
    Defect("bottleneck", StartsAnewAfterFour, "test_window_by_window_equals_one_call"),
)
