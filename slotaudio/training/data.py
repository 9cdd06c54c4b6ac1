"""`Batches`: the endless sequence of training batches, which can be resumed anywhere."""

import os
import signal
import threading
from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any

import torch
from einops import rearrange
from torch.utils.data import DataLoader, IterableDataset

from slotaudio.data.batches import collate
from slotaudio.data.remixing import Repeat
from slotaudio.errors import DataError
from slotaudio.types import Batch


class Batches:
    """Batches number `start` to `stop`: the same ones whether a run was interrupted or not.

    Batch n that is made belongs to epoch ``n // batches of an epoch``, whose order is drawn from the seed and the
    epoch's number; data sets that draw their items anew are told the epoch (`set_epoch`). So the position in the data
    is one number, and nothing else has to be saved.

    Args:
        dataset: map-style, or iterable (which a resumed run reads again up to its position).
        batch_size: items of one batch.
        start, stop: numbers of the first batch and of the one after the last.
        seed: with the epoch it decides the order.
        workers: processes that make batches; 0 for none.
        pinned: make them in memory that a GPU can read by itself.
        repeats: how often each batch that is made is used, every time but the first as a `Repeat`, in other pairs.

    Several processes that train together get disjoint parts of the same batches, whatever their number: see `share`.

    Raises:
        DataError: an epoch is smaller than a batch.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        start: int,
        stop: int,
        seed: int,
        workers: int = 0,
        pinned: bool = False,
        repeats: int = 1,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.start = start
        self.stop = stop
        self.seed = seed
        self.workers = workers
        self.pinned = pinned
        self.repeats = repeats
        self.part = slice(0, batch_size)
        self.indexed = isinstance(dataset, Sized) and not isinstance(dataset, IterableDataset)
        if self.indexed and len(dataset) < batch_size:
            raise DataError(
                f"an epoch of {len(dataset)} mixtures is smaller than a batch of {batch_size}; "
                "set a larger data.train.size or a smaller train.batch_size"
            )

    def share(self, process: int, processes: int) -> None:
        """Keep only the part of each batch that belongs to process number `process`."""
        size = self.batch_size // processes
        self.part = slice(process * size, (process + 1) * size)

    def __len__(self) -> int:
        """Number of batches of the whole run, those before `start` included."""
        return self.stop

    def __iter__(self) -> Iterator[Batch | Repeat]:
        first, turn = divmod(self.start, self.repeats)
        return islice(self._repeated(first), turn, turn + max(0, self.stop - self.start))

    def _repeated(self, first: int) -> Iterator[Batch | Repeat]:
        for batch in self._drawn(first) if self.indexed else self._read(first):
            yield batch
            yield from (Repeat(batch, turn) for turn in range(1, self.repeats))

    def _drawn(self, first: int) -> Iterator[Batch]:
        per_epoch = len(self.dataset) // self.batch_size
        epoch, position = divmod(first, per_epoch)
        while True:
            generator = torch.Generator().manual_seed(1_000_003 * self.seed + epoch)
            order = torch.randperm(len(self.dataset), generator=generator)[: per_epoch * self.batch_size]
            batches = rearrange(order, "(batches items) -> batches items", batches=per_epoch)
            # a loader for each epoch, so that worker processes see whatever the data set keeps about it
            yield from _started(self._loader(epoch, batch_sampler=batches[position:, self.part].tolist()))
            epoch, position = epoch + 1, 0

    def _read(self, first: int) -> Iterator[Batch]:
        epoch, skip = 0, first
        while True:
            seen = 0
            for batch in _started(self._loader(epoch, batch_size=self.batch_size, drop_last=True)):
                seen += 1
                if seen > skip:
                    yield Batch(batch.mixture[self.part], batch.sources[self.part], batch.metadata[self.part])
            if not seen:
                raise DataError(f"the data set gave less than one batch of {self.batch_size} mixtures")
            epoch, skip = epoch + 1, max(0, skip - seen)

    def _loader(self, epoch: int, **batching: Any) -> DataLoader[Any]:
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)
        batching |= {"collate_fn": collate, "num_workers": self.workers, "worker_init_fn": _leave_signals}
        batching |= {"pin_memory": self.pinned}
        return DataLoader(self.dataset, **batching)


def _started(loader: DataLoader[Any]) -> Iterator[Batch]:
    """Return an iterator whose worker processes are born with SIGTERM blocked.

    A signal to the whole group may come before `_leave_signals` is called in all of them.
    """
    if not hasattr(signal, "sigwaitinfo"):
        return iter(loader)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _leave_signals(worker: int) -> None:
    """Ctrl-C and SIGTERM may reach a whole group of processes; the one that trains decides what follows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # Linux: tells who sent it
        threading.Thread(target=_obey_parent, daemon=True).start()


def _obey_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
