"""Rooms and noises that are drawn: of all sizes and many kinds."""

import math

import torch

from slotaudio.data.acoustics import synthetic_noise, synthetic_room

RATE = 16000


def test_synthetic_rooms_are_small_and_large_and_their_treble_dies_first():
    rooms = [synthetic_room(RATE, torch.Generator().manual_seed(seed)) for seed in range(60)]
    seconds = [len(room) / RATE for room in rooms]
    assert min(seconds) < 0.2
    assert max(seconds) == 1.5  # cut off, long before it has decayed
    for room, length in zip(rooms, seconds, strict=True):
        assert int(room.abs().argmax()) == 0
        ends = room[1:].square().flip(0).cumsum(0).flip(0)
        decayed = float((ends < ends[0] / 1000).float().argmax()) / RATE  # by 30 dB
        assert 0.2 * length < decayed or length == 1.5
    beyond = [10 * math.log10(float(room[1:].square().sum())) for room in rooms]
    assert -6.1 < min(beyond) < -3
    assert 7 < max(beyond) < 10.1
    assert max(float(room[1:].abs().max()) for room in rooms) < 1
    late = torch.stack([torch.fft.rfft(room[1600:], n=RATE).abs().square() for room in rooms if len(room) > 4800])
    soon = torch.stack([torch.fft.rfft(room[20:1600], n=RATE).abs().square() for room in rooms if len(room) > 4800])
    bass, treble = (slice(200, 1000), slice(4000, 8000))
    left = [(late[:, part].sum(1) / soon[:, part].sum(1)).log().mean() for part in (bass, treble)]
    assert left[1] < left[0] - 0.3


def test_synthetic_noises_fall_and_are_of_many_kinds():
    noises = torch.stack([synthetic_noise(RATE, torch.Generator().manual_seed(seed)) for seed in range(40)])
    power = torch.fft.rfft(noises).abs().square()
    low = power[:, :2000].sum(1) / power.sum(1)
    assert low.mean() > 0.6  # of white noise it is a quarter
    assert low.max() - low.min() > 0.2  # of many colours
    crest = noises.abs().amax(1) / noises.square().mean(1).sqrt()
    assert crest.max() > 18  # strokes; what only swells has 15
    tonal = power.amax(1) / power.sum(1)
    assert tonal.max() > 0.1  # a hum; low noise has 0.06
