"""Conformance of objectives: model and batch to named losses."""

import copy
import functools
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from slotaudio.compose import compose
from slotaudio.spec import Spec
from slotaudio.testing.devices import DeviceChecks
from slotaudio.testing.drawing import for_all, wave
from slotaudio.testing.oracle import Oracle, only
from slotaudio.testing.process import global_randomness, seeded
from slotaudio.testing.stages import move_off_the_start
from slotaudio.types import Batch

SMALL_MODEL: dict[str, Any] = {
    "frontend": Spec("stft", window=64, hop=16, framing="centred"),
    "encoder": Spec("resnet", depth=10, width=4),
    "bottleneck": Spec("slot_attention", slot_dim=8, iterations=1),
    "decoder": Spec("spatial_broadcast", hidden=8, layers=1, waves=(3, 2), output="softplus"),
}
"""What `slotaudio.compose` makes the model from that objectives are tried on."""


class ObjectiveConformance(DeviceChecks):
    """Checks for objectives.

    Attributes:
        model: arguments of `slotaudio.compose`; two slots and no window unless they say otherwise.
        sources: how many sources the batches have.
        samples: length of the batches' waves.
        trained: stages of the model whose parameters must all get a gradient.
        labelled: sources have fixed meanings, so that their order matters (stems).
        mean_over_items: the loss of a batch is the mean of its items' losses.
        surplus_slots: works with fewer sources than slots.
        draws: uses random numbers, so that the same batch gives another loss.
        perfect: what perfect estimates are: the sources, the mixture (autoencoders), or None where the
            objective looks at no estimates.
    """

    family = "objective"
    model: ClassVar[dict[str, Any]] = SMALL_MODEL
    sources: ClassVar[int] = 2
    samples: ClassVar[int] = 320
    trained: ClassVar[tuple[str, ...]] = ("encoder", "bottleneck", "decoder")
    labelled: ClassVar[bool] = False
    mean_over_items: ClassVar[bool] = True
    surplus_slots: ClassVar[bool] = True
    perfect: ClassVar[Literal["sources", "mixture"] | None] = "sources"

    def offered(self) -> dict[str, Any]:
        """What a recipe would offer: the model and its sizes."""
        model = self.composed()
        sizes = {"slots": model.slots, "sample_rate": model.sample_rate, "in_dim": model.encoder.out_dim}
        return {"model": model, **sizes, "slot_dim": getattr(model.bottleneck, "slot_dim", None)}

    def batch(self, seed: int, items: int = 2) -> Batch:
        """Return random sources and their mixture."""
        sources = wave(seed, items, self.sources, 1, self.samples) / self.sources
        names = tuple(f"speaker-{source}" for source in range(self.sources))
        return Batch(sources.sum(1), sources, tuple({"id": f"{seed}-{n}", "speakers": names} for n in range(items)))

    def composed(self) -> Any:
        """Return a fresh copy of the model, in evaluation mode."""
        return copy.deepcopy(_model(type(self)))

    def knowing(self, batch: Batch, level: float | Tensor = 0.0) -> Any:
        """Return a stand-in for a model that knows the answer, up to some noise."""
        return Oracle(batch, self.perfect or "sources", level, self.labelled)

    def test_losses_are_named_numbers(self) -> None:
        """A dictionary of scalars with names, ``"loss"`` among them, all finite."""
        objective = self.build()

        def check(seed: int) -> None:
            for training in (False, True):
                model, mode = self.composed().train(training), "training" if training else "evaluation"
                losses = objective(model, self.batch(seed))
                self.require(isinstance(losses, dict) and "loss" in losses, 'returns no dictionary with a "loss"')
                for name, value in losses.items():
                    scalar = isinstance(value, Tensor) and value.ndim == 0
                    self.require(scalar, f"returns {name} that is no scalar tensor")
                    how = f"returns {name} = {value.detach().item()} with the model in {mode} mode"
                    self.require(bool(value.isfinite()), how)
                self.require(losses["loss"].requires_grad, "returns a loss that nothing can be learned from")

        for_all(check, self.examples)

    def test_gradients_are_finite_and_reach_every_parameter(self) -> None:
        """Every parameter of the stages that it trains, and its own, gets a finite gradient."""
        model, objective = self.composed(), self.build()
        objective(model, self.batch(0, items=3))["loss"].backward()
        parts = {stage: getattr(model, stage) for stage in self.trained}
        if isinstance(objective, nn.Module):
            parts["objective"] = objective
        for part, module in parts.items():
            for name, parameter in module.named_parameters():
                if not parameter.requires_grad:
                    continue
                self.require(parameter.grad is not None, f"gives {part}.{name} no gradient")
                finite = bool(parameter.grad.isfinite().all())
                self.require(finite, f"gives {part}.{name} a gradient that is not finite")

    def test_silence_is_legal(self) -> None:
        """Any one silent source, and a batch of nothing but silence, give finite losses and gradients."""
        for silent in (*(slice(source, source + 1) for source in range(self.sources)), slice(None)):
            batch = self.batch(0)
            sources = batch.sources.clone()
            sources[:, silent] = 0
            model, objective = self.composed(), self.build()
            losses = objective(model, Batch(sources.sum(1), sources, batch.metadata))
            which = "all sources are" if silent == slice(None) else "one source is"
            self.require(all(bool(loss.isfinite()) for loss in losses.values()), f"is not finite when {which} silent")
            losses["loss"].backward()
            for name, parameter in model.named_parameters():
                finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
                self.require(finite, f"gives {name} a gradient that is not finite when {which} silent")

    def test_the_model_is_left_as_it_was(self) -> None:
        """Its mode, its weights, what of it is trained and its gradients are the trainer's affair."""
        for training in (True, False):
            model, objective = self.composed().train(training), self.build()
            before = [(name, part.training) for name, part in model.named_modules()]
            weights = {name: (weight.clone(), weight.requires_grad) for name, weight in model.named_parameters()}
            objective(model, self.batch(0))
            after = [(name, part.training) for name, part in model.named_modules()]
            mode = "training" if training else "evaluation"
            self.require(before == after, f"leaves the model in another mode than it found it in, which was {mode}")
            for name, weight in model.named_parameters():
                value, trained = weights[name]
                self.require(weight.requires_grad == trained, f"changes whether the model's {name} is trained")
                self.require(torch.equal(weight, value), f"changes the model's {name}")
                self.require(weight.grad is None, f"computes the gradient of the model's {name} itself")

    def test_fewer_sources_than_slots_are_legal(self) -> None:
        """Slots left over are normal input."""
        if self.surplus_slots and self.sources > 1:
            batch = self.batch(0)
            losses = self.build()(self.composed(), Batch(batch.sources[:, 0], batch.sources[:, :1], batch.metadata))
            finite = all(bool(loss.isfinite()) for loss in losses.values())
            self.require(finite, "is not finite when there are fewer sources than slots")

    def test_order_of_the_sources_does_not_matter(self) -> None:
        """Sources are a set, unless the objective says that they are labelled."""
        if not self.labelled:
            objective = self.build()

            def check(seed: int) -> None:
                batch = self.batch(seed)
                metadata = tuple({**known, "speakers": known.get("speakers", ())[::-1]} for known in batch.metadata)
                turned = Batch(batch.mixture, batch.sources.flip(1), metadata)
                for training in (False, True):
                    losses = []
                    for each in (batch, turned):
                        with seeded(seed), torch.no_grad():
                            losses.append(self._loss(objective, self.composed().train(training), each))
                    same = abs(losses[0] - losses[1]) <= 1e-4 * max(1, abs(losses[0]))
                    mode = "training" if training else "evaluation"
                    how = f"is {losses[0]} in one order of the sources and {losses[1]} in another, in {mode} mode"
                    self.require(same, how)

            for_all(check, self.examples)

    def test_batch_items_do_not_see_each_other(self) -> None:
        """The loss of a batch is the mean of its items' losses."""
        if self.mean_over_items:
            objective, composed = self.build(), self.composed()
            models = [lambda batch: composed, *([self.knowing] if self.perfect else [])]

            def check(seed: int) -> None:
                batch = self.batch(seed, items=3)
                items = [_item(batch, item) for item in range(3)]
                with torch.no_grad():
                    for model in models:
                        whole, *alone = (self._loss(objective, model(each), each) for each in (batch, *items))
                        same = abs(whole - sum(alone) / 3) <= 1e-3 * max(1, abs(whole))
                        self.require(same, f"is {whole} for a batch and {alone} for its items")

            for_all(check, self.examples)

    def test_better_estimates_cost_less(self) -> None:
        """Perfect estimates have the lowest loss; it rises with the noise on them, and if only one slot is spoiled."""
        if self.perfect:
            objective = self.build()

            def check(seed: int) -> None:
                batch = self.batch(seed)
                losses = [self._loss(objective, self.knowing(batch, level), batch) for level in (0.0, 0.3, 1.0)]
                rising = losses == sorted(losses) and losses[0] < losses[2]
                self.require(rising, f"is {losses} for estimates with noise of 0, 0.3 and 1: not rising")
                for slot in range(self.sources) if self.perfect == "sources" else ():
                    spoiled = self._loss(objective, self.knowing(batch, only(slot, self.sources)), batch)
                    how = f"is {losses[0]} for perfect estimates and {spoiled} where slot {slot} is spoiled: not more"
                    self.require(spoiled > losses[0], how)
                if self.perfect == "sources" and self.sources > 1:
                    mixed = self._loss(objective, self.knowing(batch).giving_the_mixture(), batch)
                    how = (
                        f"is {losses[0]} for perfect estimates and {mixed} where each slot holds the mixture: not more"
                    )
                    self.require(mixed > losses[0], how)

            for_all(check, self.examples)

    def test_every_estimate_is_learned_from(self) -> None:
        """The loss has a gradient for every channel of what each slot was matched with, in every item."""
        for channels in (1, 2) if self.perfect == "sources" else ():
            objective, mono, other = self.build(), self.batch(0), self.batch(1)
            sources = torch.cat([mono.sources, other.sources], dim=2)[:, :, :channels]
            batch = Batch(sources.sum(1), sources, mono.metadata)
            knowing = self.knowing(batch, 0.3)
            knowing.offset.requires_grad_()
            loss = objective(knowing, batch)["loss"]
            self.require(loss.requires_grad, "returns a loss that does not depend on the estimates")
            (gradient,) = torch.autograd.grad(loss, knowing.offset)
            for item, slots in enumerate(gradient.abs().amax(dim=3).tolist()):
                how = f"has no gradient for some slots or channels in item {item}: the largest, by slot, are {slots}"
                self.require(min(min(each) for each in slots) > 0, how)

    def test_same_batch_same_loss(self) -> None:
        """Nothing is drawn from a global generator, unless it says so, and the batch is left as it was."""
        model, objective = self.composed(), self.build()
        batch = self.batch(0)
        before = copy.deepcopy((batch.mixture, batch.sources))
        with seeded(1), torch.no_grad():
            state = global_randomness()
            first = self._losses(objective, model, batch)
            if not self.draws:
                self.require(global_randomness() == state, "draws from a global generator")
        with seeded(1), torch.no_grad():
            again = self._losses(objective, model, batch)
        for name, value in first.items():
            same = again.get(name) == value
            self.require(same, f"gives {name} = {value} the first time and {again.get(name)} the second")
        same = torch.equal(batch.mixture, before[0]) and torch.equal(batch.sources, before[1])
        self.require(same, "writes to the batch")

    def used_on(self, device: str) -> dict[str, Tensor]:
        """Let model, objective and batch meet there."""
        objective = self.build()
        if isinstance(objective, nn.Module):
            objective.to(device)
        with seeded(0):
            return objective(self.composed().to(device), self.batch(0).to(torch.device(device)))

    def exercise(self) -> None:
        """Build it and use it once."""
        self.build()(self.composed(), self.batch(0))

    def _losses(self, objective: Any, model: Any, batch: Batch) -> dict[str, float]:
        return {name: float(value) for name, value in objective(model, batch).items()}

    def _loss(self, objective: Any, model: Any, batch: Batch) -> float:
        return float(objective(model, batch)["loss"].detach())


@functools.cache
def _model(suite: type[ObjectiveConformance]) -> Any:
    with seeded(0):
        model = compose(**{"slots": 2, "window": None, **suite.model})
    move_off_the_start(model, 1)
    return model.eval()


def _item(batch: Batch, item: int) -> Batch:
    return Batch(batch.mixture[item : item + 1], batch.sources[item : item + 1], batch.metadata[item : item + 1])
