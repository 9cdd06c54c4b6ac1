"""What is drawn for mixtures: speakers, their groups and splits, where utterances lie."""

import numpy as np
import pytest

from slotaudio.data.bundled import speech
from slotaudio.data.folder import FolderMixtures
from slotaudio.data.speakers import Meeting, split_speakers


def test_the_hash_of_a_name_decides_the_split():
    speakers = [f"{number:03}" for number in range(40)]
    chosen = split_speakers(speakers, "validation", 0.1, 2)
    assert chosen == ["010", "015", "037", "039"]


def test_short_utterances_lie_anywhere():
    mixtures = FolderMixtures(speech("dev"), seconds=60.0, size=8, fixed=True)
    assert len({take.offset for index in range(8) for take in mixtures.plan(index).takes}) > 8


def test_where_no_utterance_is_long_enough_the_longer_ones_are_preferred():
    mixtures = FolderMixtures(speech("dev"), seconds=60.0, size=8, fixed=True)
    drawn = [take.length for index in range(8) for take in mixtures.plan(index).takes]
    every = [mixtures.folder.length(one) for those in mixtures.folder.speakers.values() for one in those]
    assert np.mean(drawn) > np.mean(every)


def test_large_groups_come_by_the_root_of_their_size():
    meeting = Meeting([f"a-{n}" for n in range(16)] + ["b-0", "c-0"], 2, {"a": 0.0})
    rng = np.random.default_rng(0)
    found = [name[0] for _ in range(600) for name in meeting._weighted(rng, ["a", "b", "c"], 1)]
    assert found.count("a") / 600 == pytest.approx(4 / 6, abs=0.06)
