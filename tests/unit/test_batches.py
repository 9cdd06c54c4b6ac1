"""The sequence of training batches: its order, and that it can be entered anywhere."""

import multiprocessing
import signal
import subprocess
from itertools import count, islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset, IterableDataset

from slotaudio.errors import DataError
from slotaudio.training import data
from slotaudio.training.data import Batches


def item(epoch, index):
    wave = torch.full((1, 4), float(index))
    return wave, wave[None], {"id": (epoch, index)}


class Drawn(Dataset):
    """Items that say which they are."""

    def __init__(self, size):
        self.size = size
        self.epoch = 0

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return item(self.epoch, index)

    def set_epoch(self, epoch):
        self.epoch = epoch


class Streamed(IterableDataset):
    def __init__(self, size):
        self.size = size
        self.epoch = 0

    def __iter__(self):
        return (item(self.epoch, index) for index in range(self.size))

    def set_epoch(self, epoch):
        self.epoch = epoch


def ids(batches):
    return [[metadata["id"] for metadata in batch.metadata] for batch in batches]


@given(
    kind=st.sampled_from([Drawn, Streamed]),
    size=st.integers(3, 11),
    batch_size=st.integers(1, 3),
    start=st.integers(0, 12),
    seed=st.integers(0, 3),
)
def test_a_run_can_be_entered_anywhere(kind, size, batch_size, start, seed):
    whole = ids(Batches(kind(size), batch_size, 0, 12, seed))
    assert ids(Batches(kind(size), batch_size, start, 12, seed)) == whole[start:]
    assert [len(batch) for batch in whole] == [batch_size] * 12
    per_epoch = size // batch_size
    for number, epoch in zip(range(0, 12, per_epoch), count(), strict=False):
        seen = [which for batch in whole[number : number + per_epoch] for which in batch]
        assert len(set(seen)) == len(seen)
        assert {which[0] for which in seen} == {epoch}


def test_the_order_depends_on_seed_and_epoch():
    orders = [
        tuple(index for batch in ids(Batches(Drawn(30), 10, 0, 6, seed)) for _, index in batch) for seed in (0, 1)
    ]
    halves = {half for order in orders for half in (order[:30], order[30:])}
    assert len(halves) == 4
    assert all(sorted(half) == list(range(30)) for half in halves)


def test_worker_processes_make_the_same_batches():
    alone, helped = (ids(Batches(Drawn(8), 4, 1, 6, seed=0, workers=workers)) for workers in (0, 2))
    assert alone == helped


def test_the_length_is_that_of_the_whole_run():
    assert len(Batches(Drawn(8), 4, start=3, stop=10, seed=0)) == 10


def test_epochs_smaller_than_a_batch_are_an_error():
    with pytest.raises(
        DataError, match=r"an epoch of 3 mixtures is smaller than a batch of 4; set a larger data.train"
    ):
        Batches(Drawn(3), 4, 0, 10, seed=0)
    with pytest.raises(DataError, match="less than one batch of 4"):
        list(islice(Batches(Streamed(3), 4, 0, 10, seed=0), 1))


def test_workers_outlive_a_signal_to_the_group_but_not_their_parent():
    batches = iter(Batches(Drawn(200), 2, 0, 100, seed=0, workers=1))
    next(batches)
    (worker,) = multiprocessing.active_children()
    for number in (signal.SIGINT, signal.SIGTERM):
        subprocess.run(["kill", f"-{number.value}", str(worker.pid)], check=True)  # not from the parent
    assert len(ids(islice(batches, 20))) == 20
    assert worker.is_alive()
    worker.terminate()
    worker.join(timeout=30)
    assert worker.exitcode == 0
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(batches)


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="only Linux tells who sent a signal")
def test_a_signal_may_come_before_workers_are_ready_for_it(monkeypatch):
    monkeypatch.setattr(data, "_leave_signals", lambda worker: None)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    batches = iter(Batches(Drawn(200), 2, 0, 100, seed=0, workers=1))
    next(batches)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    (worker,) = multiprocessing.active_children()
    subprocess.run(["kill", "-TERM", str(worker.pid)], check=True)
    assert len(ids(islice(batches, 20))) == 20
