"""A healthy matcher, and what can go wrong with it."""

from itertools import permutations

import torch

from defects import Defect
from slotaudio.matchers.checking import check_finite, check_sizes


class HealthyMatcher:
    """Try every assignment."""

    def __call__(self, cost):
        self.check(cost)
        return torch.stack([self.one(item) for item in cost.detach().double()])

    def check(self, cost):
        check_sizes(cost)
        check_finite(cost)

    def one(self, cost):
        slots, sources = cost.shape
        ways = list(permutations(range(slots), sources))
        totals = [sum(float(cost[slot, source]) for source, slot in enumerate(way)) for way in ways]
        return cost.new_tensor(ways[min(range(len(ways)), key=totals.__getitem__)], dtype=torch.int64)


class Greedy(HealthyMatcher):
    """Take the cheapest pair, then the cheapest of what is left."""

    def one(self, cost):
        cost, chosen = cost.clone(), torch.zeros(cost.shape[1], dtype=torch.int64)
        for _ in range(cost.shape[1]):
            slot, source = divmod(int(cost.argmin()), cost.shape[1])
            chosen[source] = slot
            cost[slot], cost[:, source] = torch.inf, torch.inf
        return chosen


class GreedyWhenLarge(Greedy):
    """Give up on the optimum where it would take long."""

    def one(self, cost):
        return super().one(cost) if len(cost) > 4 else HealthyMatcher.one(self, cost)


class SlotForSeveral(HealthyMatcher):
    """Give every source its favourite slot."""

    def one(self, cost):
        return cost.argmin(dim=0)


class AcceptsNaN(HealthyMatcher):
    """Do not look whether costs are finite."""

    def check(self, cost):
        check_sizes(cost)


class ReplacesNaN(HealthyMatcher):
    """Match whatever is not finite last, instead of refusing it."""

    def __call__(self, cost):
        return super().__call__(cost.nan_to_num(1e9, 1e9, -1e9))


class TooManySources(HealthyMatcher):
    """Let surplus sources share the first slot."""

    def __call__(self, cost):
        slots, sources = cost.shape[1:]
        chosen = super().__call__(cost[:, :, :slots])
        return torch.nn.functional.pad(chosen, (0, sources - chosen.shape[1]))


class FirstItemForAll(HealthyMatcher):
    """Match the mean cost of the batch."""

    def __call__(self, cost):
        return super().__call__(cost.mean(dim=0, keepdim=True)).expand(len(cost), -1)


class PrefersTheFirst(HealthyMatcher):
    """Break near-ties by the number of the slot."""

    def one(self, cost):
        return super().one(cost + torch.arange(len(cost))[:, None] * torch.arange(cost.shape[1]))


class WritesToTheCost(HealthyMatcher):
    """Shift the cost in place."""

    def __call__(self, cost):
        with torch.no_grad():
            cost -= cost.min()
        return super().__call__(cost)


class ReturnsFloats(HealthyMatcher):
    """Return indices that index nothing."""

    def __call__(self, cost):
        return super().__call__(cost).float()


class SmallFloatsOnly(HealthyMatcher):
    """Hand the cost to numpy, which has no bfloat16."""

    def __call__(self, cost):
        cost.detach().numpy()
        return super().__call__(cost)


class TriesAFew(HealthyMatcher):
    """Take the best of a few random assignments."""

    def one(self, cost):
        ways = [torch.randperm(len(cost))[: cost.shape[1]] for _ in range(3)]
        return min(ways, key=lambda way: float(cost.gather(0, way[None]).sum()))


class SlotForSeveralOnTies(HealthyMatcher):
    """Give every source its favourite slot where costs are equal."""

    def one(self, cost):
        return cost.argmin(dim=0) if bool(((cost == cost.amin(0)).sum(0) > 1).any()) else super().one(cost)


class GreedyBeyondSix(Greedy):
    """Give up on the optimum where there are more slots than tests tend to have."""

    def one(self, cost):
        return super().one(cost) if len(cost) > 6 else HealthyMatcher.one(self, cost)


class RoundsCosts(HealthyMatcher):
    """Take costs that differ by less than a thousandth for equal."""

    def one(self, cost):
        return super().one((1000 * cost).round())


class ComparesInFloat32(HealthyMatcher):
    """Compare costs in float32, where those far from zero are alike."""

    def __call__(self, cost):
        return super().__call__(cost.float())


class NeedsItContiguous(HealthyMatcher):
    """View the cost as one row."""

    def __call__(self, cost):
        return super().__call__(cost.view(-1).view(cost.shape))


class SmallIntegers(HealthyMatcher):
    """Return indices that `gather` does not take."""

    def __call__(self, cost):
        return super().__call__(cost).int()


class AnswersOnTheCpu(HealthyMatcher):
    """Leave the assignment where it was found."""

    def __call__(self, cost):
        return super().__call__(cost.cpu())


DEFECTS = (
    Defect("matcher", AnswersOnTheCpu, "test_it_moves_between_devices"),
    Defect("matcher", Greedy, "test_the_assignment_is_the_cheapest"),
    Defect("matcher", GreedyWhenLarge, "test_the_assignment_is_the_cheapest"),
    Defect("matcher", TriesAFew, "test_the_assignment_is_the_cheapest"),
    Defect("matcher", TriesAFew, "test_same_cost_same_assignment"),
    Defect("matcher", SlotForSeveral, "test_every_source_gets_a_slot_of_its_own"),
    Defect("matcher", ReturnsFloats, "test_every_source_gets_a_slot_of_its_own"),
    Defect("matcher", AcceptsNaN, "test_costs_that_are_not_finite_are_refused"),
    Defect("matcher", ReplacesNaN, "test_costs_that_are_not_finite_are_refused"),
    Defect("matcher", TooManySources, "test_more_sources_than_slots_are_refused"),
    Defect("matcher", FirstItemForAll, "test_batch_items_do_not_see_each_other"),
    Defect("matcher", PrefersTheFirst, "test_reordering_slots_or_sources_changes_no_pair"),
    Defect("matcher", WritesToTheCost, "test_same_cost_same_assignment"),
    Defect("matcher", SmallFloatsOnly, "test_precision_and_gradients_do_not_matter"),
    Defect("matcher", SlotForSeveralOnTies, "test_ties_are_broken"),
    Defect("matcher", GreedyBeyondSix, "test_many_slots_are_matched_or_refused"),
    Defect("matcher", RoundsCosts, "test_scale_and_layout_do_not_matter"),
    Defect("matcher", ComparesInFloat32, "test_scale_and_layout_do_not_matter"),
    Defect("matcher", NeedsItContiguous, "test_scale_and_layout_do_not_matter"),
    Defect("matcher", SmallIntegers, "test_every_source_gets_a_slot_of_its_own"),
)
