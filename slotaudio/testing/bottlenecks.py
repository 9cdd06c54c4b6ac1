"""Conformance of bottlenecks: features and initial slots to slots."""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from slotaudio.testing.attention import AttentionChecks
from slotaudio.testing.axes import mapped
from slotaudio.testing.drawing import generator, noise, wave
from slotaudio.testing.equivariance import TOLERANCE, assert_equivariant
from slotaudio.testing.process import global_randomness, seeded
from slotaudio.testing.stages import parameters
from slotaudio.types import Bottleneck, Features, Slots


class BottleneckConformance(AttentionChecks):
    """Checks for bottlenecks.

    Attributes:
        in_dim: width of the tokens, as an encoder would offer it.
        slots: number of slots that it is built for.
        other_slots: takes initial slots of any other number, too.
        tokens: least and largest number of tokens; an encoder offers their number only where it is fixed.
        axes: of the tokens' positions, 2 for frequency and time.
        steps: least and largest number of windows in one call.
        causal: a later window never changes an earlier one; False for those that look at a whole recording.
        recording: windows of the recordings on which that is checked.
    """

    family = "bottleneck"
    contract = Bottleneck.__call__
    in_dim: ClassVar[int] = 6
    slots: ClassVar[int] = 3
    other_slots: ClassVar[bool] = True
    tokens: ClassVar[tuple[int, int]] = (1, 7)
    axes: ClassVar[int] = 2
    steps: ClassVar[tuple[int, int]] = (1, 3)
    causal: ClassVar[bool] = True
    recording: ClassVar[int] = 7

    def offered(self) -> dict[str, Any]:
        fixed = self.tokens[0] if self.tokens[0] == self.tokens[1] else None
        return {"in_dim": self.in_dim, "slots": self.slots, "tokens": fixed, "sample_rate": 16000, "channels": 1}

    def sizes(self) -> dict[str, tuple[int, int]]:
        slots = (1, self.slots + 1) if self.other_slots else (self.slots, self.slots)
        return {"batch": (1, 3), "steps": self.steps, "tokens": self.tokens, "slots": slots}

    def inputs(self, seed: int, **sizes: int) -> tuple[Any, ...]:
        tokens = noise(seed, sizes["batch"], sizes["steps"], sizes["tokens"], self.in_dim)
        positions = wave(0, sizes["tokens"], self.axes)
        initial = noise(seed + 1, sizes["batch"], sizes["slots"], self.module().slot_dim)
        return Features(tokens, positions), initial

    def differentiated(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        return {"tokens": inputs[0].tokens}

    def learned_inputs(self, module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return inputs[0], module.initial_slots(len(inputs[1]), generator(0))

    def silence(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return replace(inputs[0], tokens=0 * inputs[0].tokens), inputs[1]

    def on_device(self, module: Any, *inputs: Any) -> Any:
        """Run it from its own initial slots too, drawn with a generator of the CPU as seeds want it."""
        features, initial = inputs
        return self.call(module, *inputs), self.call(module, features, module.initial_slots(len(initial), generator(0)))

    def check_output(self, module: Any, inputs: tuple[Any, ...], output: Slots) -> None:
        self.require(isinstance(getattr(module, "slot_dim", None), int), "has no attribute slot_dim")
        self.require(isinstance(output, Slots), f"returns {type(output).__name__}, not Slots")
        (batch, steps, tokens, _), slots = inputs[0].tokens.shape, inputs[1].shape[1]
        self.require_shape("vectors", output.vectors, (batch, steps, slots, module.slot_dim))
        if output.attention is not None:
            self.require_shape("attention", output.attention, (batch, steps, slots, tokens))
        if output.presence is not None:
            self.require_shape("presence", output.presence, (batch, steps, slots))
        if output.carried is not None:
            self.require_shape("carried", output.carried, (batch, slots, module.slot_dim))

    def test_dimensions_are_threaded(self) -> None:
        """It takes the width of tokens and the number of slots that it is offered."""
        for in_dim, slots in ((5, 2), (8, 3)):
            if self.takes("in_dim") and self.takes("slots") and not {"in_dim", "slots"} & set(self.options):
                module = self.build_from({**self.offered(), "in_dim": in_dim, "slots": slots}).eval()
                features = Features(noise(0, 2, 1, self.tokens[1], in_dim), wave(0, self.tokens[1], self.axes))
                initial = module.initial_slots(2, generator(0))
                self.require_shape("initial_slots", initial, (2, slots, module.slot_dim))
                with torch.no_grad():
                    self.check_output(module, (features, initial), module(features, initial))

    def test_initial_slots_come_from_the_generator(self) -> None:
        """The same seed gives the same initial slots, and no global generator is touched."""
        module = self.module()
        before = global_randomness()
        with torch.no_grad():
            first, again = (module.initial_slots(3, generator(5)) for _ in range(2))
        self.require(global_randomness() == before, "draws its initial slots from a global generator")
        self.require_shape("initial_slots", first, (3, self.slots, module.slot_dim))
        self.require_close(again, first, 0.0, "the same seed gives other initial slots")
        drawing = generator(6)
        with torch.no_grad():
            other = module.initial_slots(3, drawing)
        untouched = torch.equal(drawing.get_state(), generator(6).get_state())
        self.require(untouched or not torch.equal(other, first), "draws the same initial slots whatever the seed")
        apart = torch.cdist(first, first) + torch.eye(self.slots)
        self.require(
            bool((apart > 0).all()), "starts two slots from the same vector: nothing can tell them apart later"
        )

    def test_initial_slots_need_no_generator(self) -> None:
        """Without a generator there are initial slots as well, of the module's precision, for a batch of any size."""
        for dtype in (torch.float32, torch.float64):
            module = self.module(dtype)
            for batch in (1, 4):
                with seeded(0), torch.no_grad():
                    initial = module.initial_slots(batch)
                    drawn = module.initial_slots(batch, generator(0))
                for found in (initial, drawn):
                    self.require_shape("initial_slots", found, (batch, self.slots, module.slot_dim))
                    how = f"returns initial slots in {found.dtype} when its weights are {dtype}"
                    self.require(found.dtype == dtype or not parameters(module), how)

    def test_presence_is_a_logit(self) -> None:
        """Presence is a logit of any size: what always lies between 0 and 1 is a probability."""
        inside = True
        for seed in range(8):
            module = self.module()
            for parameter in parameters(module).values():
                with torch.no_grad():
                    parameter += torch.randn(parameter.shape, generator=generator(seed))
            with torch.no_grad():
                presence = self.call(module, *self.inputs(seed, **self.largest())).presence
            if presence is None:
                return
            inside = inside and bool(((presence >= 0) & (presence <= 1)).all())
        self.require(not inside, "returns a presence between 0 and 1 whatever its weights: a probability, not a logit")

    def test_permuting_the_initial_slots_permutes_the_result(self) -> None:
        """Slots are a set: their order in is their order out, through all windows, and matters to nothing else."""
        if self.largest()["slots"] > 1:
            self.require_permutable(self.largest()["slots"])

    def test_a_window_without_evidence_keeps_the_order(self) -> None:
        """In a window of silence, wherever it comes, slots keep their places and stay apart."""
        if self.largest()["slots"] > 1:
            module = self.module(torch.float64)

            def check(seed: int, **sizes: int) -> None:
                features, initial = self.inputs(seed, **sizes)
                for silent in range(sizes["steps"]):
                    tokens = features.tokens.clone()
                    tokens[:, silent] = 0
                    inputs = replace(features, tokens=tokens), initial
                    assert_equivariant(module, inputs, "slots", contract=self.contract, permutations=1)
                    with torch.no_grad():
                        slots = self.call(module, *self.double(inputs)).vectors[:, silent]
                    apart = torch.cdist(slots, slots) + torch.eye(slots.shape[1])
                    self.require(bool((apart > 1e-9).all()), f"merges slots in window {silent}, which is silent")

            self.for_all(check, slots=self.largest()["slots"])

    def test_the_future_does_not_reach_the_past(self) -> None:
        """What a later window holds changes no earlier window's slots."""
        if self.causal and self.steps[1] > 1:
            module = self.module(torch.float64)

            def check(seed: int, **sizes: int) -> None:
                features, initial = self.double(self.inputs(seed, **sizes))
                with torch.no_grad():
                    before = self.call(module, features, initial)
                    for cut in range(1, sizes["steps"]):
                        tokens = features.tokens.clone()
                        tokens[:, cut:] = -2 * tokens[:, cut:] + 1
                        after = self.call(module, replace(features, tokens=tokens), initial)
                        found, expected = (_steps(slots, slice(0, cut)) for slots in (after, before))
                        how = f"lets window {cut} and later ones change those before"
                        self.require_close(found, expected, TOLERANCE[torch.float64], how)

            self.for_all(check, steps=max(self.recording, self.steps[1]))

    def test_window_by_window_equals_one_call(self) -> None:
        """Streaming is the same path: each window starts where the last one said (`carried`), or from the start."""
        if self.causal and self.steps[1] > 1:
            module = self.module(torch.float64)

            def check(seed: int, **sizes: int) -> None:
                features, initial = self.double(self.inputs(seed, **sizes))
                with torch.no_grad():
                    whole, start = self.call(module, features, initial), initial
                    for step in range(sizes["steps"]):
                        window = replace(features, tokens=features.tokens[:, step : step + 1])
                        found = self.call(module, window, start)
                        how = f"window {step} by itself is not what it is in one call"
                        expected = _steps(whole, slice(step, step + 1))
                        self.require_close(_steps(found, slice(0, 1)), expected, TOLERANCE[torch.float64], how)
                        start = initial if found.carried is None else found.carried
                if whole.carried is not None:
                    self.require_close(start, whole.carried, TOLERANCE[torch.float64], "carries on from elsewhere")

            self.for_all(check, steps=max(self.recording, self.steps[1]))


def _steps(slots: Slots, which: slice) -> Slots:
    """Keep some of the steps; what is carried belongs to the last one only and is left out."""
    return mapped(replace(slots, carried=None), lambda tensor, _: tensor[:, which])
