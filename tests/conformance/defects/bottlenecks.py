"""A healthy bottleneck, and what can go wrong with it."""

from dataclasses import replace

import torch
from torch import nn

from defects import Defect
from slotaudio.types import Slots


class HealthyBottleneck(nn.Module):
    """One round of slot attention per window, which starts where the last one ended."""

    def __init__(self, in_dim: int, slots: int, slot_dim: int = 8, temperature: float = 1.0) -> None:
        super().__init__()
        self.slot_dim, self.temperature = slot_dim, temperature
        self.mean = nn.Parameter(torch.randn(slots, slot_dim))
        self.norm_tokens, self.norm_slots = nn.LayerNorm(in_dim), nn.LayerNorm(slot_dim)
        self.to_keys, self.to_values = nn.Linear(in_dim, slot_dim), nn.Linear(in_dim, slot_dim)
        self.to_queries, self.update = nn.Linear(slot_dim, slot_dim), nn.GRUCell(slot_dim, slot_dim)

    def initial_slots(self, batch, generator=None):
        device = self.mean.device if generator is None else generator.device
        noise = torch.randn(batch, *self.mean.shape, generator=generator, device=device)
        return self.mean + 0.1 * noise.to(self.mean)

    def forward(self, features, initial):
        found, attention, slots = [], [], initial
        for tokens in self.read(features.tokens).unbind(1):
            slots, shares = self.bind(tokens, slots)
            found.append(slots)
            attention.append(shares)
        return Slots(torch.stack(found, 1), torch.stack(attention, 1), carried=slots)

    def read(self, tokens):
        return self.norm_tokens(tokens)

    def bind(self, tokens, slots):
        shares = self.attend(self.logits(tokens, slots))
        evidence = shares / shares.sum(dim=2, keepdim=True).clamp_min(1e-6) @ self.to_values(tokens)
        return self.update(evidence.flatten(0, 1), slots.flatten(0, 1)).view_as(slots), shares

    def logits(self, tokens, slots):
        return self.to_queries(self.norm_slots(slots)) @ self.to_keys(tokens).mT

    def attend(self, logits):
        return (logits / self.temperature).softmax(dim=1)


class SoftmaxOverTokens(HealthyBottleneck):
    """Lets every slot look at everything instead of competing."""

    def attend(self, logits):
        return (logits / self.temperature).softmax(dim=2)


class SoftmaxOverTheBatch(HealthyBottleneck):
    """Normalises along the first axis."""

    def attend(self, logits):
        return (logits / self.temperature).softmax(dim=0)


class TemperatureAfterNormalisation(HealthyBottleneck):
    """Divides shares by the temperature and normalises them again, which undoes it."""

    def attend(self, logits):
        scaled = logits.softmax(dim=1) / self.temperature
        return scaled / scaled.sum(dim=1, keepdim=True)


class TemperatureTurnedRound(HealthyBottleneck):
    """Multiplies by the temperature."""

    def attend(self, logits):
        return (logits * self.temperature).softmax(dim=1)


class TemperatureForShow(HealthyBottleneck):
    """Shows attention that its slots were not made with."""

    def bind(self, tokens, slots):
        slots, _ = super().bind(tokens, slots)
        return slots, (self.logits(tokens, slots) / self.temperature).softmax(dim=1)

    def attend(self, logits):
        return logits.softmax(dim=1)


class NumberedSlots(HealthyBottleneck):
    """Tells its slots apart by their place."""

    def bind(self, tokens, slots):
        number = torch.linspace(0, 1, slots.shape[1]).to(slots)[:, None]
        return super().bind(tokens, slots + number)


class OneAfterTheOther(HealthyBottleneck):
    """Lets each slot see only the slots before it."""

    def bind(self, tokens, slots):
        slots, shares = super().bind(tokens, slots)
        return slots + 0.1 * slots.cumsum(dim=1), shares


class IgnoresTheInitialSlots(HealthyBottleneck):
    """Starts from its own queries, whatever it is given."""

    def forward(self, features, initial):
        return super().forward(features, 0 * initial + self.mean[: initial.shape[1]])


class FixedNumberOfSlots(HealthyBottleneck):
    """Adds its queries to the given slots, hence takes no other number of them."""

    def forward(self, features, initial):
        return super().forward(features, initial + self.mean)


class GlobalNoise(HealthyBottleneck):
    """Draws its initial slots without the generator."""

    def initial_slots(self, batch, generator=None):
        return self.mean + 0.1 * torch.randn(batch, *self.mean.shape)


class SlotsAllAlike(HealthyBottleneck):
    """Starts every slot from the same vector."""

    def initial_slots(self, batch, generator=None):
        return self.mean.mean(dim=0).expand(batch, *self.mean.shape).contiguous()


