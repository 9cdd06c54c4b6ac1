"""Endless data sets, and what can go wrong from epoch to epoch and from one process to another."""

import itertools

import torch

from defects import Defect
from defects.datasets import HealthyDataset
from slotaudio.testing.drawing import wave


class HealthyStream(torch.utils.data.IterableDataset):
    """The same noise without an end."""

    def __init__(self, seconds: float = 0.01, seed: int = 0) -> None:
        self.noise = HealthyDataset(seconds, size=10**6, seed=seed)

    def set_epoch(self, epoch):
        self.noise.set_epoch(epoch)

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        return self.share(0, 1) if worker is None else self.share(worker.id, worker.num_workers)

    def share(self, first, step):
        return map(self.noise.__getitem__, itertools.count(first, step))


class SameInEveryWorker(HealthyStream):
    """Lets every worker of a loader read everything."""

    def share(self, first, step):
        return super().share(0, 1)


class GoesOnWhereItStopped(HealthyStream):
    """Goes on after what was read before, instead of beginning anew."""

    position = 0

    def share(self, first, step):
        while True:
            yield self.noise[self.position]
            self.position += 1


class ForgetsItsEpoch(HealthyDataset):
    """Adds epochs up instead of setting them."""

    def set_epoch(self, epoch):
        self.epoch += 1


class NeverShipped(HealthyDataset):
    """Holds a function that no worker process can be sent."""

    def __init__(self, seconds: float = 0.01, sources: int = 2, size: int = 3, seed: int = 0) -> None:
        super().__init__(seconds, sources, size, seed)
        self.gain = lambda: 1.0


class IgnoresItsEpoch(HealthyDataset):
    """Takes an epoch and does not use it."""

    def set_epoch(self, epoch):
        pass


class FollowsItsPath(HealthyDataset):
    """Draws by the epochs that it has been through."""

    def set_epoch(self, epoch):
        self.epoch = 0 if epoch == 0 else 3 * self.epoch + epoch


class LeavesItsEpochAtHome(HealthyDataset):
    """Is sent to worker processes as it was built."""

    def __getstate__(self):
        return {**self.__dict__, "epoch": 0}


class FollowsTheWorker(HealthyDataset):
    """Draws by the number of the worker process."""

    def draw(self, index):
        worker = torch.utils.data.get_worker_info()
        return super().draw(index + 50 * (worker.id + 1 if worker else 0))


class FollowsAHash(HealthyDataset):
    """Draws by the hash of a string, which every process salts anew."""

    def draw(self, index):
        return wave(hash(f"{self.seed} {self.epoch} {index}") % 2**31, self.sources, 1, self.samples)


DEFECTS = (
    Defect("dataset", SameInEveryWorker, "test_other_processes_have_the_same_items"),
    Defect("dataset", GoesOnWhereItStopped, "test_every_way_to_an_epoch_leads_to_the_same_items"),
    Defect("dataset", ForgetsItsEpoch, "test_seed_epoch_and_index_decide_everything"),
    Defect("dataset", NeverShipped, "test_seed_epoch_and_index_decide_everything"),
    Defect("dataset", IgnoresItsEpoch, "test_every_way_to_an_epoch_leads_to_the_same_items"),
    Defect("dataset", FollowsItsPath, "test_every_way_to_an_epoch_leads_to_the_same_items"),
    Defect("dataset", LeavesItsEpochAtHome, "test_every_way_to_an_epoch_leads_to_the_same_items"),
    Defect("dataset", FollowsTheWorker, "test_other_processes_have_the_same_items"),
    Defect("dataset", FollowsAHash, "test_other_processes_have_the_same_items"),
)
