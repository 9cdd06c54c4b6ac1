"""Slot Attention: slots compete for tokens and update themselves, iteration by iteration."""

import torch
from einops import einsum, rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.bottlenecks.grid_code import GridCode
from slotaudio.errors import UserError
from slotaudio.types import Features, Slots

GRADIENTS = ("full", "implicit", "bi_level")
INITIALS = ("learned", "gaussian")


class SlotAttention(nn.Module):
    """Bind slots to parts of the input by iterated competition (Slot Attention).

    Locatello et al. 2020, arXiv 2006.15055, algorithm 1::

        attention = softmax(keys @ queries / temperature, over slots)      # slots compete
        updates = weighted mean of values, weights = attention             # over tokens
        slots = GRU(state=slots, input=updates);  slots += MLP(LayerNorm(slots))

    The temperature acts *before* the softmax; scaling afterwards would be undone by the mean. Every
    step (window) starts from the same initial slots; `slotaudio.bottlenecks.carry_over` chains them.

    Args:
        in_dim: width of the tokens (threaded from the encoder).
        slots: number of slots K made by `initial_slots` (any number may be passed to the call).
        slot_dim: width of a slot.
        iterations: rounds of attention.
        mlp_dim: hidden width of the residual MLP; twice `slot_dim` by default, 0 for none, as in SAVi.
        initial: ``"learned"`` (one query per slot) or ``"gaussian"`` (noise of shared, learned mean
            and variance: the number of slots may then change after training).
        gradient: ``"full"`` through every iteration; ``"implicit"`` through the last one only, taking
            the earlier ones as the search for a fixed point (Chang et al. 2022, arXiv 2207.00787: stabler
            and smaller, but nothing reaches the initial slots); ``"bi_level"`` as implicit, but the
            initial slots get the last iteration's gradient straight through (BO-QSA, Jia et al. 2023,
            arXiv 2210.08990). Learned queries and carried slots need ``"full"`` or ``"bi_level"``.
        temperature: divides the logits; the square root of `slot_dim` by default.
        epsilon: added to the sum of a slot's weights. Near zero (the paper) a slot that wins almost
            nothing still gets a full-sized mean of it; 1 (BO-QSA) lets its update fade away.
        positions: add a code of frequency and time to the tokens.
        presence: also predict a logit per slot that it holds an audible source.

    Raises:
        UserError: unknown `initial` or `gradient`, or less than one iteration.
    """

    def __init__(
        self,
        in_dim: int,
        slots: int,
        slot_dim: int = 128,
        iterations: int = 3,
        mlp_dim: int | None = None,
        initial: str = "learned",
        gradient: str = "full",
        temperature: float | None = None,
        epsilon: float = 1e-8,
        positions: bool = True,
        presence: bool = False,
    ) -> None:
        super().__init__()
        if initial not in INITIALS:
            raise UserError(f"slot_attention: initial {initial!r} is not known; choose one of {INITIALS}")
        if gradient not in GRADIENTS:
            raise UserError(f"slot_attention: gradient {gradient!r} is not known; choose one of {GRADIENTS}")
        if iterations < 1:
            raise UserError(f"slot_attention: {iterations} iterations leave the slots as they were; give at least 1")
        self.slots, self.slot_dim, self.iterations = slots, slot_dim, iterations
        self.gradient, self.epsilon = gradient, epsilon
        self.temperature = slot_dim**0.5 if temperature is None else temperature
        self.mean = nn.Parameter(torch.randn(slots if initial == "learned" else 1, slot_dim) * slot_dim**-0.5)
        self.log_deviation = nn.Parameter(torch.zeros(slot_dim)) if initial == "gaussian" else None
        self.position_code = GridCode(in_dim) if positions else None
        self.norm_tokens = nn.LayerNorm(in_dim)
        self.to_keys = nn.Linear(in_dim, slot_dim, bias=False)
        self.to_values = nn.Linear(in_dim, slot_dim, bias=False)
        self.norm_slots = nn.LayerNorm(slot_dim)
        self.to_queries = nn.Linear(slot_dim, slot_dim, bias=False)
        self.gru = nn.GRUCell(slot_dim, slot_dim)
        hidden = 2 * slot_dim if mlp_dim is None else mlp_dim
        self.mlp = (
            nn.Sequential(nn.LayerNorm(slot_dim), nn.Linear(slot_dim, hidden), nn.ReLU(), nn.Linear(hidden, slot_dim))
            if hidden
            else None
        )
        self.presence = nn.Sequential(nn.LayerNorm(slot_dim), nn.Linear(slot_dim, 1)) if presence else None

    def initial_slots(self, batch: int, generator: torch.Generator | None = None) -> Float[Tensor, "batch slots dim"]:
        """Return the learned queries, or noise drawn with `generator` from the learned Gaussian."""
        if self.log_deviation is None:
            return repeat(self.mean, "slots dim -> batch slots dim", batch=batch)
        device = self.mean.device if generator is None else generator.device
        noise = torch.randn(batch, self.slots, self.slot_dim, generator=generator, device=device)
        return self.mean + self.log_deviation.exp() * noise.to(self.mean)

    def forward(self, features: Features, initial: Float[Tensor, "batch slots dim"]) -> Slots:
        """Bind the slots to each step's tokens, starting every step from `initial`."""
        batch, steps = features.tokens.shape[:2]
        tokens = features.tokens
        if self.position_code is not None:
            tokens = tokens + self.position_code(features.positions)
        tokens = self.norm_tokens(rearrange(tokens, "batch steps tokens dim -> (batch steps) tokens dim"))
        keys, values = self.to_keys(tokens), self.to_values(tokens)
        start = repeat(initial, "batch slots dim -> (batch steps) slots dim", steps=steps)

        slots = start
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.gradient == "full"):
            for _ in range(self.iterations - 1):
                slots, _ = self._iterate(slots, keys, values)
        if self.gradient != "full":
            slots = slots.detach()
        if self.gradient == "bi_level":
            slots = slots + start - start.detach()
        slots, attention = self._iterate(slots, keys, values)

        vectors = rearrange(slots, "(batch steps) slots dim -> batch steps slots dim", batch=batch)
        logits = None if self.presence is None else self.presence(vectors).squeeze(-1)
        shares = rearrange(attention, "(batch steps) slots tokens -> batch steps slots tokens", batch=batch)
        return Slots(vectors, shares, logits)

    def _iterate(
        self,
        slots: Float[Tensor, "rows slots dim"],
        keys: Float[Tensor, "rows tokens dim"],
        values: Float[Tensor, "rows tokens dim"],
    ) -> tuple[Float[Tensor, "rows slots dim"], Float[Tensor, "rows slots tokens"]]:
        """Run one round of algorithm 1; returns the new slots and the attention (softmax over slots)."""
        queries = self.to_queries(self.norm_slots(slots))
        logits = einsum(queries, keys, "rows slots dim, rows tokens dim -> rows slots tokens")
        with torch.autocast(slots.device.type, enabled=False):  # bfloat16 would merge close competitors
            attention = (logits.to(slots.dtype) / self.temperature).softmax(dim=1)
            weights = attention / (attention.sum(dim=2, keepdim=True) + self.epsilon)
            updates = einsum(weights, values.to(slots.dtype), "rows slots tokens, rows tokens dim -> rows slots dim")
            state = self.gru(updates.flatten(0, 1), slots.flatten(0, 1)).unflatten(0, slots.shape[:2])
        return state if self.mlp is None else state + self.mlp(state).to(state.dtype), attention