class NoiseOnTheWrongDevice(HealthyBottleneck):
    """Leaves its noise where the generator lives."""

    def initial_slots(self, batch, generator=None):
        return self.mean + 0.1 * torch.randn(batch, *self.mean.shape, generator=generator)


class SeedsItself(HealthyBottleneck):
    """Sets the generator back before it draws."""

    def initial_slots(self, batch, generator=None):
        return super().initial_slots(batch, generator and generator.manual_seed(0))


class OneNormForTokensAndSlots(HealthyBottleneck):
    """Shares one normalisation between tokens and slots."""

    def __init__(self, in_dim: int, slots: int, slot_dim: int = 8, temperature: float = 1.0) -> None:
        super().__init__(in_dim, slots, in_dim, temperature)
        self.norm_slots = self.norm_tokens


class ReturnsWiderSlots(HealthyBottleneck):
    """Returns slots of another width than it says and takes."""

    def forward(self, features, initial):
        slots = super().forward(features, initial)
        return replace(slots, vectors=torch.cat([slots.vectors, slots.vectors], dim=-1))


class NeedsAGenerator(HealthyBottleneck):
    """Cannot draw without a generator, as models do in training."""

    def initial_slots(self, batch, generator=None):
        return super().initial_slots(batch, generator.clone_state())


class NoiseInFloat32(HealthyBottleneck):
    """Draws its initial slots in float32, whatever its weights are."""

    def initial_slots(self, batch, generator=None):
        return super().initial_slots(batch, generator).float()


class AttentionTurnedRound(HealthyBottleneck):
    """Shows where the slots look in the reverse order of the slots."""

    def forward(self, features, initial):
        slots = super().forward(features, initial)
        return replace(slots, attention=slots.attention.flip(2))


class AttentionBackwards(HealthyBottleneck):
    """Shows where the slots look in the reverse order of the tokens."""

    def forward(self, features, initial):
        slots = super().forward(features, initial)
        return replace(slots, attention=slots.attention.flip(3))


class PresenceAsProbability(HealthyBottleneck):
    """Returns probabilities for logits."""

    def __init__(self, in_dim: int, slots: int, slot_dim: int = 8, temperature: float = 1.0) -> None:
        super().__init__(in_dim, slots, slot_dim, temperature)
        self.heard = nn.Linear(slot_dim, 1)

    def forward(self, features, initial):
        slots = super().forward(features, initial)
        return replace(slots, presence=self.heard(slots.vectors).squeeze(-1).sigmoid())


DEFECTS = (
    Defect("bottleneck", SoftmaxOverTokens, "test_attention_is_normalised", {"attention_over": "slots"}),
    Defect("bottleneck", SoftmaxOverTheBatch, "test_attention_is_normalised"),
    Defect("bottleneck", SoftmaxOverTheBatch, "test_batch_items_do_not_see_each_other"),
    Defect("bottleneck", TemperatureAfterNormalisation, "test_temperature_matters"),
    Defect("bottleneck", TemperatureTurnedRound, "test_temperature_matters"),
    Defect("bottleneck", TemperatureForShow, "test_temperature_matters"),
    Defect("bottleneck", NumberedSlots, "test_permuting_the_initial_slots_permutes_the_result"),
    Defect("bottleneck", OneAfterTheOther, "test_permuting_the_initial_slots_permutes_the_result"),
    Defect("bottleneck", IgnoresTheInitialSlots, "test_permuting_the_initial_slots_permutes_the_result"),
    Defect("bottleneck", FixedNumberOfSlots, "test_shapes_and_types_follow_the_contract"),
    Defect("bottleneck", GlobalNoise, "test_initial_slots_come_from_the_generator"),
    Defect("bottleneck", SlotsAllAlike, "test_initial_slots_come_from_the_generator"),
    Defect("bottleneck", NoiseOnTheWrongDevice, "test_it_moves_between_devices"),
    Defect("bottleneck", SeedsItself, "test_initial_slots_come_from_the_generator"),
    Defect("bottleneck", OneNormForTokensAndSlots, "test_no_layer_is_shared_by_accident"),
    Defect("bottleneck", ReturnsWiderSlots, "test_shapes_and_types_follow_the_contract"),
    Defect("bottleneck", NeedsAGenerator, "test_initial_slots_need_no_generator"),
    Defect("bottleneck", NoiseInFloat32, "test_initial_slots_need_no_generator"),
    Defect("bottleneck", AttentionTurnedRound, "test_permuting_the_initial_slots_permutes_the_result"),
    Defect("bottleneck", AttentionBackwards, "test_attention_is_in_the_order_of_the_tokens"),
    Defect("bottleneck", PresenceAsProbability, "test_presence_is_a_logit"),
)
