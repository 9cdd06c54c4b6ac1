"""The data set that needs no files, and batches of unequal items."""

import pytest
import torch
from torch.utils.data import DataLoader

from slotaudio.compose import build
from slotaudio.data.batches import collate
from slotaudio.data.mixing import PEAK
from slotaudio.data.synthetic import SyntheticMixtures
from slotaudio.errors import DataError


def test_shorter_items_and_fewer_sources_are_padded_with_silence():
    items = [
        (sources.sum(0), sources, {"id": str(n)})
        for n, sources in enumerate([torch.ones(1, 1, 3), torch.ones(3, 1, 5)])
    ]
    batch = collate(items)
    assert batch.mixture.shape == (2, 1, 5)
    assert batch.sources.shape == (2, 3, 1, 5)
    assert torch.equal(batch.mixture, batch.sources.sum(1))
    assert batch.sources[0].sum() == 3
    assert [metadata["id"] for metadata in batch.metadata] == ["0", "1"]


def test_batches_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="at least one item"):
        collate([])
    mono, stereo = torch.ones(2, 1, 4), torch.ones(2, 2, 4)
    with pytest.raises(DataError, match=r"\[1, 2\] channels"):
        collate([(mono.sum(0), mono, {}), (stereo.sum(0), stereo, {})])


@pytest.mark.parametrize("kind", ["talker", "burst"])
def test_synthetic_mixtures_meet_the_contract(kind):
    dataset = build("dataset", {"name": "synthetic", "seconds": 0.5, "sources": 3, "size": 4, "kinds": [kind]})
    for mixture, sources, metadata in dataset:
        assert mixture.dtype == torch.float32
        assert sources.shape == (3, 1, 8000)
        assert torch.equal(mixture, sources.sum(0))
        assert 0.001 < mixture.abs().max() <= PEAK + 1e-6
        assert metadata["speakers"] == (kind,) * 3
    assert len(dataset) == 4


def test_synthetic_silence_and_determinism():
    dataset = SyntheticMixtures(seconds=0.1, silence=0.5, size=40)
    silent = [int((sources.abs().amax(dim=(1, 2)) == 0).sum()) for _, sources, _ in dataset]
    assert 8 < sum(silent) < 32
    assert [2 - metadata["active"] for _, _, metadata in dataset] == silent
    again = SyntheticMixtures(seconds=0.1, silence=0.5, size=40)
    assert all(torch.equal(a[1], b[1]) for a, b in zip(dataset, again, strict=True))
    again.set_epoch(1)
    assert not torch.equal(dataset[0][1], again[0][1])


def test_synthetic_through_workers():
    dataset = SyntheticMixtures(seconds=0.1, size=6)
    batches = DataLoader(dataset, 4, collate_fn=collate, num_workers=1)
    assert torch.equal(torch.cat([batch.mixture for batch in batches]), collate([*dataset]).mixture)


@pytest.mark.parametrize(
    "options", [{"seconds": 0.0}, {"sources": 0}, {"seed": -1}, {"kinds": ["choir"]}, {"kinds": []}, {"silence": 2.0}]
)
def test_synthetic_options_out_of_range(options):
    with pytest.raises(DataError, match="synthetic"):
        SyntheticMixtures(**options)
