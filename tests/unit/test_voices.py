"""The space of voices: what ships tells voices apart, at either band; few frames say little."""

import pytest
import torch

from slotaudio import audio
from slotaudio.data.bundled import speech
from slotaudio.resampling import resample
from slotaudio.separation.identity import VoiceMemory
from slotaudio.separation.joining import SlotWindow
from slotaudio.separation.voices import moments, top, voice_space

SECONDS = 2.0


def pieces(rate: int, noise: float = 0.0) -> list[torch.Tensor]:
    """What each bundled speaker who was not learned from says in stretches of two seconds: statistics."""
    found = []
    generator = torch.Generator().manual_seed(0)
    for folder in sorted(speech("dev").iterdir()):
        wave = torch.cat([audio.read(file)[0][0] for file in sorted(folder.glob("*.flac"))])
        wave = 0.05 * wave / wave.square().mean().sqrt()
        wave = resample(wave[None] + noise * torch.randn(1, len(wave), generator=generator), 16000, rate)[0]
        said = []
        for part in wave.unfold(0, round(SECONDS * rate), round(SECONDS * rate)):
            window = SlotWindow(torch.stack([part, 0 * part])[None, :, None])
            said.append(VoiceMemory(rate, fresh=1.0).describe(window)[0, 0])
        found.append(torch.stack(said))
    return found


@pytest.mark.parametrize(("rate", "noise", "wanted"), [(16000, 0.0, 0.97), (8000, 0.0, 0.95), (16000, 0.005, 0.9)])
def test_two_seconds_are_known_again(rate, noise, wanted):
    voices = pieces(rate, noise)
    right = total = 0
    for first in range(len(voices)):
        for second in range(first):
            memory = VoiceMemory(rate)
            pair = voices[first], voices[second]
            memory.remember(torch.stack([said[::2].sum(dim=0) for said in pair])[None])
            for number, said in enumerate(pair):
                evidence = memory.evidence(said[None, 1::2])[0]
                right += int((evidence.argmax(dim=1) == number).sum())
                total += len(evidence)
    assert right / total > wanted, right / total


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
def test_there_is_a_space_for_every_rate(rate):
    space = voice_space(rate)
    assert top(rate) <= rate / 2
    assert len(space.axes) == len(space.between)
    assert (space.between[:-1] >= space.between[1:]).all()
    number, point = space.place(torch.zeros(3, 1 + space.axes.shape[1]))
    assert not number.any()
    assert point.isfinite().all()


def test_the_less_was_heard_the_less_is_known():
    space = voice_space(16000)
    noise = space.noise(torch.tensor([0.0, 0.1, 1.0, 2.0, 10.0, 1000.0])[:, None])[:, 0]
    assert (noise[:-1] > noise[1:]).all()
    assert noise[0] > 1e3 * space.between.max() > 1e3 * noise[-1]


def test_moments_are_those_of_what_was_added_up():
    frames = torch.randn(50, 19, generator=torch.Generator().manual_seed(0))
    said = torch.cat([torch.tensor([50.0]), frames.sum(0), frames.square().sum(0)])
    number, mean, variance = moments(said)
    assert float(number) == 50
    torch.testing.assert_close(mean, frames.mean(0))
    torch.testing.assert_close(variance, frames.var(0, correction=0))


def test_half_a_frame_says_nothing():
    """As an output says that was heard in one frame of windows that overlap by half."""
    statistics = torch.cat([torch.tensor([0.5]), torch.full((38,), 3.0)])
    number, mean, variance = moments(statistics)
    assert number == 0
    assert not mean.any()
    assert not variance.any()
