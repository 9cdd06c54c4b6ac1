"""Rooms and noises that nobody recorded: drawn, for those who have no recordings of them."""

import torch
from jaxtyping import Complex, Float
from scipy.fft import irfft, rfft
from torch import Tensor

from slotaudio.data.convolution import convolve

LONGEST_ROOM = 1.5
"""Seconds of an impulse response; what comes later is cut off."""

_TREBLE = 2000.0
_REFLECTIONS = 12


def synthetic_room(sample_rate: int, generator: torch.Generator | None = None) -> Float[Tensor, " taps"]:
    """Draw an impulse response: a direct sound, early reflections, and noise that decays, the treble sooner.

    From a furnished room to a concert hall: decaying by 60 dB takes 0.15 to 3 s, all ratios alike, and above some
    2 kHz 0.4 to 1 of that. What comes after the direct sound holds -6 to 10 dB of its energy, up to two thirds of it
    as separate reflections of the first 50 ms; the rest begins after 2 to 20 ms, and ends with the decay, or at 1.5 s.
    """
    decay, damping, gap, loudness, early = torch.rand(5, generator=generator).tolist()
    bass = 0.15 * 20**decay
    treble = bass * (0.4 + 0.6 * damping)
    time = torch.arange(round(min(bass, LONGEST_ROOM) * sample_rate)) / sample_rate
    spectrum = _white(len(time), generator)
    high = (torch.fft.rfftfreq(len(time), 1 / sample_rate) / _TREBLE).square()
    high = high / (1 + high)  # of the energy, at each frequency
    low_part, high_part = (_sounding(spectrum * share.sqrt(), len(time)) for share in (1 - high, high))
    tail = low_part * 10 ** (-3 * time / bass) + high_part * 10 ** (-3 * time / treble)
    tail[time < 0.002 + 0.018 * gap] = 0
    ends = round(min(0.05, bass) * sample_rate)
    reflections = torch.zeros_like(tail)
    at = torch.randint(round(0.001 * sample_rate), ends, (_REFLECTIONS,), generator=generator)
    reflections[at] = torch.randn(_REFLECTIONS, generator=generator) * 10 ** (-3 * time[at] / bass)
    energy = 10 ** ((16 * loudness - 6) / 10)
    parts = ((tail, 1 - 2 * early / 3), (reflections, 2 * early / 3))
    response = sum(part * (energy * share / part.square().sum()).sqrt() for part, share in parts)
    response.clamp_(-0.99, 0.99)[0] = 1.0  # nothing is louder than the direct sound, which says where the voice is
    return response


def synthetic_noise(samples: int, generator: torch.Generator | None = None) -> Float[Tensor, " time"]:
    """Draw noise of a random colour whose level swells and fades; with it, by chance, strokes and a hum.

    Above a hundredth of the band the power of each layer falls by 0 to 12 dB per octave, with a smooth curve of some
    5 dB on top. Two in five have strokes that ring off, sparse like dishes or dense like rain, and one in five
    a hum of gliding harmonics like an engine, both -10 to 10 dB beside the first layer.
    """
    noise_bends, hum_bends = torch.randint(4, 64, (2,), generator=generator).tolist()
    noise = _coloured(samples, generator) * _swelling(samples, noise_bends, generator)
    stroked, humming, strokes_level, hum_level = torch.rand(4, generator=generator).tolist()
    if stroked < 0.4:
        noise = _beside(noise, _coloured(samples, generator) * _strokes(samples, generator), strokes_level)
    if humming < 0.2:
        noise = _beside(noise, _hum(samples, generator) * _swelling(samples, hum_bends, generator), hum_level)
    return noise


def _beside(noise: Float[Tensor, " time"], layer: Float[Tensor, " time"], draw: float) -> Float[Tensor, " time"]:
    """Add a layer -10 to 10 dB beside what is there."""
    energy = noise.square().sum() / layer.square().sum().clamp_min(1e-20)
    return noise + layer * (energy * 10 ** (2 * draw - 1)).sqrt()


def _coloured(samples: int, generator: torch.Generator | None) -> Float[Tensor, " time"]:
    (slope,) = torch.rand(1, generator=generator).tolist()
    spectrum = _white(samples, generator)
    frequency = torch.linspace(0, 100, len(spectrum)).clamp_min(1)
    colour = frequency ** (-2 * slope) * 10 ** (_curve(len(spectrum), 16, generator) / 4)
    return _sounding(spectrum * colour, samples)


def _swelling(samples: int, bends: int, generator: torch.Generator | None) -> Float[Tensor, " time"]:
    (depth,) = torch.rand(1, generator=generator).tolist()
    return 10 ** (depth * _curve(samples, bends, generator) / 2)


def _strokes(samples: int, generator: torch.Generator | None) -> Float[Tensor, " time"]:
    """Draw an envelope of strokes, 1 in 300 to 1 in 30000 samples, that ring off by 60 dB within 300 to 10000."""
    rate, ringing = torch.rand(2, generator=generator).tolist()
    chance = 10 ** (-2.5 - 2 * rate)
    struck = (torch.rand(samples, generator=generator) < chance) * torch.rand(samples, generator=generator)
    struck[torch.randint(samples, (1,), generator=generator)] = 1.0  # there is one at least
    length = min(samples, round(300 * 33**ringing))
    decay = 10 ** (-3 * torch.arange(length) / length)
    return torch.from_numpy(convolve(struck.numpy(), decay.numpy())[:samples])


def _hum(samples: int, generator: torch.Generator | None) -> Float[Tensor, " time"]:
    """Draw harmonics of a tone of a 400th to a 20th of the sample rate that glides, each softer than the last."""
    low, falls = torch.rand(2, generator=generator).tolist()
    pitch = 0.0025 * 20**low * 2 ** (0.1 * _curve(samples, 8, generator))
    phase = (2 * torch.pi * pitch.double().cumsum(0).frac()).float()
    harmonics = range(1, max(2, min(16, int(0.45 / float(pitch.max())))))
    hum = torch.zeros(samples)
    for harmonic in harmonics:  # one by one they stay in the processor's cache
        hum.add_(torch.sin(harmonic * phase), alpha=harmonic ** (-0.5 - 1.5 * falls))
    return hum


def _curve(samples: int, bends: int, generator: torch.Generator | None) -> Float[Tensor, " samples"]:
    """Draw a line through points of normal distribution."""
    points = torch.randn(1, 1, bends, generator=generator)
    return torch.nn.functional.interpolate(points, samples, mode="linear")[0, 0]


def _white(samples: int, generator: torch.Generator | None) -> Complex[Tensor, " frequencies"]:
    """Draw the spectrum of white noise."""
    # SciPy's transforms of any length take half the time of PyTorch's on some processors
    return torch.from_numpy(rfft(torch.randn(samples, generator=generator).numpy()))


def _sounding(spectrum: Complex[Tensor, " frequencies"], samples: int) -> Float[Tensor, " samples"]:
    return torch.from_numpy(irfft(spectrum.numpy(), n=samples))
