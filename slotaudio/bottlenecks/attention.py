"""Multi-head attention whose width is free, and which can show where it looked."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.errors import UserError


class Attention(nn.Module):
    """Let queries read from a context (Vaswani et al. 2017, arXiv 1706.03762, section 3.2.2).

    Queries, keys and values share one width `qkv_dim`, unlike in `torch.nn.MultiheadAttention`, where it
    is the queries' own: slots of width 4096 could not afford that.

    Args:
        dim: width of the queries and of the result.
        context_dim: width of what keys and values are made from.
        qkv_dim: width of all heads together.
        heads: number of heads.

    Raises:
        UserError: heads that do not divide `qkv_dim`.
    """

    def __init__(self, dim: int, context_dim: int, qkv_dim: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or qkv_dim % heads:
            raise UserError(f"attention: {heads} heads do not divide a qkv_dim of {qkv_dim}")
        self.heads = heads
        self.to_queries = nn.Linear(dim, qkv_dim)
        self.to_keys = nn.Linear(context_dim, qkv_dim)
        self.to_values = nn.Linear(context_dim, qkv_dim)
        self.merge = nn.Linear(qkv_dim, dim)
        for layer in (self.to_queries, self.to_keys, self.to_values, self.merge):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        queries: Float[Tensor, "batch slots dim"],
        context: Float[Tensor, "batch tokens context_dim"],
        look: bool = False,
    ) -> tuple[Float[Tensor, "batch slots dim"], Float[Tensor, "batch slots tokens"] | None]:
        """Return what was read and, if `look`, the mean over heads of the attention (sums to 1 over tokens)."""
        query, key, value = (
            rearrange(part, "batch rows (heads dim) -> batch heads rows dim", heads=self.heads)
            for part in (self.to_queries(queries), self.to_keys(context), self.to_values(context))
        )
        attention = None
        if look:
            with torch.autocast(query.device.type, enabled=False):  # rows of bfloat16 do not sum to 1
                exact = torch.promote_types(query.dtype, torch.float32)
                weights = (query.to(exact) @ key.to(exact).mT * query.shape[-1] ** -0.5).softmax(dim=-1)
                read = (weights @ value.to(exact)).to(value.dtype)
            attention = weights.mean(dim=1)
        else:
            read = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.merge(rearrange(read, "batch heads slots dim -> batch slots (heads dim)")), attention
