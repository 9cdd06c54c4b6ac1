"""The measures of collapse, on cases whose answer is known."""

import pytest
import torch

from slotaudio.collapse import Collapse, alike, attention_overlap, collapse, slot_similarity
from slotaudio.errors import UserError
from slotaudio.types import Slots


@pytest.fixture
def sources():
    """Four windows of two sources, the first ten times as loud."""
    noise = torch.randn(4, 2, 1, 400, generator=torch.Generator().manual_seed(0))
    return noise * torch.tensor([1.0, 0.1])[:, None, None]


def test_separated_sources_have_not_collapsed(sources):
    assert collapse(sources, sources) == Collapse(4, 0)
    assert collapse(-3 * sources.flip(1), sources).share == 0


def test_two_copies_of_the_loudest_have(sources):
    assert collapse(sources[:, [0, 0]], sources) == Collapse(4, 4)
    mixture = sources.sum(1, keepdim=True).expand(-1, 2, -1, -1)
    assert collapse(mixture, sources).share == 1


def test_two_copies_of_the_weaker_have_not(sources):
    assert collapse(sources[:, [1, 1]], sources).share == 0


def test_only_some_windows(sources):
    estimates = sources.clone()
    estimates[2, 1] = 0.5 * sources[2, 0]
    assert collapse(estimates, sources) == Collapse(4, 1)
    assert collapse(estimates, sources).share == 0.25


def test_silent_slots_take_nothing(sources):
    three = torch.cat([sources, 1e-4 * sources[:, :1]], dim=1)
    assert collapse(three, sources).share == 0
    assert collapse(torch.cat([sources, 0.5 * sources[:, :1]], dim=1), sources).share == 1


def test_windows_with_one_voice_or_none_are_left_out(sources):
    sources[0, 1] = 0
    sources[1] = 0
    assert collapse(sources, sources).windows == 2
    assert collapse(sources[:2, [0, 0]], sources[:2]).windows == 0
    assert torch.isnan(torch.tensor(collapse(sources[:2], sources[:2]).share))


def test_order_of_slots_and_sources_does_not_matter(sources):
    estimates = torch.randn(4, 3, 1, 400, generator=torch.Generator().manual_seed(1)) + sources[:, :1]
    found = collapse(estimates, sources)
    assert found == collapse(estimates[:, [2, 0, 1]], sources.flip(1))
    assert found.collapsed == 4


def test_what_does_not_belong_together_is_refused(sources):
    with pytest.raises(UserError, match="windows, channels and time must agree"):
        collapse(sources[..., :-1], sources)


def test_slots_that_look_at_the_same_tokens_overlap():
    looks = torch.tensor([[[[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 3.0, 3.0], [0.0, 1.0, 1.0, 0.0]]]])
    assert attention_overlap(looks[:, :, :2]).item() == 0
    assert attention_overlap(looks[:, :, [0, 0]]).item() == 1
    assert attention_overlap(looks).item() == pytest.approx(1 / 3)  # 0, 1/2 and 1/2
    # a softmax over slots gives each slot another sum
    assert attention_overlap(looks * torch.tensor([1.0, 5.0, 0.1])[:, None]).item() == pytest.approx(1 / 3)


def test_slots_of_one_direction_are_alike():
    vectors = torch.tensor([[[[1.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [3.0, 3.0]]]])
    torch.testing.assert_close(slot_similarity(vectors), torch.tensor([[0.0, 1.0]]))
    with pytest.raises(UserError, match="1 slot"):
        slot_similarity(vectors[:, :, :1])


def test_alike_is_the_mean_over_windows_and_leaves_out_what_is_not_there():
    vectors = torch.tensor([[[[1.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [3.0, 3.0]]]])
    looks = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]]])
    assert alike([Slots(vectors, looks)]) == pytest.approx({"slot_similarity": 0.5, "attention_overlap": 0.5})
    assert alike([Slots(vectors), Slots(vectors)]) == pytest.approx({"slot_similarity": 0.5})
    assert alike([Slots(vectors[:, :, :1])]) == alike([]) == {}


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_sign_does_not_matter():
    sources = noise(1, 2, 1, 400) * torch.tensor([1.0, 0.5])[:, None, None]
    assert collapse(torch.stack([sources[:, 0], -sources[:, 0]], dim=1), sources).collapsed == 1
