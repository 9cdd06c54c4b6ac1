"""Separating in bfloat16: nearly the same sources, and nobody sees another type than float32."""

import pytest
import torch

from slotaudio import Separator
from slotaudio.data.bundled import speech
from slotaudio.data.folder import FolderMixtures


@pytest.mark.parametrize("model", ["band-split", "band-split-fast", "band-split-three", "audioslots-small"])
def test_bfloat16_changes_little_and_shows_nowhere(model):
    mixture = FolderMixtures(speech("dev"), 2.0, size=1, seed=1, fixed=True)[0][0]
    fine, seen = Separator.from_pretrained(model)(mixture).sources, []
    separator = Separator.from_pretrained(model, precision="bf16")
    separated = separator(mixture, observer=seen.append)
    assert separated.sources.dtype == separated.presence.dtype == torch.float32
    given = {name: value for name, value in vars(seen[0].slots).items() if value is not None}
    assert {value.dtype for value in given.values()} == {torch.float32}
    difference = (separated.sources - fine).square().mean()
    assert 0 < difference < 1e-2 * fine.square().mean()
    kept = Separator.from_pretrained(model, precision="bf16", keep_noise=True)(mixture)
    torch.testing.assert_close(kept.sources.sum(dim=0), mixture, rtol=0, atol=1e-5)


def test_slots_over_time_are_numbers_for_numpy():
    mixture = FolderMixtures(speech("dev"), 2.0, size=1, seed=1, fixed=True)[0][0]
    slots = Separator.from_pretrained(precision="bf16").slots(mixture, 16000)
    assert slots.vectors.dtype == "float32"
