"""`Blend`: shares, determinism, epochs, options for all parts, bad options."""

import numpy as np
import pytest
import soundfile
import torch

from slotaudio.data.blend import Blend
from slotaudio.data.epochs import SkippedUtterance
from slotaudio.errors import DataError

PARTS = {"pairs": {"name": "folder"}, "talks": {"name": "conversations", "turn": (0.5, 2.0)}}


def blend(parts=PARTS, **options):
    return Blend(
        parts,
        **{"shares": {"pairs": 3.0, "talks": 1.0}, "size": 40, "path": "bundled:train", "seconds": 0.5, **options},
    )


def test_every_part_has_its_share_and_the_options_of_all():
    data = blend(size=200)
    talks = [data[index][2]["id"].startswith("conversation") for index in range(len(data))]
    assert sum(talks) / len(data) == pytest.approx(0.25, abs=0.08)
    for index in (talks.index(True), talks.index(False)):
        mixture, sources, _ = data[index]
        assert mixture.shape == (1, 8000)
        assert sources.shape == (2, 1, 8000)


def test_an_item_depends_on_seed_epoch_and_index_alone():
    one, other = blend(seed=3), blend(seed=3)
    for index in (5, 0, 5):
        assert torch.equal(one[index][0], other[index][0])
    first = [one[index][0] for index in range(8)]
    one.set_epoch(1)
    assert not any(torch.equal(before, one[index][0]) for index, before in enumerate(first))
    one.set_epoch(0)
    assert all(torch.equal(before, one[index][0]) for index, before in enumerate(first))
    fixed = blend(fixed=True)
    before = fixed[2][0]
    fixed.set_epoch(4)
    assert torch.equal(fixed[2][0], before)


def test_a_part_keeps_what_it_sets_itself():
    data = blend({"long": {"name": "folder", "seconds": 0.75}}, shares={"long": 1.0})
    assert data[0][0].shape == (1, 12000)


def test_sources_of_unlabelled_parts_are_hidden():
    data = blend(unlabelled=["talks"], size=20)
    hidden = [data[index] for index in range(20) if data[index][2].get("unlabelled")]
    assert 0 < len(hidden) < 20
    for mixture, sources, metadata in hidden:
        assert metadata["id"].startswith("conversation")
        assert torch.equal(sources, mixture[None])
        assert not any(metadata["speakers"])


def test_parts_of_one_folder_share_what_is_kept_in_memory():
    pairs, talks = blend(cache=True).parts
    assert pairs.folder._cached
    assert pairs.folder._cached is talks.folder._cached


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": {}, "shares": {}}, "its parts are none"),
        ({"shares": {"pairs": 1.0}}, "parts are pairs, talks, its shares are for pairs; give each one"),
        ({"shares": {"pairs": 1.0, "talks": -1.0}}, "may not be negative"),
        ({"shares": {"pairs": 0.0, "talks": 0.0}}, "nor all zero"),
        ({"unlabelled": ["talk"]}, r"unlabelled = \['talk'\]; its parts are pairs, talks"),
        ({"size": 0}, "its part 'pairs' is empty"),
    ],
)
def test_bad_options_say_what_is_possible(options, message):
    with pytest.raises(DataError, match=message):
        blend(**options)


def test_what_the_parts_could_not_read_is_counted(tmp_path):
    for number in range(3):
        (tmp_path / f"voice{number}").mkdir()
        soundfile.write(tmp_path / f"voice{number}/1.wav", 0.1 * np.random.default_rng(number).normal(size=9000), 16000)
    (tmp_path / "voice0/1.wav").write_bytes(b"not audio")
    data = blend({"pairs": {"name": "folder", "on_error": "skip"}}, shares={"pairs": 1.0}, path=tmp_path)
    with pytest.warns(SkippedUtterance):
        assert len(list(data)) == 40
    assert data.skipped == data.parts[0].skipped > 0
