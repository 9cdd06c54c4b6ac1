"""The quasi-recurrent layer of PASE+: gates from convolutions, memory by a running mean."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


class QRNN(nn.Module):
    """Remember the past without recurrent products (Bradbury et al. 2017, arXiv 1611.01576, *fo-pooling*).

    With x the frames t - 1 and t: ``z = tanh(W_z x)``, ``f = sigmoid(W_f x)``, ``o = sigmoid(W_o x)``;
    ``c_t = f_t c_(t-1) + (1 - f_t) z_t`` from ``c = 0``; the output is ``o_t c_t``.

    Args:
        in_dim: maps of the input.
        dim: maps of the output.
    """

    def __init__(self, in_dim: int, dim: int) -> None:
        super().__init__()
        self.gates = nn.Conv1d(in_dim, 3 * dim, kernel_size=2)

    def forward(self, maps: Float[Tensor, "batch in_dim frames"]) -> Float[Tensor, "batch dim frames"]:
        """Return the gated memory of every frame."""
        gates = self.gates(nn.functional.pad(maps, (1, 0)))
        candidate, forget, output = rearrange(gates, "batch (three dim) frames -> three batch dim frames", three=3)
        candidate, forget, output = candidate.tanh(), forget.sigmoid(), output.sigmoid()
        memory, kept = torch.zeros_like(candidate[..., 0]), []
        for frame in range(maps.shape[-1]):
            memory = torch.lerp(candidate[..., frame], memory, forget[..., frame])
            kept.append(memory)
        return output * torch.stack(kept, dim=-1)
