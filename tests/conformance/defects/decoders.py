"""A healthy decoder, and what can go wrong with it."""

import torch
from torch import nn

from defects import Defect
from slotaudio.positions import grid
from slotaudio.types import Estimates


class HealthyDecoder(nn.Module):
    """One small network over slot and place."""

    def __init__(self, slot_dim: int, channels: int = 1, hidden: int = 8) -> None:
        super().__init__()
        self.from_slot, self.from_place = nn.Linear(slot_dim, hidden), nn.Linear(2, hidden)
        self.to_values = nn.Linear(hidden, channels)

    def forward(self, vectors, features, spectrum):
        freq, frames = spectrum.values.shape[-2:]
        places = self.from_place(grid(freq, frames, vectors.device).to(vectors))
        cells = (self.from_slot(vectors[:, 0])[:, :, None] + places).tanh()
        values = self.to_values(self.mix(cells)).unflatten(2, (freq, frames))
        return self.estimates(values.permute(0, 1, 4, 2, 3), spectrum)

    def mix(self, cells):
        return cells

    def estimates(self, values, spectrum):
        return Estimates(magnitudes=values)


class MixesSlots(HealthyDecoder):
    """Shares out the cells among the slots, and does not say so."""

    def mix(self, cells):
        return cells * cells.softmax(dim=1)


class OrderedSlots(HealthyDecoder):
    """Gives what is left over to the last slot."""

    def mix(self, cells):
        return torch.cat([cells[:, :-1], 1 - cells[:, :-1].sum(dim=1, keepdim=True)], dim=1)


class OneFrameShort(HealthyDecoder):
    """Loses the last frame."""

    def estimates(self, values, spectrum):
        return Estimates(magnitudes=values[..., :-1])


class TwoKindsAtOnce(HealthyDecoder):
    """Returns magnitudes and masks."""

    def estimates(self, values, spectrum):
        return Estimates(magnitudes=values, masks=values)


class FixedWidth(HealthyDecoder):
    """Takes the width of slots and does not use it."""

    def __init__(self, slot_dim: int, channels: int = 1, hidden: int = 8) -> None:
        super().__init__(8, channels, hidden)


class LoudestOfTheBatch(HealthyDecoder):
    """Scales the estimates by the loudest item of the batch."""

    def estimates(self, values, spectrum):
        return Estimates(magnitudes=values * spectrum.values.abs().amax().tanh())


class DividesByTheCount(HealthyDecoder):
    """Shares out the loudness equally."""

    def estimates(self, values, spectrum):
        return Estimates(magnitudes=values / values.shape[1])


class WholeFrames(HealthyDecoder):
    """Makes waves of whole frames, wherever the recording ends."""

    def estimates(self, values, spectrum):
        return Estimates(waves=values.mean(dim=3).repeat_interleave(8, dim=-1))


class AlwaysMono(HealthyDecoder):
    """Takes a number of channels and does not use it."""

    def __init__(self, slot_dim: int, channels: int = 1, hidden: int = 8) -> None:
        super().__init__(slot_dim, 1, hidden)


DEFECTS = (
    Defect("decoder", MixesSlots, "test_each_slot_is_decoded_by_itself"),
    Defect("decoder", OrderedSlots, "test_permuting_the_slots_permutes_the_estimates"),
    Defect("decoder", OneFrameShort, "test_shapes_and_types_follow_the_contract"),
    Defect("decoder", TwoKindsAtOnce, "test_shapes_and_types_follow_the_contract"),
    Defect("decoder", FixedWidth, "test_dimensions_are_threaded"),
    Defect("decoder", LoudestOfTheBatch, "test_batch_items_do_not_see_each_other"),
    Defect("decoder", DividesByTheCount, "test_each_slot_is_decoded_by_itself"),
    Defect("decoder", WholeFrames, "test_shapes_and_types_follow_the_contract"),
    Defect("decoder", AlwaysMono, "test_dimensions_are_threaded"),
)
