"""A healthy embedder, and what can go wrong with it."""

from dataclasses import replace

import numpy as np
import torch

from defects import Defect
from slotaudio.representation.embedding import Embedding
from slotaudio.resampling import Resampler

_RATE, _STEP = 8000, 400


class HealthyEmbedder:
    """Mean, spread and peak of every 50 ms."""

    def __call__(self, blocks, sample_rate):
        resampler, rest, start = Resampler(sample_rate, _RATE), torch.zeros(1, 0), 0
        heard = 0
        for block in blocks:
            heard += block.shape[1]
            rest = torch.cat([rest, resampler.push(block.mean(0)[None, None])[0]], dim=1)
            count = rest.shape[1] // _STEP
            if count:
                yield self.steps(rest[:, : count * _STEP], start)
            rest, start = rest[:, count * _STEP :], start + count
        rest = torch.cat([rest, resampler.finish()[0]], dim=1)
        count = round(heard / sample_rate * _RATE) // _STEP - start
        if count:
            yield self.steps(rest[:, : count * _STEP], start)

    def steps(self, wave, start):
        parts = wave.reshape(-1, _STEP)
        vectors = torch.stack([parts.mean(1), parts.std(1), parts.abs().amax(1)], dim=1)
        times = (start + np.arange(len(parts)) + 0.5) * _STEP / _RATE
        return Embedding(times, vectors.numpy()[:, None], _STEP / _RATE)


class Unfinished(HealthyEmbedder):
    """Has times that go on behind the end."""

    def steps(self, wave, start):
        found = super().steps(wave, start)
        return replace(found, times=found.times + 1.0)


class NumbersBlocks(HealthyEmbedder):
    """Counts from the beginning of each stretch."""

    def steps(self, wave, start):
        found = super().steps(wave, start)
        vectors = found.vectors - found.vectors[:1]
        return replace(found, vectors=vectors)


class Remembers(HealthyEmbedder):
    """Grows with how much it ever heard."""

    heard = 0

    def steps(self, wave, start):
        self.heard += wave.shape[1]
        found = super().steps(wave, start)
        return replace(found, vectors=found.vectors * self.heard)


class OneRate(HealthyEmbedder):
    """Takes every recording for one of 16 kHz."""

    def __call__(self, blocks, sample_rate):
        return super().__call__(blocks, 16000)


class DividesByTheLevel(HealthyEmbedder):
    """Has no vectors of silence."""

    def steps(self, wave, start):
        found = super().steps(wave, start)
        with np.errstate(invalid="ignore"):
            return replace(found, vectors=found.vectors / np.abs(found.vectors).sum(axis=2, keepdims=True))


class Hoards(HealthyEmbedder):
    """Keeps everything until the recording is over."""

    def __call__(self, blocks, sample_rate):
        yield from list(super().__call__(blocks, sample_rate))


class Dithers(HealthyEmbedder):
    """Adds noise from torch's global generator."""

    def steps(self, wave, start):
        return super().steps(wave + 1e-6 * torch.randn(wave.shape), start)


DEFECTS = (
    Defect("embedder", Unfinished, "test_embeddings_follow_the_contract"),
    Defect("embedder", NumbersBlocks, "test_blocks_do_not_matter"),
    Defect("embedder", Remembers, "test_each_recording_begins_anew"),
    Defect("embedder", OneRate, "test_any_rate_and_number_of_channels"),
    Defect("embedder", DividesByTheLevel, "test_silence_is_finite"),
    Defect("embedder", Hoards, "test_it_gives_while_it_hears"),
    Defect("embedder", Dithers, "test_no_global_generator_advances"),
)
