"""Segments: a long sequence as rows that overlap, and back."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def cut(sequence: Float[Tensor, "batch frames dim"], segment: int, hop: int) -> Float[Tensor, "batch rows segment dim"]:
    """Cut a sequence into rows of `segment` frames every `hop` frames, the last filled up with zeros."""
    frames = sequence.shape[1]
    rows = 1 + max(0, -(-(frames - segment) // hop))
    padded = torch.nn.functional.pad(sequence, (0, 0, 0, (rows - 1) * hop + segment - frames))
    return rearrange(padded.unfold(1, segment, hop), "batch rows dim segment -> batch rows segment dim")


def overlap_add(
    rows: Float[Tensor, "batch rows segment dim"], hop: int, frames: int
) -> Float[Tensor, "batch frames dim"]:
    """Add rows up where they overlap and divide by how many do: the inverse of `cut`."""
    count, segment = rows.shape[1:3]
    shape: dict[str, tuple[int, int]] = {
        "output_size": (1, (count - 1) * hop + segment),
        "kernel_size": (1, segment),
        "stride": (1, hop),
    }
    columns = rearrange(rows, "batch rows segment dim -> batch (dim segment) rows")
    total = torch.nn.functional.fold(columns, **shape)
    covered = torch.nn.functional.fold(columns.new_ones(1, segment, count), **shape)
    return rearrange(total / covered, "batch dim 1 frames -> batch frames dim")[:, :frames]
