"""Evidence-depleting slot attention: each slot reads what the other slots have left over."""

import torch
from einops import einsum, rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio import UserError
from slotaudio.bottlenecks.grid_code import GridCode
from slotaudio.types import Features, Slots


class EvidenceSlotAttention(nn.Module):
    """Bind slots to the sources of an additive mixture by depleting what other slots have explained.

    *When Attention Collapses: Residual Evidence Modeling* (arXiv 2605.02323; its abstract only was read) finds that
    slot attention on additive mixtures is memoryless: every slot reads the same input, so several settle on the
    loudest source. Its remedy is a residual state on sequential attention: a multiplicative depletion and an
    attention bias. A sequence over slots would make their order matter. What follows is this project's own derivation
    of a *parallel* depletion, which permutes with the slots; it is not the paper's algorithm.

    Take each token's evidence for light, and slots for absorbers (the law of Beer and Lambert). A slot whose
    attention A over the N tokens is spread evenly has N A = 1 everywhere: let ``gamma N A`` be its optical depth.
    Transmittances multiply, whatever the order of the absorbers, so slot k is left with the evidence ::

        e_k = floor + (1 - floor) * exp(-gamma * sum over j != k of N A_j)          # per token, from 1 downwards

    where the A_j are those of the iteration before. An iteration of slot attention then reads ::

        A_k    = softmax(keys @ query_k / temperature + bias * log e_k, over tokens)   # look where something is left
        slot_k = GRU(slot_k, sum over tokens of A_k e_k values);  slot_k += MLP(LayerNorm(slot_k))

    Both factors are needed: the bias alone moves a slot but, as a softmax adds up to 1, a slot that finds everything
    explained would still get a full-sized update; with e_k in the sum it fades. The softmax is over tokens, since in
    an additive mixture two sources may own the same token; for the same reason evidence never falls below `floor`.

    *Stability.* Let a small change D_j of the attentions act on the logits of the next iteration: slot k gets
    ``-bias gamma N sum_{j != k} D_j``. Where the changes are opposite (two slots drift apart) this is ``+bias gamma N
    D_k``: the drift reinforces itself and near-equal slots are driven to different sources. Where all K slots change
    alike it is ``-(K - 1) bias gamma N D``: all flee from the loudest source at once, and return at once. Depths are
    therefore a running mean over the iterations, of weight `damping`. Slots that are exactly equal stay so, as in every
    equivariant map: they must start from different vectors.

    Every step (window) starts from the same initial slots; `slotaudio.bottlenecks.carry_over` can wrap it.

    Args:
        in_dim: width of the tokens (threaded from the encoder).
        slots: number of slots K made by `initial_slots` (any number may be passed to the call).
        slot_dim: width of a slot.
        iterations: rounds of attention; the first finds nothing explained yet, so depletion needs two.
        depletion: gamma, how much of a token an even attention explains; 0 gives memoryless attention.
        bias: how strongly explained tokens are avoided; 0 leaves the multiplicative depletion alone.
        damping: weight of the newest attention in the running mean, above 0, at most 1.
        floor: share of a token's evidence that is always left, above 0.
        mlp_dim: hidden width of the residual MLP; twice `slot_dim` by default.
        temperature: divides the logits; the square root of `slot_dim` by default.
        positions: add a code of frequency and time to the tokens.
        presence: also predict a logit per slot that it holds an audible source.

    Raises:
        UserError: less than one iteration, or depletion, bias, damping or floor out of range.
    """

    def __init__(
        self,
        in_dim: int,
        slots: int,
        slot_dim: int = 128,
        iterations: int = 4,
        depletion: float = 1.0,
        bias: float = 1.0,
        damping: float = 0.5,
        floor: float = 0.05,
        mlp_dim: int | None = None,
        temperature: float | None = None,
        positions: bool = True,
        presence: bool = False,
    ) -> None:
        super().__init__()
        if iterations < 1:
            raise UserError(f"evidence: {iterations} iterations leave the slots as they were; give at least 1")
        if depletion < 0 or bias < 0:
            raise UserError(f"evidence: depletion = {depletion}, bias = {bias}: neither may be negative")
        if not (0 < damping <= 1 and 0 < floor <= 1):
            raise UserError(f"evidence: damping = {damping}, floor = {floor}: each must be above 0 and at most 1")
        self.slot_dim, self.iterations = slot_dim, iterations
        self.depletion, self.bias, self.damping, self.floor = depletion, bias, damping, floor
        self.temperature = slot_dim**0.5 if temperature is None else temperature
        self.start = nn.Parameter(torch.randn(slots, slot_dim) * slot_dim**-0.5)
        self.position_code = GridCode(in_dim) if positions else None
        self.norm_tokens = nn.LayerNorm(in_dim)
        self.to_keys = nn.Linear(in_dim, slot_dim, bias=False)
        self.to_values = nn.Linear(in_dim, slot_dim, bias=False)
        self.norm_slots = nn.LayerNorm(slot_dim)
        self.to_queries = nn.Linear(slot_dim, slot_dim, bias=False)
        self.gru = nn.GRUCell(slot_dim, slot_dim)
        hidden = 2 * slot_dim if mlp_dim is None else mlp_dim
        self.mlp = nn.Sequential(
            nn.LayerNorm(slot_dim), nn.Linear(slot_dim, hidden), nn.ReLU(), nn.Linear(hidden, slot_dim)
        )
        self.presence = nn.Sequential(nn.LayerNorm(slot_dim), nn.Linear(slot_dim, 1)) if presence else None

    def initial_slots(self, batch: int, generator: torch.Generator | None = None) -> Float[Tensor, "batch slots dim"]:
        """Return the learned queries; nothing is drawn."""
        return repeat(self.start, "slots dim -> batch slots dim", batch=batch)

    def forward(self, features: Features, initial: Float[Tensor, "batch slots dim"]) -> Slots:
        """Bind the slots to each step's tokens, starting every step from `initial`."""
        batch, steps = features.tokens.shape[:2]
        tokens = features.tokens
        if self.position_code is not None:
            tokens = tokens + self.position_code(features.positions)
        tokens = self.norm_tokens(rearrange(tokens, "batch steps tokens dim -> (batch steps) tokens dim"))
        keys, values = self.to_keys(tokens), self.to_values(tokens)
        slots = repeat(initial, "batch slots dim -> (batch steps) slots dim", steps=steps)

        depth = torch.zeros(*slots.shape[:2], keys.shape[1], dtype=slots.dtype, device=slots.device)
        attention = depth
        for _ in range(self.iterations):
            slots, attention = self._iterate(slots, keys, values, self.evidence(depth))
            depth = torch.lerp(depth, attention * attention.shape[-1], self.damping)

        vectors = rearrange(slots, "(batch steps) slots dim -> batch steps slots dim", batch=batch)
        logits = None if self.presence is None else self.presence(vectors).squeeze(-1)
        shares = rearrange(attention, "(batch steps) slots tokens -> batch steps slots tokens", batch=batch)
        return Slots(vectors, shares, logits)

    def evidence(self, depth: Float[Tensor, "rows slots tokens"]) -> Float[Tensor, "rows slots tokens"]:
        """Return what each slot finds of every token behind the depths ``N A`` of the *other* slots, in (0, 1]."""
        others = depth.sum(dim=1, keepdim=True) - depth
        return self.floor + (1 - self.floor) * (-self.depletion * others).exp()

    def _iterate(
        self,
        slots: Float[Tensor, "rows slots dim"],
        keys: Float[Tensor, "rows tokens dim"],
        values: Float[Tensor, "rows tokens dim"],
        evidence: Float[Tensor, "rows slots tokens"],
    ) -> tuple[Float[Tensor, "rows slots dim"], Float[Tensor, "rows slots tokens"]]:
        """Run one round; returns the new slots and the attention (softmax over tokens)."""
        queries = self.to_queries(self.norm_slots(slots))
        logits = einsum(queries, keys, "rows slots dim, rows tokens dim -> rows slots tokens")
        with torch.autocast(slots.device.type, enabled=False):  # bfloat16 would merge close competitors
            logits = logits.to(slots.dtype) / self.temperature + self.bias * evidence.log()
            attention = logits.softmax(dim=2)
            read = attention * evidence
            updates = einsum(read, values.to(slots.dtype), "rows slots tokens, rows tokens dim -> rows slots dim")
            state = self.gru(updates.flatten(0, 1), slots.flatten(0, 1)).unflatten(0, slots.shape[:2])
        return state + self.mlp(state).to(state.dtype), attention
