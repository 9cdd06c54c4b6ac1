"""From items to `slotaudio.types.Batch`, and loaders that give the same batches however many workers."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

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
    return Batch(
        torch.stack([_padded(mixture, mixture.shape[0], length) for mixture, _, _ in items]),
        torch.stack([_padded(sources, most, length) for _, sources, _ in items]),
        tuple(metadata for _, _, metadata in items),
    )


def _padded(wave: Float[Tensor, "first *axes time"], first: int, length: int) -> Float[Tensor, "_ *axes longer"]:
    ends = [0, length - wave.shape[-1], *([0, 0] * (wave.ndim - 2)), 0, first - wave.shape[0]]
    return torch.nn.functional.pad(wave, ends)


class Consecutive(Sampler[int]):
    """The indices of a data set in order, and its epoch.

    The mixtures are drawn at random anyway; an order of their own would only hide where a run is to be
    resumed. `set_epoch`, which trainers call, reaches the data set. The first epoch may begin at
    `start`: that is how a run goes on in the middle of an epoch.
    """

    def __init__(self, dataset: Dataset[Item], start: int = 0) -> None:
        self.dataset = dataset
        self.start = start

    def set_epoch(self, epoch: int) -> None:
        """Move the data set to another epoch."""
        self.dataset.set_epoch(epoch)  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[int]:
        start, self.start = self.start, 0
        return iter(range(start, len(self)))

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]


def loader(
    dataset: Dataset[Item], batch: int, workers: int = 0, start: int = 0, drop_last: bool = False
) -> DataLoader[Any]:
    """Return a loader of `Batch`es that does not depend on the number of workers.

    Args:
        dataset: meets the contract of `slotaudio.data`.
        batch: mixtures per batch.
        workers: processes that prepare batches ahead; they live on from epoch to epoch.
        start: index at which the first epoch begins.
        drop_last: leave out an incomplete last batch.
    """
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=Consecutive(dataset, start),
        num_workers=workers,
        collate_fn=collate,
        drop_last=drop_last,
        persistent_workers=workers > 0,
    )
