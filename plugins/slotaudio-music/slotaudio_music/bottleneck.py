"""Dual-path transformer: short stretches and the whole recording in turn, then one vector per stem and frame."""

import torch
from einops import rearrange, reduce, repeat
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.errors import UserError
from slotaudio.types import Features, Slots
from slotaudio_music.segments import cut, overlap_add


class DualPathTransformer(nn.Module):
    """Cut the frames into overlapping segments and let transformers read within and across them in turn.

    Wang et al. 2023, doi 10.1049/cit2.12163: segments of `segment` frames every `hop`, `blocks` times an intra and
    an inter transformer, overlap-add. The feed-forward part of each transformer starts with a bidirectional LSTM,
    which knows the order of frames: there is no position code, which in this layout kept the authors' training from
    converging.

    The frames are the mixture's; a slot is what one learned query finds in them: it scales and shifts every frame
    (FiLM, Perez et al. 2018, arXiv 1709.07871) before a gated layer makes the slot's vector of that frame. Slots
    thus never compete, and permuting the queries permutes the vectors. Several windows in one call are read as
    one sequence, and later frames reach earlier ones.

    Sizes were not to be had from the paper; the defaults are this package's. Encoders with several tokens per step
    are read token by token, and a step's slots see the mean of its tokens.

    Args:
        in_dim: width of the tokens (threaded from the encoder).
        slots: number of stems K, each with a query of its own.
        slot_dim: width of a slot.
        dim: width inside.
        blocks: intra and inter transformers each.
        heads: of each attention.
        hidden: width of each direction of the LSTMs.
        segment: frames of a segment; 32 are 0.37 s at 86 frames a second.
        hop: frames from segment to segment; half a segment by default.

    Raises:
        UserError: heads that do not divide `dim`, or a hop that leaves frames out.
    """

    def __init__(
        self,
        in_dim: int,
        slots: int,
        slot_dim: int = 256,
        dim: int = 256,
        blocks: int = 4,
        heads: int = 8,
        hidden: int = 128,
        segment: int = 32,
        hop: int | None = None,
    ) -> None:
        super().__init__()
        self.segment = segment
        self.hop = max(1, segment // 2) if hop is None else hop
        if dim % heads:
            raise UserError(f"dual_path_transformer: {heads} heads do not divide a width of {dim}")
        if not 1 <= self.hop <= segment:
            raise UserError(
                f"dual_path_transformer: a hop of {self.hop} is outside 1 to the segment's {segment} frames"
            )
        self.slot_dim = slot_dim
        self.queries = nn.Parameter(torch.randn(slots, slot_dim))
        self.project = nn.Linear(in_dim, dim)
        self.intra = nn.ModuleList(Transformer(dim, heads, hidden) for _ in range(blocks))
        self.inter = nn.ModuleList(Transformer(dim, heads, hidden) for _ in range(blocks))
        self.norm = nn.LayerNorm(dim)
        self.film = nn.Linear(slot_dim, 2 * dim)
        self.head = nn.Linear(dim, 2 * slot_dim)

    def initial_slots(self, batch: int, generator: torch.Generator | None = None) -> Float[Tensor, "batch slots dim"]:
        """Return the learned queries; nothing is drawn."""
        return repeat(self.queries, "slots dim -> batch slots dim", batch=batch)

    def forward(self, features: Features, initial: Float[Tensor, "batch slots dim"]) -> Slots:
        """Return a vector per step and slot."""
        tokens = features.tokens.shape[2]
        sequence = self.project(rearrange(features.tokens, "batch steps tokens dim -> batch (steps tokens) dim"))
        rows = cut(sequence, self.segment, self.hop)
        count = rows.shape[1]
        for intra, inter in zip(self.intra, self.inter, strict=True):
            within = intra(rearrange(rows, "batch rows segment dim -> (batch rows) segment dim"))
            across = rearrange(within, "(batch rows) segment dim -> (batch segment) rows dim", rows=count)
            rows = rearrange(inter(across), "(batch segment) rows dim -> batch rows segment dim", segment=self.segment)
        frames = self.norm(overlap_add(rows, self.hop, sequence.shape[1]))
        frames = reduce(frames, "batch (steps tokens) dim -> batch steps 1 dim", "mean", tokens=tokens)
        scale, shift = self.film(rearrange(initial, "batch slots dim -> batch 1 slots dim")).chunk(2, dim=-1)
        return Slots(nn.functional.glu(self.head(frames * (1 + scale) + shift)))


class Transformer(nn.Module):
    """Self-attention, then a feed-forward part that starts with a bidirectional LSTM; norms before each."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm_forward = nn.LayerNorm(dim)
        self.lstm = nn.LSTM(dim, hidden, batch_first=True, bidirectional=True)
        self.merge = nn.Linear(2 * hidden, dim)

    def forward(self, sequence: Float[Tensor, "rows frames dim"]) -> Float[Tensor, "rows frames dim"]:
        """Return the sequence with what both parts found added."""
        normed = self.norm_attention(sequence)
        sequence = sequence + self.attention(normed, normed, normed, need_weights=False)[0]
        return sequence + self.merge(nn.functional.relu(self.lstm(self.norm_forward(sequence))[0]))
