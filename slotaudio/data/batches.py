"""From items to `slotaudio.types.Batch`: the ``collate_fn`` of every loader."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import default_collate

from slotaudio.errors import DataError
from slotaudio.types import Batch

Item = tuple[Tensor, Tensor, dict[str, Any]]


def collate(items: Sequence[Item]) -> Batch:
    """Stack items to a batch: shorter ones are padded with silence at the end, fewer sources with silent ones.

    Raises:
        DataError: no items, or mixtures of different numbers of channels.
    """
    if not items:
        raise DataError("a batch needs at least one item")
    channels = {sources.shape[1] for _, sources, _ in items}
    if len(channels) > 1:
        raise DataError(f"mixtures of {sorted(channels)} channels cannot share a batch")
    most = max(sources.shape[0] for _, sources, _ in items)
    length = max(sources.shape[-1] for _, sources, _ in items)
    # PyTorch's own stacks right into the memory that a loader's process shares, with no copy to follow
    return Batch(
        default_collate([_padded(mixture, mixture.shape[0], length) for mixture, _, _ in items]),
        default_collate([_padded(sources, most, length) for _, sources, _ in items]),
        tuple(metadata for _, _, metadata in items),
    )


def _padded(wave: Float[Tensor, "first *axes time"], first: int, length: int) -> Float[Tensor, "_ *axes longer"]:
    ends = [0, length - wave.shape[-1], *([0, 0] * (wave.ndim - 2)), 0, first - wave.shape[0]]
    return torch.nn.functional.pad(wave, ends) if any(ends) else wave
