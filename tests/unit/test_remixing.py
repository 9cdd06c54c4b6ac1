"""Batches that are used again: the same voices and noise in other pairs."""

import torch

from slotaudio.data.batches import collate
from slotaudio.data.remixing import Repeat, remixed
from slotaudio.training.data import Batches


def item(number, names, part="pairs", noise=0.0, **more):
    """A mixture of sources that are constants: ten times the item's number, and the source's."""
    sources = torch.stack([torch.full((1, 4), 10.0 * number + place) for place in range(len(names))])
    metadata = {"speakers": names, "utterances": tuple(f"{name}-{number}" for name in names), "part": part, **more}
    return sources.sum(0) + noise, sources, metadata


def heard(batch):
    return batch.sources[:, :, 0, 0].tolist()


def test_second_sources_come_from_items_further_on():
    batch = collate([item(n, (f"a{n}", f"b{n}"), noise=100.0 * n) for n in range(4)])
    for turn in (1, 2):
        again = Repeat(batch, turn).to(torch.device("cpu"))
        assert heard(again) == [[10 * n, 10 * ((n + turn) % 4) + 1] for n in range(4)]
        rest = (again.mixture - again.sources.sum(1))[:, 0, 0]
        assert rest.tolist() == [0.0, 100.0, 200.0, 300.0]  # noise stays where it was
        assert again.metadata[3]["speakers"] == ("a3", f"b{(3 + turn) % 4}")
        assert again.metadata[3]["utterances"] == ("a3-3", f"b{(3 + turn) % 4}-{(3 + turn) % 4}")
    assert heard(remixed(batch, 4)) == heard(batch)


def test_three_sources_come_from_three_items():
    batch = collate([item(n, (f"a{n}", f"b{n}", f"c{n}")) for n in range(5)])
    assert heard(remixed(batch, 1))[4] == [40.0, 1.0, 12.0]


def test_parts_and_numbers_of_voices_stay_apart_and_nobody_is_heard_twice():
    batch = collate(
        [
            item(0, ("a", "b")),
            item(1, ("c", "d"), part="telephone"),
            item(2, ("e", "a")),  # whose second voice is the first item's first
            item(3, ("f", "")),  # one voice, the other silent
            item(4, ("g", "h")),
            item(5, ("i", "j"), part="telephone"),
            item(6, ("",), unlabelled=True),
            item(7, ("k", "")),
        ]
    )
    origins = [int(second // 10) for _, second in heard(remixed(batch, 1))]
    assert origins[:6] == [0, 5, 4, 7, 0, 1]
    assert heard(remixed(batch, 1))[6] == heard(batch)[6]


class Counting(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return item(index, (f"a{index}", f"b{index}"))


def test_repeats_follow_their_batch_and_are_resumed_in_the_middle():
    def found(start):
        batches = Batches(Counting(), 2, start, 14, seed=0, repeats=3)
        return [heard(batch.to(torch.device("cpu"))) for batch in batches]

    whole = found(0)
    assert len(whole) == 14
    for start in (1, 3, 8):
        assert found(start) == whole[start:]
    for first in range(0, 12, 3):  # of a batch of two, every second turn is the first again
        assert whole[first + 1] != whole[first] == whole[first + 2]
        columns = [[sorted(column) for column in zip(*pairs, strict=True)] for pairs in whole[first : first + 2]]
        assert columns[0] == columns[1]
