"""AudioSlots' own bottleneck: a transformer decoder whose learned queries become the slots."""

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.bottlenecks.attention import Attention
from slotaudio.bottlenecks.grid_code import GridCode
from slotaudio.types import Features, Slots


class TransformerBottleneck(nn.Module):
    """Turn learned queries into slots by a transformer that reads the tokens (AudioSlots).

    arXiv 2305.05591, section 3: in each of four layers the queries attend to each other, then to the
    encoder's grid, which is key and value alike; the queries are learned by back-propagation as in
    DETR (arXiv 2005.12872), one per source, of dimension 4096. Heads, inner widths, the order of the
    norms and the tokens' position code are not stated; the defaults are those of the authors' SAVi++
    (arXiv 2206.07764): 4 heads, narrow attention (64 there), an MLP of 1024, norms before each branch. Inner widths
    equal to the slots' would take 0.96 G parameters at 4096.

    Every step (window) starts from the same initial slots and is computed by itself.

    Args:
        in_dim: width of the tokens (threaded from the encoder).
        slots: number of slots K made by `initial_slots`.
        slot_dim: width of a slot; 4096 in the paper.
        layers: of self-attention, cross-attention and MLP each.
        heads: of each attention.
        qkv_dim: width of each attention, all heads together.
        mlp_dim: hidden width of each MLP.
        pre_norm: normalise before each branch (and once at the end) rather than after each residual.
        positions: add a code of frequency and time to the tokens.
        presence: also predict a logit per slot that it holds an audible source.

    Raises:
        UserError: heads that do not divide `qkv_dim`.
    """

    def __init__(
        self,
        in_dim: int,
        slots: int,
        slot_dim: int = 256,
        layers: int = 4,
        heads: int = 4,
        qkv_dim: int = 256,
        mlp_dim: int = 1024,
        pre_norm: bool = True,
        positions: bool = True,
        presence: bool = False,
    ) -> None:
        super().__init__()
        self.slot_dim = slot_dim
        self.queries = nn.Parameter(torch.randn(slots, slot_dim))
        self.position_code = GridCode(in_dim) if positions else None
        self.norm_tokens = nn.LayerNorm(in_dim)
        self.layers = nn.ModuleList(Layer(slot_dim, in_dim, qkv_dim, heads, mlp_dim, pre_norm) for _ in range(layers))
        self.norm_slots = nn.LayerNorm(slot_dim) if pre_norm else nn.Identity()
        self.presence = nn.Linear(slot_dim, 1) if presence else None

    def initial_slots(self, batch: int, generator: torch.Generator | None = None) -> Float[Tensor, "batch slots dim"]:
        """Return the learned queries; nothing is drawn."""
        return repeat(self.queries, "slots dim -> batch slots dim", batch=batch)

    def forward(self, features: Features, initial: Float[Tensor, "batch slots dim"]) -> Slots:
        """Read each step's tokens, starting from `initial`; the attention is the last layer's."""
        batch, steps = features.tokens.shape[:2]
        tokens = features.tokens
        if self.position_code is not None:
            tokens = tokens + self.position_code(features.positions)
        tokens = self.norm_tokens(rearrange(tokens, "batch steps tokens dim -> (batch steps) tokens dim"))
        slots = repeat(initial, "batch slots dim -> (batch steps) slots dim", steps=steps)
        attention = None
        for depth, layer in enumerate(self.layers, start=1):
            slots, attention = layer(slots, tokens, look=depth == len(self.layers))
        vectors = rearrange(self.norm_slots(slots), "(batch steps) slots dim -> batch steps slots dim", batch=batch)
        if attention is not None:
            attention = rearrange(attention, "(batch steps) slots tokens -> batch steps slots tokens", batch=batch)
        presence = None if self.presence is None else self.presence(vectors).squeeze(-1)
        return Slots(vectors, attention, presence)


class Layer(nn.Module):
    """Self-attention among the slots, cross-attention to the tokens, MLP; each on a residual branch."""

    def __init__(self, dim: int, token_dim: int, qkv_dim: int, heads: int, mlp_dim: int, pre_norm: bool) -> None:
        super().__init__()
        self.among = Attention(dim, dim, qkv_dim, heads)
        self.across = Attention(dim, token_dim, qkv_dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_dim), nn.ReLU(), nn.Linear(mlp_dim, dim))
        norms = [nn.LayerNorm(dim) for _ in range(3)]
        self.before = nn.ModuleList(norms if pre_norm else [nn.Identity()] * 3)
        self.after = nn.ModuleList([nn.Identity()] * 3 if pre_norm else norms)

    def forward(
        self, slots: Float[Tensor, "batch slots dim"], tokens: Float[Tensor, "batch tokens token_dim"], look: bool
    ) -> tuple[Float[Tensor, "batch slots dim"], Float[Tensor, "batch slots tokens"] | None]:
        """Return the slots after this layer and, if `look`, where they looked."""
        normed = self.before[0](slots)
        slots = self.after[0](slots + self.among(normed, normed)[0])
        read, attention = self.across(self.before[1](slots), tokens, look)
        slots = self.after[1](slots + read)
        return self.after[2](slots + self.mlp(self.before[2](slots))), attention
