"""Where voices may have changed places: found where they did, nowhere else, and told of."""

import pytest
import torch

from slotaudio import Separator, audio
from slotaudio.data.bundled import speech
from slotaudio.matchers.exhaustive import Exhaustive
from slotaudio.separation.doubt import DoubtMeter, told
from slotaudio.separation.intake import SeparationWarning

RATE = 16000
SWAPPED = (20, 26)


@pytest.fixture(scope="module")
def talk() -> torch.Tensor:
    """Half a minute of each of two unlike voices; axes batch slots channels time."""
    voices = []
    for folder in sorted(speech("dev").iterdir())[:2]:
        wave = torch.cat([audio.read(file)[0][0] for file in sorted(folder.glob("*.flac"))])
        wave = 0.05 * wave / wave.square().mean().sqrt()
        voices.append(wave.repeat(1 + 40 * RATE // len(wave))[: 40 * RATE])
    return torch.stack(voices)[None, :, None]


def swapped(talk: torch.Tensor) -> torch.Tensor:
    changed = talk.clone()
    start, end = (second * RATE for second in SWAPPED)
    changed[..., start:end] = talk[..., start:end].flip(1)
    return changed


def stretches(outputs: torch.Tensor, block: int = RATE, kept: tuple[int, ...] = (0, 1)) -> list[tuple[float, float]]:
    meter = DoubtMeter(Exhaustive(), RATE)
    for piece in outputs.split(block, dim=-1):
        meter.push(piece)
    return meter.stretches(kept)


def test_it_is_doubtful_where_voices_change_places_and_nowhere_else(talk):
    assert stretches(talk) == []
    found = stretches(swapped(talk))
    assert found[0][0] == pytest.approx(SWAPPED[0], abs=1.5)
    assert found[-1][1] == pytest.approx(SWAPPED[1], abs=1.5)
    assert sum(end - start for start, end in found) > 4


def test_blocks_of_any_length_are_heard_alike(talk):
    changed = swapped(talk)
    assert stretches(changed, block=12345) == stretches(changed, block=changed.shape[-1])


def test_one_voice_and_silence_have_no_order(talk):
    assert stretches(swapped(talk), kept=(0,)) == []
    assert stretches(torch.cat([talk[:, :1], 0 * talk[:, 1:]], dim=1)) == []
    assert stretches(talk[..., :RATE]) == []


def test_hours_and_many_places_are_told_in_a_line():
    assert told([(192.2, 200.9), (3671.0, 3672.0)]) == (
        "voices may have changed places at 3:12-3:20, 1:01:11-1:01:12: listen there"
    )
    many = [(10.0 * n, 10.0 * n + (5 if n == 3 else 1)) for n in range(20)]
    assert "at 20 places, 24 s together, the longest of which are 0:00-0:01, " in told(many)
    assert "0:30-0:35" in told(many)


def test_results_and_warnings_say_where_to_listen(talk, tmp_path, monkeypatch):
    separator = Separator.from_pretrained("band-split-fast")
    monkeypatch.setattr(DoubtMeter, "stretches", lambda self, outputs, recording=0: [(1.0, 2.0 + recording)])
    mixture = talk[0].sum(dim=0)[:, : 4 * RATE]
    assert separator(mixture, RATE).doubtful == [(1.0, 2.0)]
    assert separator(mixture.expand(2, 1, -1), RATE).doubtful == [[(1.0, 2.0)], [(1.0, 3.0)]]
    audio.write(tmp_path / "talk.wav", mixture, RATE)
    with pytest.warns(SeparationWarning, match=r"talk\.wav: voices may have changed places at 0:01-0:02"):
        separator.separate_file(tmp_path / "talk.wav", tmp_path / "out")
    monkeypatch.setattr(DoubtMeter, "stretches", lambda self, outputs, recording=0: [(1.0, 1.1)])
    separator.separate_file(tmp_path / "talk.wav", tmp_path / "little")  # not worth a warning, which would fail here


@pytest.mark.parametrize("options", [{"joining": "given"}, {"ahead": 0.0}, {"sources": 1}])
def test_what_is_not_followed_is_not_doubted(options):
    assert Separator.from_pretrained("band-split-fast", **options).doubt_meter(RATE) is None
