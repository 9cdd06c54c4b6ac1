"""Iterable data sets by index, so that one suite holds both kinds to the contract."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from torch.utils.data import IterableDataset


class Read(Sequence[Any]):
    """The first items of an iterable data set, read from its beginning each time, as a resumed run does.

    Args:
        dataset: the data set.
        most: how many items are looked at; it may have more, or no end.
    """

    def __init__(self, dataset: "IterableDataset[Any]", most: int) -> None:
        self.dataset, self.most = dataset, most
        if hasattr(dataset, "set_epoch"):
            self.set_epoch = dataset.set_epoch

    def __len__(self) -> int:
        return sum(1 for _ in islice(self.dataset, self.most))

    def __getitem__(self, index: Any) -> Any:
        for item in islice(self.dataset, index, index + 1):
            return item
        raise IndexError(index)
