"""A healthy data set, and what can go wrong with it."""

import random

import torch

from defects import Defect
from slotaudio.errors import DataError
from slotaudio.testing.drawing import wave


class HealthyDataset:
    """Noise by seed, epoch and index."""

    def __init__(self, seconds: float = 0.01, sources: int = 2, size: int = 3, seed: int = 0) -> None:
        if seconds <= 0:
            raise DataError(f"noise: seconds = {seconds} is not above zero")
        self.samples, self.sources, self.size, self.seed, self.epoch = round(seconds * 16000), sources, size, seed, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if not 0 <= index < self.size:
            raise IndexError(index)
        sources = self.draw(index) / self.sources
        return self.finish(sources.sum(0), sources)

    def draw(self, index):
        return wave(1000 * self.seed + 100 * self.epoch + index, self.sources, 1, self.samples)

    def finish(self, mixture, sources):
        return mixture, sources, {"id": "noise"}


class FixedLength(HealthyDataset):
    """Takes a length and does not use it."""

    def draw(self, index):
        return wave(1000 * self.seed + 100 * self.epoch + index, self.sources, 1, 160)


class AlwaysStereo(HealthyDataset):
    """Takes a number of channels and does not use it."""

    def __init__(
        self, seconds: float = 0.01, sources: int = 2, size: int = 3, seed: int = 0, channels: int = 2
    ) -> None:
        super().__init__(seconds, sources, size, seed)

    def draw(self, index):
        return super().draw(index).expand(-1, 2, -1)


class NormalisedMixture(HealthyDataset):
    """Scales the mixture and not its sources."""

    def finish(self, mixture, sources):
        return mixture / mixture.abs().max(), sources, {}


class TooLoud(HealthyDataset):
    """Lets the mixture exceed full scale."""

    def finish(self, mixture, sources):
        return 4 * mixture, 4 * sources, {}


class DoublePrecision(HealthyDataset):
    """Returns float64."""

    def finish(self, mixture, sources):
        return mixture.double(), sources.double(), {}


class GlobalTorch(HealthyDataset):
    """Draws from torch's global generator."""

    def draw(self, index):
        return torch.rand(self.sources, 1, self.samples) - 0.5


class GlobalRandom(HealthyDataset):
    """Draws a gain from Python's global generator."""

    def draw(self, index):
        return super().draw(index) * random.uniform(0.5, 1)


class CountsCalls(HealthyDataset):
    """Draws on, call by call."""

    calls = 0

    def draw(self, index):
        self.calls += 1
        return super().draw(index + self.calls)


class SameForEverySeed(HealthyDataset):
    """Takes a seed and does not use it."""

    def draw(self, index):
        return wave(index, self.sources, 1, self.samples)


class NoEnd(HealthyDataset):
    """Begins again after the last item."""

    def __getitem__(self, index):
        return super().__getitem__(index % self.size)


class AnyLength(HealthyDataset):
    """Takes impossible lengths and fails at the first item."""

    def __init__(self, seconds: float = 0.01, sources: int = 2, size: int = 3, seed: int = 0) -> None:
        super().__init__(abs(seconds), sources, size, seed)


class SameItemAlways(HealthyDataset):
    """Draws by seed and epoch alone."""

    def draw(self, index):
        return super().draw(0)


class HandsOutItsMemory(HealthyDataset):
    """Keeps what it has drawn and returns that very tensor."""

    def __init__(self, seconds: float = 0.01, sources: int = 2, size: int = 3, seed: int = 0) -> None:
        super().__init__(seconds, sources, size, seed)
        self.kept = {}

    def finish(self, mixture, sources):
        kept = self.kept.setdefault(float(mixture.sum()), sources)
        return mixture, kept, {}


class SourceForMixture(HealthyDataset):
    """Returns its only source as the mixture, too."""

    def __init__(self, seconds: float = 0.01, sources: int = 1, size: int = 3, seed: int = 0) -> None:
        super().__init__(seconds, sources, size, seed)

    def finish(self, mixture, sources):
        return sources[0], sources, {}


class NamesByChance(HealthyDataset):
    """Says something else about the same item each time."""

    calls = 0

    def finish(self, mixture, sources):
        self.calls += 1
        return mixture, sources, {"id": f"mixture-{self.calls}"}


class CountsFromBelow(HealthyDataset):
    """Draws something new for negative indices."""

    def __getitem__(self, index):
        return super().__getitem__(index) if index >= 0 else self.finish(*self.new(index))

    def new(self, index):
        sources = self.draw(-index + 10) / self.sources
        return sources.sum(0), sources


class LastIsSpoiled(HealthyDataset):
    """Has an item that cannot be used, behind those that tests look at."""

    def __init__(self, seconds: float = 0.01, sources: int = 2, size: int = 9, seed: int = 0) -> None:
        super().__init__(seconds, sources, size, seed)

    def draw(self, index):
        return super().draw(index) * (torch.nan if index == self.size - 1 else 1)


class SeedsPython(HealthyDataset):
    """Seeds the generator that everybody shares, item by item."""

    def draw(self, index):
        random.seed(1000 * self.seed + 100 * self.epoch + index)
        return wave(random.getrandbits(31), self.sources, 1, self.samples)


DEFECTS = (
    Defect("dataset", FixedLength, "test_seconds_and_channels_are_obeyed"),
    Defect("dataset", AlwaysStereo, "test_seconds_and_channels_are_obeyed"),
    Defect("dataset", NormalisedMixture, "test_the_mixture_is_exactly_the_sum_of_the_sources"),
    Defect("dataset", TooLoud, "test_items_follow_the_contract"),
    Defect("dataset", DoublePrecision, "test_items_follow_the_contract"),
    Defect("dataset", GlobalTorch, "test_no_global_generator_is_used"),
    Defect("dataset", GlobalRandom, "test_no_global_generator_is_used"),
    Defect("dataset", CountsCalls, "test_seed_epoch_and_index_decide_everything"),
    Defect("dataset", SameForEverySeed, "test_another_seed_gives_other_mixtures"),
    Defect("dataset", NoEnd, "test_the_end_is_an_index_error"),
    Defect("dataset", AnyLength, "test_wrong_values_are_the_users_error"),
    Defect("dataset", SameItemAlways, "test_items_differ"),
    Defect("dataset", HandsOutItsMemory, "test_items_belong_to_whoever_asked"),
    Defect("dataset", SourceForMixture, "test_items_belong_to_whoever_asked"),
    Defect("dataset", NamesByChance, "test_seed_epoch_and_index_decide_everything"),
    Defect("dataset", CountsFromBelow, "test_the_end_is_an_index_error"),
    Defect("dataset", LastIsSpoiled, "test_items_follow_the_contract"),
    Defect("dataset", SeedsPython, "test_it_leaves_what_everybody_shares_alone"),
)
