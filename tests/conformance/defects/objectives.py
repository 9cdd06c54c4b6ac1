"""A healthy objective, and what can go wrong with it."""

import torch

from defects import Defect
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.types import Batch


class HealthyObjective:
    """Mean squared error of matched waves."""

    def __call__(self, model, batch):
        estimates = model.sources(model(batch.mixture[:, None]), len(batch.mixture))[:, 0]
        cost = self.cost(estimates, batch.sources)
        return {"loss": self.total(cost.gather(1, self.match(cost)[:, None]))}

    def cost(self, estimates, sources):
        return (estimates[:, :, None] - sources[:, None]).square().mean(dim=(3, 4))

    def match(self, cost):
        return Hungarian()(cost)

    def total(self, matched):
        return matched.mean()


class WrongSign(HealthyObjective):
    """Reward the error."""

    def total(self, matched):
        return -matched.mean()


class NoMatching(HealthyObjective):
    """Compare slots and sources in the order in which they come."""

    def match(self, cost):
        return torch.arange(cost.shape[2]).expand(len(cost), -1)


class OneAssignmentForTheBatch(HealthyObjective):
    """Match the mean cost of the batch."""

    def match(self, cost):
        return super().match(cost.mean(dim=0, keepdim=True)).expand(len(cost), -1)


class SumOverTheBatch(HealthyObjective):
    """Add up items instead of averaging them."""

    def total(self, matched):
        return matched.sum()


class TwoSourcesOnly(HealthyObjective):
    """Count on as many sources as slots."""

    def match(self, cost):
        return super().match(cost) if cost.shape[1] == cost.shape[2] else cost.argmin(dim=2)[:, :, None]


class RatioOfZero(HealthyObjective):
    """Divide by the power of a source, which may be zero."""

    def cost(self, estimates, sources):
        return super().cost(estimates, sources) / sources.square().mean(dim=(2, 3))[:, None]


class NothingToLearn(HealthyObjective):
    """Detach the estimates."""

    def cost(self, estimates, sources):
        return super().cost(estimates.detach(), sources)


class FirstSlotOnly(HealthyObjective):
    """Return losses by name, but not the one to minimise."""

    def __call__(self, model, batch):
        return {"mse": super().__call__(model, batch)["loss"]}


class WritesToTheBatch(HealthyObjective):
    """Scale the mixture in place."""

    def __call__(self, model, batch):
        batch.mixture.mul_(0.5)
        return super().__call__(model, batch)


class DrawsNoise(HealthyObjective):
    """Add noise from the global generator."""

    def __call__(self, model, batch):
        noisy = batch.mixture + 1e-3 * torch.randn(batch.mixture.shape)
        return super().__call__(model, Batch(noisy, batch.sources))


class SkipsTheDecoder(HealthyObjective):
    """Train the slots alone."""

    def __call__(self, model, batch):
        return {"loss": model(batch.mixture[:, None]).slots.vectors.square().mean()}


DEFECTS = (
    Defect("objective", WrongSign, "test_better_estimates_cost_less"),
    Defect("objective", NoMatching, "test_order_of_the_sources_does_not_matter"),
    Defect("objective", OneAssignmentForTheBatch, "test_batch_items_do_not_see_each_other"),
    Defect("objective", SumOverTheBatch, "test_batch_items_do_not_see_each_other"),
    Defect("objective", TwoSourcesOnly, "test_fewer_sources_than_slots_are_legal"),
    Defect("objective", RatioOfZero, "test_silence_is_legal"),
    Defect("objective", NothingToLearn, "test_losses_are_named_numbers"),
    Defect("objective", FirstSlotOnly, "test_losses_are_named_numbers"),
    Defect("objective", WritesToTheBatch, "test_same_batch_same_loss"),
    Defect("objective", DrawsNoise, "test_same_batch_same_loss"),
    Defect("objective", SkipsTheDecoder, "test_gradients_are_finite_and_reach_every_parameter"),
)
