"""`Blend`: several data sets at once, each in its share."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from slotaudio.compose import build
from slotaudio.data.batches import Item
from slotaudio.data.epochs import Epochs
from slotaudio.errors import DataError


class Blend(Dataset[Item]):
    """Draw each item from one of several data sets: pairs of voices and talks, say, or clean and noisy ones.

    ```toml
    [data.train]
    name = "blend"
    path = "path/to/speech"
    shares = {pairs = 0.6, talks = 0.4}
    parts.pairs = {name = "folder"}
    parts.talks = {name = "conversations", overlap = [0.0, 1.0]}
    ```

    Args:
        parts: a map-style data set under a name of your choice each, by name and options.
        shares: how much of the items comes from each; any numbers, whose ratios count.
        size: items of an epoch.
        seed: with the epoch and the index it decides the part; also that of every part.
        rate: samples per second.
        unlabelled: parts whose sources are hidden from the training: their items have one source, the mixture, no
            names of speakers, and ``metadata["unlabelled"]``, by which `semi_supervised` knows them.
        path, seconds, groups, cache, fixed: for every part that has such an option and does not set it itself;
            None leaves it to the part.

    Raises:
        DataError: no parts, other names in `shares` or `unlabelled` than in `parts`, or shares that are negative or all
            zero.
    """

    def __init__(
        self,
        parts: Mapping[str, Mapping[str, Any]],
        shares: Mapping[str, float],
        size: int = 20000,
        seed: int = 0,
        rate: int = 16000,
        *,
        unlabelled: Sequence[str] = (),
        path: str | Path | None = None,
        seconds: float | None = None,
        groups: Mapping[str, float] | None = None,
        cache: bool = False,
        fixed: bool = False,
    ) -> None:
        if not parts or set(parts) != set(shares):
            raise DataError(f"blend: its parts are {_names(parts)}, its shares are for {_names(shares)}; give each one")
        if not set(unlabelled) <= set(parts):
            raise DataError(f"blend: unlabelled = {sorted(unlabelled)}; its parts are {_names(parts)}")
        if min(shares.values()) < 0 or sum(shares.values()) <= 0:
            raise DataError(f"blend: shares {dict(shares)} may not be negative, nor all zero")
        offered = {"path": path, "seconds": seconds, "groups": groups, "cache": cache, "fixed": fixed}
        given = {name: value for name, value in offered.items() if value is not None}
        self.parts = [build("dataset", parts[name], size=size, seed=seed, rate=rate, **given) for name in parts]
        for name, part in zip(parts, self.parts, strict=True):
            if not len(part):
                raise DataError(f"blend: its part {name!r} is empty")
        self.names = tuple(parts)
        self.chances = np.array([shares[name] for name in parts]) / sum(shares.values())
        self.unlabelled = [name in unlabelled for name in parts]
        self.sample_rate = rate
        self.size = size
        self.epochs = Epochs(seed, fixed)

    @property
    def skipped(self) -> int:
        """How many mixtures the parts drew again because a file could not be read."""
        return sum(getattr(part, "skipped", 0) for part in self.parts)

    def set_epoch(self, epoch: int) -> None:
        """Move to the items of another epoch, unless they are fixed."""
        self.epochs.move(epoch)
        for part in self.parts:
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < self.size:
            raise IndexError(index)
        drawn = self.epochs.rng(index, 2).choice(len(self.parts), p=self.chances)
        part = self.parts[drawn]
        mixture, sources, metadata = part[index % len(part)]
        metadata = {**metadata, "part": self.names[drawn]}
        if self.unlabelled[drawn]:
            return mixture, mixture[None], {**metadata, "speakers": ("",), "unlabelled": True}
        return mixture, sources, metadata


def _names(table: Collection[str]) -> str:
    return ", ".join(table) or "none"
