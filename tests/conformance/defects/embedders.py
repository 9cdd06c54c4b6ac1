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


class OneRecordingAtATime(HealthyEmbedder):
    """Adds up what it hears in itself, and begins anew with each recording."""

    def __call__(self, blocks, sample_rate):
        self.heard = 0.0
        for found in super().__call__(blocks, sample_rate):
            sums = self.heard + np.cumsum(found.vectors, axis=0)
            self.heard = sums[-1:]
            yield replace(found, vectors=sums)


class WritesToTheBlocks(HealthyEmbedder):
    """Scales the blocks in place."""

    def __call__(self, blocks, sample_rate):
        return super().__call__((block.mul_(0.5) for block in blocks), sample_rate)


class AddsChannelsUp(HealthyEmbedder):
    """Adds channels up instead of averaging them."""

    def __call__(self, blocks, sample_rate):
        return super().__call__((block.sum(0, keepdim=True) for block in blocks), sample_rate)


class PresenceAsLogit(HealthyEmbedder):
    """Returns logits for probabilities."""

    def steps(self, wave, start):
        found = super().steps(wave, start)
        return replace(found, presence=100 * found.vectors[:, :, 0])


class LevelOfSilence(HealthyEmbedder):
    """Gives silence a level of minus infinity."""

    def steps(self, wave, start):
        found = super().steps(wave, start)
        with np.errstate(divide="ignore"):
            return replace(found, level=20 * np.log10(found.vectors[:, :, 2]))


class NoMoreGradients(HealthyEmbedder):
    """Switches gradients off for the whole process."""

    def __call__(self, blocks, sample_rate):
        torch.set_grad_enabled(False)
        return super().__call__(blocks, sample_rate)


class Constant(HealthyEmbedder):
    """Forgets to put in what it found."""

    def steps(self, wave, start):
        found = super().steps(wave, start)
        return replace(found, vectors=np.ones_like(found.vectors))


class FirstChannelOnly(HealthyEmbedder):
    """Hears one microphone."""

    def __call__(self, blocks, sample_rate):
        return super().__call__((block[:1] for block in blocks), sample_rate)


DEFECTS = (
    Defect("embedder", Constant, "test_what_is_heard_matters"),
    Defect("embedder", FirstChannelOnly, "test_what_is_heard_matters"),
    Defect("embedder", Unfinished, "test_embeddings_follow_the_contract"),
    Defect("embedder", NumbersBlocks, "test_blocks_do_not_matter"),
    Defect("embedder", Remembers, "test_each_recording_begins_anew"),
    Defect("embedder", OneRate, "test_any_rate_and_number_of_channels"),
    Defect("embedder", DividesByTheLevel, "test_silence_is_finite"),
    Defect("embedder", Hoards, "test_it_gives_while_it_hears"),
    Defect("embedder", Dithers, "test_no_global_generator_advances"),
    Defect("embedder", OneRecordingAtATime, "test_recordings_at_once_do_not_mix"),
    Defect("embedder", WritesToTheBlocks, "test_blocks_are_left_unchanged"),
    Defect("embedder", AddsChannelsUp, "test_any_rate_and_number_of_channels"),
    Defect("embedder", PresenceAsLogit, "test_embeddings_follow_the_contract"),
    Defect("embedder", LevelOfSilence, "test_silence_is_finite"),
    Defect("embedder", NoMoreGradients, "test_it_leaves_what_everybody_shares_alone"),
)
