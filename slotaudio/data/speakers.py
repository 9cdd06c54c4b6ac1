"""Which speakers meet: disjoint splits of one folder, and pairs within or across corpora."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from slotaudio.errors import DataError

Split = Literal["all", "train", "validation"]


def split_speakers(speakers: Sequence[str], split: Split, fraction: float, least: int) -> list[str]:
    """Return the speakers of a split; train and validation never share one.

    Speakers are ordered by a hash of their names, and the first of them are for validation:
    the same ones on every machine, whatever else changes.

    Args:
        fraction: share of the speakers that validation gets, but never fewer than `least`.

    Raises:
        DataError: unknown split, or not enough speakers to leave `least` on either side.
    """
    if split == "all":
        return list(speakers)
    if split not in ("train", "validation"):
        raise DataError(f"split {split!r} is not known; choose 'all', 'train' or 'validation'")
    if not 0 < fraction < 1:
        raise DataError(f"validation = {fraction} is no share of the speakers: choose one between 0 and 1")
    if len(speakers) < 2 * least:
        raise DataError(
            f"{len(speakers)} speakers cannot be split into train and validation: mixtures of {least} need "
            f"at least {2 * least}; give a second folder, or add speakers"
        )
    ordered = sorted(speakers, key=lambda name: hashlib.blake2b(name.encode()).digest())
    count = min(max(least, round(fraction * len(speakers))), len(speakers) - least)
    return sorted(ordered[:count] if split == "validation" else ordered[count:])


def group(speaker: str) -> str:
    """Return the group of a speaker's folder: what stands before its first ``-``, else nothing."""
    return speaker.partition("-")[0] if "-" in speaker else ""


class Meeting:
    """Draws the speakers of a mixture.

    Recordings of one corpus share room, microphone and codec; a model that only ever hears corpora
    mixed learns to tell recordings apart instead of voices. `groups` says how often all
    speakers come from the same one: ``{"librispeech": 0.6, "*": 0.25}`` takes 60 % of the mixtures from
    ``librispeech-...``, 25 % from one of the other groups, and mixes different groups in the rest.
    Groups that are not named count by the square root of their speakers.

    Args:
        speakers: folder names.
        most: how many speakers the largest mixture has.
        groups: see above; None draws from all speakers alike.

    Raises:
        DataError: too few speakers, a group that has too few, or probabilities over 1.
    """

    def __init__(self, speakers: Sequence[str], most: int, groups: Mapping[str, float] | None = None) -> None:
        if len(speakers) < most:
            raise DataError(f"mixtures of {most} speakers need as many; there are {len(speakers)}")
        self.speakers = list(speakers)
        self.members: dict[str, list[str]] = {}
        for speaker in speakers:
            self.members.setdefault(group(speaker), []).append(speaker)
        self.groups = dict(groups or {})
        if any(p < 0 for p in self.groups.values()) or sum(self.groups.values()) > 1 + 1e-9:
            raise DataError(f"groups = {self.groups} are no probabilities: each 0 or more, 1 at most together")
        for name in self.groups:
            if name != "*" and len(self.members.get(name, ())) < most:
                sizes = ", ".join(f"{group or 'no group'}: {len(names)}" for group, names in self.members.items())
                raise DataError(f"group {name!r} needs {most} speakers; there are {sizes}")
        self._others = [g for g, names in self.members.items() if g not in self.groups and len(names) >= most]
        if self.groups.get("*") and not self._others:
            raise DataError(f"groups: '*' stands for groups of {most} or more speakers not named; there are none")

    def draw(self, rng: np.random.Generator, count: int) -> list[str]:
        """Return `count` different speakers in random order."""
        if not self.groups:
            return self._some(rng, self.speakers, count)
        chance = rng.random()
        for name, probability in self.groups.items():
            if chance < probability:
                chosen = self._weighted(rng, self._others, 1)[0] if name == "*" else name
                return self._some(rng, self.members[chosen], count)
            chance -= probability
        if len(self.members) < count:
            return self._some(rng, self.speakers, count)
        groups = self._weighted(rng, list(self.members), count)
        return [self._some(rng, self.members[name], 1)[0] for name in groups]

    def _weighted(self, rng: np.random.Generator, groups: list[str], count: int) -> list[str]:
        weights = np.sqrt([len(self.members[name]) for name in groups])
        return [groups[i] for i in rng.choice(len(groups), count, replace=False, p=weights / weights.sum())]

    @staticmethod
    def _some(rng: np.random.Generator, speakers: list[str], count: int) -> list[str]:
        return [speakers[i] for i in rng.choice(len(speakers), count, replace=False)]
