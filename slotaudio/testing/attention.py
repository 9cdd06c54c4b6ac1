"""Attention of slots to tokens: shares that add up, and a temperature that sharpens them."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from slotaudio.testing.drawing import noise
from slotaudio.testing.equivariance import difference
from slotaudio.testing.modules import ModuleConformance

TEMPERATURES = (0.1, 1.0, 10.0)


class AttentionChecks(ModuleConformance):
    """Checks for bottlenecks that tell where their slots look.

    Attributes:
        attention_over: the axis over which the attention adds up to 1; None accepts either.
        temperature: the option that divides the logits, checked where the constructor has it.
    """

    attention_over: ClassVar[Literal["slots", "tokens"] | None] = None
    temperature: ClassVar[str] = "temperature"

    def test_attention_is_normalised(self) -> None:
        """Attention holds shares: none negative, adding up to 1 over the slots or over the tokens."""
        module = self.module()

        def check(seed: int, **sizes: int) -> None:
            with torch.no_grad():
                attention = self.call(module, *self.inputs(seed, **sizes)).attention
            if attention is not None:
                self._require_shares(attention, "")

        self.for_all(check)

    def test_attention_is_in_the_order_of_the_tokens(self) -> None:
        """What a token holds moves the attention to it more than that to others."""

        def check(seed: int, **sizes: int) -> None:
            module, inputs = self.module(torch.float64), self.double(self.inputs(seed, **sizes))
            features = inputs[0]
            features.tokens.requires_grad_()
            attention = self.call(module, *inputs).attention
            if attention is None or not attention.requires_grad or sizes["tokens"] < 2:
                return
            ways = noise(seed, *attention.shape[:3]).to(attention)
            moved = torch.stack(
                [
                    torch.autograd.grad((shares * ways).sum(), features.tokens, retain_graph=True)[0]
                    .abs()
                    .sum((0, 1, 3))
                    for shares in attention.unbind(3)
                ]
            )
            own = float(moved.diagonal().mean())
            other = float((moved.sum() - moved.diagonal().sum()) / (moved.numel() - len(moved)))
            how = "shows attention in another order than that of the tokens: it moves with other tokens' content"
            self.require(own > other, how)

        self.for_all(check, **self.largest())

    def test_temperature_matters(self) -> None:
        """A lower temperature sharpens the attention, which stays normalised: it acts before the softmax."""
        if self.takes(self.temperature):
            sharpness, vectors = [], []
            state = self.module().state_dict()
            for value in TEMPERATURES:
                module = self.build(**{self.temperature: value}).eval()
                module.load_state_dict(state)
                with torch.no_grad():
                    slots = self.call(module, *self.inputs(0, **self.largest()))
                attention = slots.attention
                vectors.append(slots.vectors)
                self.require(attention is not None, f"has a {self.temperature} and shows no attention")
                self._require_shares(attention, f" with {self.temperature}={value}")
                axis = 2 if self._adds_up(attention, 2) and self.attention_over != "tokens" else 3
                sharpness.append(float(attention.amax(dim=axis).mean()))
            self.require(
                sharpness[0] > sharpness[1] + 1e-3 > sharpness[2] + 2e-3,
                f"has a {self.temperature} that does not matter: the largest share is on average "
                + ", ".join(f"{share:.4f} at {value}" for share, value in zip(sharpness, TEMPERATURES, strict=True)),
            )

            gap = difference(vectors[0], vectors[2])
            self.require(gap > 1e-4, f"shows attention of another {self.temperature} than its slots were made with")

    def _require_shares(self, attention: Tensor, when: str) -> None:
        self.require(bool((attention >= 0).all()), f"has negative attention{when}")
        over = {"slots": (2,), "tokens": (3,), None: (2, 3)}[self.attention_over]
        wanted = self.attention_over or "slots or over tokens"
        self.require(
            any(self._adds_up(attention, axis) for axis in over),
            f"has attention that does not add up to 1 over {wanted}{when}",
        )

    @staticmethod
    def _adds_up(attention: Any, axis: int) -> bool:
        total = attention.sum(dim=axis)
        return torch.allclose(total, torch.ones_like(total), atol=1e-4)
