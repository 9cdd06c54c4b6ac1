"""How many sources there are: what models say, what is measured, and what was asked for."""

import re

import pytest
import torch

from slotaudio.data.bundled import speech
from slotaudio.data.folder import FolderMixtures
from slotaudio.errors import UserError
from slotaudio.separation.observation import Observation
from slotaudio.separation.presence import PresenceMeter, source_range
from slotaudio.separation.separator import Separator
from slotaudio.types import Slots


def seen(level: torch.Tensor, presence: torch.Tensor | None = None) -> Observation:
    """A window of one step; `level` in dB, ``batch slots``."""
    batch, slots = level.shape
    logits = None if presence is None else presence[:, None]
    vectors = Slots(torch.zeros(batch, 1, slots, 3), None, logits)
    order = torch.arange(slots).expand(batch, slots)
    return Observation(0.0, vectors, torch.zeros(1, 2), order, level[:, None])


def met(windows: list[Observation]) -> PresenceMeter:
    meter = PresenceMeter(windows[0].order.shape[1], 0.25)
    for window in windows:
        meter.update(window)
    return meter


def test_models_that_were_taught_presence_are_believed():
    loud = torch.full((1, 3), -20.0)
    meter = met([seen(loud, torch.tensor([[5.0, -5.0, -4.0]]))] * 20)
    assert meter.chosen(1, 3) == [[0]]
    assert meter.chosen(2, 3) == [[0, 2]]
    assert meter.chosen(3, 3) == [[0, 1, 2]]
    torch.testing.assert_close(meter.scores(), torch.tensor([[5.0, -5.0, -4.0]]).sigmoid())
    assert met([seen(loud, torch.tensor([[4.0, -5.0, 5.0]]))] * 20).chosen(2, 3) == [[0, 2]]  # in their order


def test_a_voice_counts_that_is_there_in_a_quarter_of_what_is_heard():
    """However long the silence between; in how many outputs one voice is over minutes says nothing."""
    first, second, silence = (torch.tensor([logits]) for logits in ([5.0, -5.0], [-5.0, 5.0], [-5.0, -5.0]))
    level = torch.full((1, 2), -20.0)
    alone = [seen(level, first)] * 300
    for turns, number in ((16, 2), (4, 1)):
        talk = ([seen(level, first)] * 4 + [seen(level, second)] * 4) * turns
        assert met(alone + talk).found().tolist() == [number]
        assert met(alone + [seen(level, silence)] * 600 + talk).found().tolist() == [number]
    assert met(alone + [seen(level, second)] * 300).found().tolist() == [1]  # who came back in another output


def test_windows_are_passed_on_and_who_wants_all_slots_gets_them_unheard():
    passed = []
    meter = PresenceMeter(2, 0.25, passed.append)
    assert meter.chosen(2, 2) == [[0, 1]]  # nothing was heard yet
    meter.update(window := seen(torch.full((1, 2), -20.0)))
    assert passed == [window]
    with pytest.raises(UserError, match="no window was observed"):
        PresenceMeter(2, 0.25).chosen(1, 2)


def test_without_presence_energy_decides_and_pauses_do_not():
    turns = [seen(torch.tensor([[-20.0, -35.0]])), seen(torch.tensor([[-33.0, -22.0]]))] * 12
    leaking = [seen(torch.tensor([[-20.0, -32.0]]))] * 24
    pause = [seen(torch.tensor([[-70.0, -69.0]]))] * 24
    assert met(turns + pause).chosen(1, 2) == [[0, 1]]
    assert met(leaking + pause).chosen(1, 2) == [[0]]


def test_each_recording_of_a_batch_is_judged_by_itself():
    both = seen(torch.tensor([[-20.0, -60.0], [-60.0, -20.0], [-20.0, -21.0]]))
    assert met([both] * 10).chosen(1, 2) == [[0], [1], [0, 1]]


def test_silence_holds_nobody():
    meter = met([seen(torch.full((1, 2), -120.0))] * 9)
    assert meter.scores().tolist() == [[0.0, 0.0]]
    assert meter.chosen(1, 2) == [[0]]
    unlikely = met([seen(torch.full((1, 2), -120.0), torch.tensor([[-5.0, -4.0]]))] * 9)
    assert unlikely.chosen(1, 2) == [[0]]  # not the less unlikely one


@pytest.mark.parametrize(
    ("given", "range_"),
    [
        (2, (2, 2)),
        ("2", (2, 2)),
        ("1-3", (1, 3)),
        (" 2 - 3", (2, 3)),
        ((2, 3), (2, 3)),
        ("unknown", (1, 3)),
        (None, (3, 3)),
    ],
)
def test_numbers_of_sources(given, range_):
    assert source_range(given, 3) == range_


@pytest.mark.parametrize("given", [0, "0", "3-2", "two", "", "-1", "1-2-3", (1, 2, 3), (), (3, 1), "unkown"])
def test_no_numbers_of_sources(given):
    with pytest.raises(UserError, match=f"^{re.escape(repr(given))} does not say how many sources there are: give a"):
        source_range(given, 3)


def test_more_sources_than_slots():
    with pytest.raises(UserError, match=r"4 sources were asked for, but the model has 3 slots.*ask for 3 or fewer"):
        source_range("2-4", 3)


@pytest.mark.parametrize(
    ("sources", "slots"), [(None, 2), (2, 2), ("2", 2), ((2, 2), 2), ("unknown", 3), (1, 2), (3, 3), ("2-3", 3)]
)
def test_the_default_model_follows_the_number_of_sources(sources, slots):
    assert Separator.from_pretrained(sources=sources).model.slots == slots


def test_more_sources_than_any_bundled_model_has_slots():
    with pytest.raises(UserError, match="4 sources were asked for, but the model has 3 slots"):
        Separator.from_pretrained(sources=4)


def test_a_named_model_is_taken_whatever_the_number():
    with pytest.raises(UserError, match="3 sources were asked for, but the model has 2 slots"):
        Separator.from_pretrained("band-split", sources=3)


@pytest.mark.parametrize("voices", [1, 2, 3])
def test_the_bundled_model_counts_bundled_voices(voices):
    mixtures = FolderMixtures(speech("dev"), 5.0, voices, size=6, seed=0, fixed=True)
    separator = Separator.from_pretrained(sources="unknown")
    found = [len(separator(mixtures[n][0]).slots) for n in range(6)]
    assert found.count(voices) >= 4


def test_a_quarter_of_the_energy_is_the_least_that_a_source_has():
    for share, present in ((0.24, False), (0.26, True)):
        level = 10 * torch.tensor([[1 - share, share]]).log10() - 20
        assert (met([seen(level)] * 9).chosen(1, 2) == [[0, 1]]) == present


def test_of_long_recordings_a_hundredth_has_to_be_sure():
    talking, silent, level = torch.tensor([[5.0, -5.0]]), torch.tensor([[-5.0, 5.0]]), torch.full((1, 2), -20.0)
    hour = [seen(level, talking)] * 4000
    assert met(hour + [seen(level, silent)] * 10).scores()[0, 1] < 0.5  # 10 of 4010: a slip
    assert met(hour + [seen(level, silent)] * 40).scores()[0, 1] > 0.5


def test_what_is_audible_is_so_within_its_own_recording():
    level = torch.tensor([[-20.0, -60.0], [-60.0, -61.0]])
    assert met([seen(level)] * 9).chosen(1, 2) == [[0], [0, 1]]
