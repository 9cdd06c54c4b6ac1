"""Conformance of matchers: cost to an assignment of slots to sources."""

import random
from collections.abc import Callable
from itertools import permutations
from typing import ClassVar

import torch
from hypothesis import strategies as st
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.testing.devices import DeviceChecks
from slotaudio.testing.drawing import for_all, noise
from slotaudio.testing.process import global_randomness


class MatcherConformance(DeviceChecks):
    """Checks for matchers.

    Attributes:
        largest: most slots that costs are drawn for; each is compared with every possible assignment.
        optimal: finds the least total cost.
        labelled: slots have fixed meanings, so that the order of the cost decides (`fixed`).
    """

    family = "matcher"
    examples = 20
    largest: ClassVar[int] = 5
    optimal: ClassVar[bool] = True
    labelled: ClassVar[bool] = False

    def test_every_source_gets_a_slot_of_its_own(self) -> None:
        """Indices of existing slots, one per source, no slot twice."""

        def check(cost: Tensor) -> None:
            chosen = self.build()(cost)
            batch, slots, sources = cost.shape
            self.require(chosen.dtype == torch.int64, f"returns {chosen.dtype}, not int64, which gather() takes")
            self.require_shape("assignment", chosen, (batch, sources))
            self.require(bool(((chosen >= 0) & (chosen < slots)).all()), f"names slots outside 0 to {slots - 1}")
            for row in chosen.tolist():
                self.require(len(set(row)) == sources, f"gives one slot to several sources: {row}")

        self.for_all(check)

    def test_the_assignment_is_the_cheapest(self) -> None:
        """No other assignment has a lower total cost, as trying all of them shows."""
        if self.optimal:

            def check(cost: Tensor) -> None:
                found, best = total(cost, self.build()(cost)), cheapest(cost)
                self.require(
                    bool((found <= best + 1e-4 * cost.abs().amax()).all()),
                    f"finds total costs of {found.tolist()} where {best.tolist()} is possible",
                )

            self.for_all(check)
            for seed in range(5):  # a shortcut taken only where there are many slots shows here, whatever was drawn
                check(noise(seed, 4, 6, 5))

    def test_many_slots_are_matched_or_refused(self) -> None:
        """With more slots than all assignments can be tried for, the least cost is found, or an error says why not."""
        for seed, slots, sources in ((0, 7, 7), (1, 12, 3)) if self.optimal else ():
            cost = noise(seed, 1, slots, sources) + 2 * noise(seed + 1, 1, slots, 1)
            rows, columns = linear_sum_assignment(cost[0].double().numpy())
            best = float(cost[0].double().numpy()[rows, columns].sum())
            try:
                found = float(total(cost.double(), self.build()(cost)))
            except UserError:
                continue
            how = f"finds a total cost of {found:.4g} for {slots} slots where {best:.4g} is possible"
            self.require(found <= best + 1e-4, how)

    def test_ties_are_broken(self) -> None:
        """Equal costs, as slots that are alike and silent sources have, still give every source its own slot."""
        for seed in range(5):
            alike = noise(seed, 1, 4, 3).round()
            alike[:, 1], alike[:, :, 1] = alike[:, 0], alike[:, :, 0]
            for cost in (torch.zeros(1, 4, 3), alike, noise(seed, 2, 4, 4).round()):
                chosen = self.build()(cost)
                for row in chosen.tolist():
                    distinct = len(set(row)) == len(row)
                    self.require(distinct, f"gives one slot to several sources where costs are equal: {row}")
                if self.optimal:
                    found, best = total(cost, chosen), cheapest(cost)
                    how = f"finds total costs of {found.tolist()} where {best.tolist()} is possible and costs are equal"
                    self.require(bool((found <= best + 1e-4).all()), how)

    def test_scale_and_layout_do_not_matter(self) -> None:
        """Costs as small as quiet errors, as large as sums, far from zero, or transposed: the same assignment."""

        def check(cost: Tensor) -> None:
            matcher, exact = self.build(), cost.double()
            expected = matcher(exact)
            changed = {
                "a millionth of the size": exact * 1e-6,
                "a million times the size": exact * 1e6,
                "a hundred million added": exact + 1e8,
                "another memory layout": exact.mT.contiguous().mT,
            }
            for how, each in changed.items():
                self.require(torch.equal(matcher(each), expected), f"matches costs otherwise with {how}")

        self.for_all(check)

    def test_reordering_slots_or_sources_changes_no_pair(self) -> None:
        """Who is matched with whom depends on costs, not on positions."""
        if not self.labelled:

            def check(cost: Tensor) -> None:
                matcher = self.build()
                slots, sources = (torch.arange(size).flip(0) for size in cost.shape[1:])
                here = matcher(cost)
                self.require(torch.equal(slots[matcher(cost[:, slots])], here), "depends on the order of the slots")
                self.require(
                    torch.equal(matcher(cost[:, :, sources])[:, sources], here), "depends on the order of the sources"
                )

            self.for_all(check)

    def test_batch_items_do_not_see_each_other(self) -> None:
        """An item's assignment is the same alone and in a batch."""

        def check(cost: Tensor) -> None:
            matcher = self.build()
            whole = matcher(cost)
            for item in range(len(cost)):
                alone = matcher(cost[item : item + 1])[0]
                self.require(torch.equal(alone, whole[item]), f"item {item} is matched otherwise when alone")

        self.for_all(check)

    def test_costs_that_are_not_finite_are_refused(self) -> None:
        """NaN or infinity, which any assignment would fit, is an error that names the batch item."""
        for value in (float("nan"), float("inf"), -float("inf")):
            cost = noise(0, 3, 3, 2)
            cost[1, 2, 0] = value
            self._require_refusal(cost, f"a cost of {value}", "item 1")

    def test_more_sources_than_slots_are_refused(self) -> None:
        """Two slots cannot take three sources: an error that names both numbers."""
        self._require_refusal(noise(0, 1, 2, 3), "3 sources for 2 slots", "2", "3")

    def test_precision_and_gradients_do_not_matter(self) -> None:
        """Costs in bfloat16 or float64, and costs with a gradient, are matched; nothing is differentiated."""
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            cost = noise(0, 2, 3, 2).to(dtype).requires_grad_()
            chosen = self.build()(cost)
            self.require(not chosen.requires_grad, "returns an assignment with a gradient")
            if self.optimal:
                exact = cost.detach().double()
                self.require(
                    torch.allclose(total(exact, chosen), cheapest(exact)), f"is not optimal for costs in {dtype}"
                )

    def test_same_cost_same_assignment(self) -> None:
        """Nothing is drawn, remembered or written to the cost."""

        def check(cost: Tensor) -> None:
            matcher, before, state = self.build(), cost.clone(), global_randomness()
            first = matcher(cost)
            matcher(-cost)
            again = matcher(cost)
            self.require(torch.equal(cost, before), "writes to the cost")
            self.require(global_randomness() == state, "draws from a global generator")
            self.require(torch.equal(first, again), "gives another assignment the second time")

        self.for_all(check)

    def used_on(self, device: str) -> Tensor:
        """Match costs that lie there."""
        return self.build()(noise(0, 2, 3, 2).to(device))

    def exercise(self) -> None:
        """Build it and match something."""
        self.build()(noise(0, 2, 3, 2))

    def for_all(self, check: Callable[[Tensor], None]) -> None:
        """Run `check` on drawn costs without ties; at times one source is easy for every slot."""

        def drawn(seed: int, batch: int, slots: int, sources: int) -> None:
            cost = noise(seed, batch, slots, min(slots, sources))
            if random.Random(seed).random() < 0.5:  # greed loses where two sources want the same slot
                cost = cost + 2 * noise(seed + 1, batch, slots, 1)
            check(cost)

        drawn(0, 8, self.largest, self.largest)  # the hardest size is always among them
        count = st.integers(1, self.largest)
        for_all(drawn, self.examples, batch=st.integers(1, 4), slots=count, sources=count)

    def _require_refusal(self, cost: Tensor, what: str, *mentions: str) -> None:
        try:
            chosen = self.build()(cost)
        except UserError as error:
            for words in mentions:
                self.require(words in str(error), f"refuses {what} without naming {words!r}: {error}")
        else:
            self.broken(f"accepts {what} and answers {chosen.tolist()}")


def total(cost: Float[Tensor, "batch slots sources"], chosen: Int[Tensor, "batch sources"]) -> Float[Tensor, " batch"]:
    """Return the total cost of an assignment."""
    return cost.gather(1, chosen[:, None].to(cost.device)).sum(dim=(1, 2))


def cheapest(cost: Float[Tensor, "batch slots sources"]) -> Float[Tensor, " batch"]:
    """Return the least total cost, by trying every assignment."""
    batch, slots, sources = cost.shape
    ways = torch.tensor(list(permutations(range(slots), sources)))
    return torch.stack([total(cost, way.expand(batch, sources)) for way in ways]).amin(dim=0)
