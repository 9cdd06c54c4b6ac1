"""`SyntheticMixtures`: mixtures that need no files, with the difficulties of real ones."""

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch.utils.data import Dataset

from slotaudio.data.batches import Item
from slotaudio.data.epochs import Epochs
from slotaudio.data.mixing import LOUDNESS, active_level, gains
from slotaudio.errors import DataError

KINDS = ("talker", "burst")
_SYLLABLE_SECONDS = 0.18
_FORMANTS = ((300.0, 900.0), (900.0, 2300.0), (2200.0, 3200.0))


class SyntheticMixtures(Dataset[Item]):
    """Mix artificial talkers and noise bursts, some of them silent; no files needed.

    A talker is a stack of harmonics whose pitch glides around a voice of its own, under formants
    that jump from syllable to syllable, with pauses between. A burst is coloured noise in short decaying strokes.

    Args:
        seconds: length of a mixture.
        sources: how many sounds it holds.
        rate: samples per second.
        size: mixtures of an epoch.
        seed: with the epoch and the index it decides everything.
        kinds: what the sources are drawn from, ``"talker"`` and ``"burst"``.
        silence: probability that a source is silent; the first never is.
        loudness: least and most of each source, in dB.
        fixed: every epoch is the first one.

    Raises:
        DataError: an option is out of range.
    """

    def __init__(
        self,
        seconds: float = 2.0,
        sources: int = 2,
        rate: int = 16000,
        size: int = 1000,
        seed: int = 0,
        *,
        kinds: Sequence[str] = KINDS,
        silence: float = 0.0,
        loudness: Sequence[float] = LOUDNESS,
        fixed: bool = False,
    ) -> None:
        if seconds * rate < 1 or sources < 1 or size < 0 or seed < 0:
            raise DataError(
                f"synthetic: seconds = {seconds}, sources = {sources}, size = {size}, seed = {seed}: "
                "a mixture has at least one sample and one source, and nothing is negative"
            )
        if not kinds or not set(kinds) <= set(KINDS):
            raise DataError(f"synthetic: kinds = {list(kinds)!r}: choose from {', '.join(KINDS)}")
        if not 0 <= silence <= 1:
            raise DataError(f"synthetic: silence = {silence} is no probability")
        self.samples = round(seconds * rate)
        self.sources = sources
        self.sample_rate = rate
        self.size = size
        self.kinds = tuple(kinds)
        self.silence = silence
        self.loudness = tuple(loudness)
        self.epochs = Epochs(seed, fixed)

    def set_epoch(self, epoch: int) -> None:
        """Move to the mixtures of another epoch, unless they are fixed."""
        self.epochs.move(epoch)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < self.size:
            raise IndexError(index)
        rng = self.epochs.rng(index)
        kinds = [self.kinds[rng.integers(len(self.kinds))] for _ in range(self.sources)]
        kinds = [kind if n == 0 or rng.random() >= self.silence else "silence" for n, kind in enumerate(kinds)]
        waves = [_sound(kind, rng, self.samples, self.sample_rate) for kind in kinds]
        levels = [active_level(wave, self.sample_rate) for wave in waves]
        factors = gains(waves, levels, [rng.uniform(self.loudness[0], self.loudness[1]) for _ in waves])
        scaled = np.stack([wave * np.float32(factor) for wave, factor in zip(waves, factors, strict=True)])
        sources = rearrange(torch.from_numpy(scaled), "sources time -> sources 1 time")
        metadata = {
            "id": f"synthetic-{self.epochs.seed}-{self.epochs.current}-{index}",
            "speakers": tuple(kinds),
            "active": sum(kind != "silence" for kind in kinds),
        }
        return sources.sum(0), sources, metadata


def _sound(kind: str, rng: np.random.Generator, samples: int, rate: int) -> Float[np.ndarray, "time"]:
    if kind == "talker":
        return talker(rng, samples, rate)
    return burst(rng, samples, rate) if kind == "burst" else np.zeros(samples, dtype=np.float32)


def talker(rng: np.random.Generator, samples: int, rate: int) -> Float[np.ndarray, "time"]:
    """Return a pitch-gliding stack of harmonics under moving formants, with pauses."""
    syllables = int(samples / rate / _SYLLABLE_SECONDS) + 2
    at = np.arange(samples) / rate / _SYLLABLE_SECONDS  # position in syllables
    voice = rng.uniform(90, 260)
    pitch = voice * 2 ** np.interp(at, np.arange(syllables), rng.normal(0, 0.15, syllables))
    phase = 2 * np.pi * np.cumsum(pitch) / rate + rng.uniform(0, 2 * np.pi)
    loudness = np.where(rng.random(syllables) < 0.25, 0.0, rng.uniform(0.4, 1.0, syllables))
    loudness[rng.integers(syllables - 1)] = 1.0  # somebody speaks in even the shortest mixture
    envelope = np.interp(at, np.arange(syllables), loudness)
    centres = [np.interp(at, np.arange(syllables), rng.uniform(low, high, syllables)) for low, high in _FORMANTS]
    wave = np.zeros(samples)
    for harmonic in range(1, max(2, int(min(4000, rate / 2 - 1) / voice))):
        frequency = harmonic * pitch
        weight = sum(np.exp(-(((frequency - centre) / 250) ** 2)) for centre in centres) + 0.03
        wave += np.where(frequency < rate / 2, weight, 0) * np.sin(harmonic * phase) / np.sqrt(harmonic)
    return (envelope * wave).astype(np.float32)


def burst(rng: np.random.Generator, samples: int, rate: int) -> Float[np.ndarray, "time"]:
    """Return strokes of band-passed noise that decay within a fraction of a second."""
    spectrum = np.fft.rfft(rng.normal(size=samples))
    frequency = np.fft.rfftfreq(samples, 1 / rate)
    centre = rng.uniform(300, min(5000, rate / 3))
    noise = np.fft.irfft(spectrum * np.exp(-(((frequency - centre) / (0.4 * centre)) ** 2)), samples)
    envelope = np.zeros(samples)
    for _ in range(max(1, round(3 * samples / rate))):
        start = int(rng.integers(samples))
        decay = np.exp(-np.arange(samples - start) / rate / rng.uniform(0.03, 0.2))
        envelope[start:] = np.maximum(envelope[start:], decay)
    return (noise * envelope).astype(np.float32)
