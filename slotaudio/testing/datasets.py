"""Conformance of data sets: name and options to items of mixture, sources and metadata."""

import functools
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.utils.data import IterableDataset

from slotaudio.errors import UserError
from slotaudio.testing.component import ComponentConformance
from slotaudio.testing.process import global_randomness, seeded
from slotaudio.testing.reading import Read
from slotaudio.testing.workers import digest, elsewhere


class DatasetConformance(ComponentConformance):
    """Checks for data sets.

    Map-style ones, and iterable ones, which have no index and may have no end; those are read from the beginning.
    Those that read files override `prepare`, which writes a few small ones and returns the options to find them.

    Attributes:
        items: how many items are looked at.
        headroom: largest absolute value of a mixture.
        beside: largest absolute value of what a mixture holds beside its sources, which the data set documents.
        epochs: another epoch has other items, where there is a `set_epoch`; False where all there is is read in order.
    """

    family = "dataset"
    items: ClassVar[int] = 3
    headroom: ClassVar[float] = 1.0
    beside: ClassVar[float] = 0.0
    epochs: ClassVar[bool] = True

    def prepare(self, folder: Path) -> Mapping[str, Any]:
        """Write what the data set reads into an empty folder and return the options for that."""
        return {}

    def build(self, **changes: Any) -> Any:
        """Build the data set on the files of `prepare`."""
        dataset = super().build(**{**_prepared(type(self)), **changes})  # type: ignore[arg-type]  # classes are hashable
        return Read(dataset, self.items) if isinstance(dataset, IterableDataset) else dataset

    def test_items_follow_the_contract(self) -> None:
        """(mixture, sources, metadata): float32, finite, within range, as many samples in each."""
        dataset = self.build()
        self.require(len(dataset) >= 1, "is empty")
        for index in self._indices(dataset):
            item = dataset[index]
            self.require(isinstance(item, tuple) and len(item) == 3, f"item {index} is no (mixture, sources, metadata)")
            mixture, sources, metadata = item
            self.require(mixture.dtype == sources.dtype == torch.float32, f"item {index} is not float32")
            self.require(not mixture.requires_grad and not sources.requires_grad, f"item {index} requires a gradient")
            shape = tuple(mixture.shape)
            self.require(len(shape) == 2, f"item {index} has a mixture of shape {shape}, not channels time")
            self.require_shape(f"item {index} with sources", sources, (len(sources), *mixture.shape))
            self.require(bool(mixture.isfinite().all() and sources.isfinite().all()), f"item {index} is not finite")
            self.require(float(mixture.abs().max()) <= self.headroom, f"item {index} exceeds {self.headroom}")
            self.require(isinstance(metadata, Mapping), f"item {index} has metadata of type {type(metadata).__name__}")
            speakers = metadata.get("speakers")
            known = speakers is None or len(speakers) == len(sources)
            self.require(known, f"item {index} names {speakers} for {len(sources)} sources")

    def test_the_mixture_is_exactly_the_sum_of_the_sources(self) -> None:
        """``mixture == sources.sum(0)``, bit by bit but for `beside`: metrics against the mixture rely on it."""
        dataset = self.build()
        for index in self._indices(dataset):
            mixture, sources, _ = dataset[index]
            gap = float((mixture - sources.sum(0)).abs().max())
            self.require(gap <= self.beside, f"item {index} is off the sum of its sources by {gap:.1e}")

    def test_seed_epoch_and_index_decide_everything(self) -> None:
        """The same item comes from another instance, an unpickled one, another order and another epoch in between."""
        dataset, other = self.build(), self.build()
        indices = self._indices(dataset)
        expected = [dataset[index] for index in indices]
        shipped = pickle.loads(pickle.dumps(dataset))
        for index, wanted in zip(reversed(indices), reversed(expected), strict=True):
            for found, where in ((other[index], "another instance"), (shipped[index], "a worker process")):
                self._require_same(found, wanted, f"item {index} is another in {where}")
        if hasattr(dataset, "set_epoch"):
            dataset.set_epoch(1)
            dataset.set_epoch(0)
        self._require_same(dataset[0], expected[0], "item 0 is another when asked for again")

    def test_every_way_to_an_epoch_leads_to_the_same_items(self) -> None:
        """An epoch's items do not depend on the epochs before, nor on a copy; other epochs have other items."""
        dataset, other = self.build(), self.build()
        if not hasattr(dataset, "set_epoch"):
            return
        indices = self._indices(dataset)
        first = [dataset[index] for index in indices]
        for epoch in (1, 2, 3):
            dataset.set_epoch(epoch)
        other.set_epoch(3)
        shipped = pickle.loads(pickle.dumps(other))
        for index in indices:
            expected = other[index]
            self._require_same(dataset[index], expected, f"item {index} of epoch 3 is another after epochs 1 and 2")
            self._require_same(shipped[index], expected, f"item {index} of epoch 3 is another in a worker process")
        moved = any(not torch.equal(other[index][0], before[0]) for index, before in zip(indices, first, strict=True))
        self.require(moved or not self.epochs, "has the same items in epochs 0 and 3, although it has a set_epoch()")

    def test_other_processes_have_the_same_items(self) -> None:
        """Workers of a loader in a fresh interpreter give the same: nothing follows a worker's number or a hash."""
        dataset = self.build()
        indices = self._indices(dataset)
        found = elsewhere(pickle.dumps((dataset, indices)))
        if isinstance(dataset, Read):
            how = "gives an item twice where a loader has two workers: share them out by get_worker_info()"
            self.require(len(set(found or ())) == len(found or ()), how)
            return
        for index, there in zip(indices, found or indices, strict=True):
            same = found is None or digest(dataset[index]) == there
            self.require(same, f"item {index} is another in another process, or in a worker of a loader")

    def test_items_differ(self) -> None:
        """The index matters."""
        dataset = self.build()
        items = [dataset[index][0] for index in self._indices(dataset)]
        differ = any(not torch.equal(item, items[0]) for item in items[1:])
        self.require(differ or len(items) < 2, "has the same item for every index")

    def test_items_belong_to_whoever_asked(self) -> None:
        """Writing to an item changes neither its other parts nor what comes when it is asked for again."""
        dataset = self.build()
        mixture, sources, metadata = dataset[0]
        expected = mixture.clone(), sources.clone(), metadata
        mixture.zero_()
        self.require(torch.equal(sources, expected[1]), "returns a mixture that shares its memory with the sources")
        sources.zero_()
        self._require_same(dataset[0], expected, "gives its own memory: item 0 changes when it is written to")

    def test_no_global_generator_is_used(self) -> None:
        """Items neither depend on nor advance the generators that everybody shares."""
        dataset = self.build()
        with seeded(1):
            before = global_randomness()
            first = dataset[0]
            self.require(global_randomness() == before, "draws from a global generator")
        with seeded(2):
            self._require_same(self.build()[0], first, "item 0 depends on a global seed")

    def test_another_seed_gives_other_mixtures(self) -> None:
        """The option `seed`, where there is one, matters."""
        if self.takes("seed"):
            one, other = (self.build(seed=seed)[0] for seed in (1, 2))
            self.require(not torch.equal(one[0], other[0]), "gives the same first item whatever the seed")

    def test_seconds_and_channels_are_obeyed(self) -> None:
        """The options `seconds` and `channels`, where they are taken, decide how long and how wide mixtures are."""
        seconds = self.options.get("seconds", self.default("seconds"))
        if isinstance(seconds, float | int):
            usual, shorter = self._size(), self._size(seconds=0.75 * seconds)
            how = f"has {usual} of {seconds} s and {shorter} of {0.75 * seconds} s: `seconds` decides nothing"
            self.require(usual is None or shorter is None or shorter[1] < usual[1], how)
        for channels in (1, 2) if self.takes("channels") else ():
            found = self._size(channels=channels)
            how = f"has mixtures of {found and found[0]} channels when it is asked for {channels}"
            self.require(found is None or found[0] == channels, f"{how}: make as many, or refuse it with a UserError")

    def _size(self, **changes: Any) -> tuple[int, ...] | None:
        """Return the shape of the first mixture; None where such are refused."""
        try:
            return tuple(self.build(**changes)[0][0].shape)
        except UserError:
            return None

    def test_the_end_is_an_index_error(self) -> None:
        """Beyond the last item comes IndexError, by which loops end; item -1 is refused or the last, as in lists."""
        dataset = self.build()
        if isinstance(dataset, Read):
            return
        try:
            dataset[len(dataset)]
        except IndexError:
            pass
        else:
            self.broken(f"has {len(dataset)} items and returns item {len(dataset)} as well")
        try:
            found = dataset[-1]
        except IndexError:
            return
        self._require_same(found, dataset[len(dataset) - 1], "takes item -1 for another than the last one")

    def test_wrong_values_are_the_users_error(self) -> None:
        """An impossible length is answered at once and clearly, not by the first item."""
        if self.takes("seconds"):
            try:
                self.build(seconds=-1.0)
            except UserError:
                return
            self.broken("accepts seconds=-1.0")

    def exercise(self) -> None:
        """Build it and take an item."""
        self.build()[0]

    def _indices(self, dataset: Any) -> list[int]:
        """Return the first indices, and the last."""
        return sorted({*range(min(self.items, len(dataset))), len(dataset) - 1})

    def _require_same(self, found: Any, expected: Any, how: str) -> None:
        self.require(torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1]), how)
        self.require(repr(found[2]) == repr(expected[2]), f"{how}: it says {found[2]} instead of {expected[2]}")


_folders: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def _prepared(suite: type[DatasetConformance]) -> Mapping[str, Any]:
    _folders.append(tempfile.TemporaryDirectory())  # kept, hence removed when the process ends
    return suite().prepare(Path(_folders[-1].name))
