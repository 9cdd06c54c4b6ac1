"""A healthy objective, and what can go wrong with it."""

import random

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


class LeavesEvaluation(HealthyObjective):
    """Puts the model into evaluation mode."""

    def __call__(self, model, batch):
        return super().__call__(model.eval(), batch)


class Freezes(HealthyObjective):
    """Freezes a stage of the model."""

    def __call__(self, model, batch):
        for parameter in getattr(model, "encoder", torch.nn.Identity()).parameters():
            parameter.requires_grad_(False)
        return super().__call__(model, batch)


class StepsByItself(HealthyObjective):
    """Calls backward() itself."""

    def __call__(self, model, batch):
        losses = super().__call__(model, batch)
        if losses["loss"].requires_grad:
            losses["loss"].backward(retain_graph=True)
        return losses


class BestSourceOnly(HealthyObjective):
    """Look at the source that is estimated best."""

    def total(self, matched):
        return matched.amin(dim=(1, 2)).mean()


class LearnsFromOneSource(HealthyObjective):
    """Detach the cost of all sources but the first."""

    def total(self, matched):
        return torch.cat([matched[..., :1], matched[..., 1:].detach()], dim=-1).mean()


class ComparesWithTheMixture(HealthyObjective):
    """Compare every estimate with the mixture."""

    def cost(self, estimates, sources):
        return super().cost(estimates, sources.sum(dim=1, keepdim=True).expand_as(sources))


class RunningLoss(HealthyObjective):
    """Report a mean over all calls so far, with all their graphs."""

    running = 0.0

    def __call__(self, model, batch):
        losses = super().__call__(model, batch)
        self.running = 0.9 * self.running + 0.1 * losses["loss"]
        return {**losses, "running": self.running}


class SeedsPython(HealthyObjective):
    """Seed Python's generator before every batch."""

    def __call__(self, model, batch):
        random.seed(0)
        return super().__call__(model, batch)


class WeightsOnTheCpu(HealthyObjective):
    """Weigh the slots by numbers that are made without a device."""

    def total(self, matched):
        return (matched * torch.linspace(1, 1, matched.shape[-1])).mean()


class ReportsFromTheCpu(HealthyObjective):
    """Return a figure that lies elsewhere than the loss."""

    def __call__(self, model, batch):
        losses = super().__call__(model, batch)
        return {**losses, "level": batch.mixture.detach().cpu().abs().mean()}


DEFECTS = (
    Defect("objective", WeightsOnTheCpu, "test_it_moves_between_devices"),
    Defect("objective", ReportsFromTheCpu, "test_it_moves_between_devices"),
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
    Defect("objective", LeavesEvaluation, "test_the_model_is_left_as_it_was"),
    Defect("objective", Freezes, "test_the_model_is_left_as_it_was"),
    Defect("objective", StepsByItself, "test_the_model_is_left_as_it_was"),
    Defect("objective", BestSourceOnly, "test_better_estimates_cost_less"),
    Defect("objective", ComparesWithTheMixture, "test_better_estimates_cost_less"),
    Defect("objective", LearnsFromOneSource, "test_every_estimate_is_learned_from"),
    Defect("objective", RunningLoss, "test_same_batch_same_loss"),
    Defect("objective", SeedsPython, "test_it_leaves_what_everybody_shares_alone"),
)
