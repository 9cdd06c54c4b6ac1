"""Resampling a stream is resampling the whole, and keeps length and level."""

import sys
from itertools import pairwise
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio import resampling
from slotaudio.errors import SlotaudioError
from slotaudio.resampling import Resampler, resample

RATES = st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000])


@given(old=RATES, new=RATES, length=st.integers(1, 9000), cuts=st.lists(st.integers(0, 9000), max_size=6))
def test_blocks_give_what_the_whole_gives(old, new, length, cuts):
    wave = torch.randn(2, 1, length, generator=torch.Generator().manual_seed(length))
    resampler = Resampler(old, new)
    edges = [0, *sorted(min(cut, length) for cut in cuts), length]
    pieces = [resampler.push(wave[..., start:stop]) for start, stop in pairwise(edges)]
    whole = resample(wave, old, new)
    assert whole.shape[-1] == -(-length * new // old)
    torch.testing.assert_close(torch.cat([*pieces, resampler.finish()], dim=-1), whole, rtol=0, atol=1e-6)


@given(old=RATES, new=RATES, share=st.floats(0.01, 0.85))
def test_what_fits_both_rates_survives_the_round_trip(old, new, share):
    frequency = share * min(old, new) / 2
    wave = torch.sin(2 * torch.pi * frequency * torch.arange(old // 2, dtype=torch.float64) / old).float()
    back = resample(resample(wave, old, new), new, old)[: len(wave)]
    middle = slice(old // 8, -old // 8)
    assert (back - wave)[middle].abs().max() < 2e-3


@given(old=RATES, new=RATES)
def test_what_does_not_fit_the_new_rate_is_removed(old, new):
    if new >= old * 0.9:
        new = old // 2
    wave = torch.sin(torch.pi * 0.98 * torch.arange(old // 2, dtype=torch.float64)).float()
    assert resample(wave, old, new)[new // 8 : -new // 8].abs().max() < 1e-3


def test_one_sample_is_one_sample():
    assert resample(torch.ones(1, 1), 16000, 48000).shape == (1, 3)
    assert torch.equal(resample(torch.ones(1, 1), 16000, 16000), torch.ones(1, 1))


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("PyTorch has CUDA version 13.2 whereas TorchAudio has CUDA version 13.0"),
        OSError("libcudart.so.13: cannot open shared object file"),
        ImportError("No module named 'torchaudio'"),
    ],
)
def test_a_torchaudio_that_does_not_start_is_one_sentence_with_the_cure(monkeypatch, failure):
    class Broken(ModuleType):
        def __getattr__(self, name):
            raise failure

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "torchaudio":
                raise failure

    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(SlotaudioError, match=r"pip install .torch>=2.11,<2.15") as caught:
        resampling.torchaudio()
    assert str(failure) in str(caught.value)
