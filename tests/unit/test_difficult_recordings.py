"""Recordings that are not two people who talk to each other: outputs are complete, and nobody is invented."""

import torch

from slotaudio import Separator, Spec
from slotaudio.data.acoustics import synthetic_noise
from slotaudio.data.bundled import speech
from slotaudio.data.folder import FolderMixtures
from slotaudio.identity import identity_score
from slotaudio.metrics import score
from slotaudio.separation.oracle import oracle
from slotaudio.separation.separated import Separated

RATE = 16000


def voices(count: int, seconds: float = 4.0) -> torch.Tensor:
    """Speech of different people, ``sources 1 time``."""
    return FolderMixtures(speech("dev"), seconds=seconds, sources=count, size=1, seed=2, fixed=True)[0][1]


def found_in(heard: torch.Tensor, slots: torch.Tensor) -> Separated:
    """Separate what is heard with the ideal masks for what the slots hold, without knowing how many are sources."""
    model = oracle(slots[None], Spec("stft", framing="centred"))
    separator = Separator(model, sources="unknown")
    model.decoder.rewind(separator.framing)
    return separator(heard, RATE)


def test_of_one_speaker_there_is_one_source():
    (voice,) = voices(1)
    found = found_in(voice, torch.stack([torch.zeros_like(voice), voice]))
    assert found.slots.tolist() == [1]
    torch.testing.assert_close(found.sources[0], voice, rtol=0, atol=1e-3)


def test_of_silence_there_is_one_silent_source():
    found = found_in(torch.zeros(1, RATE), torch.zeros(2, 1, RATE))
    assert found.presence.tolist() == [0.0, 0.0]
    assert found.sources.shape == (1, 1, RATE)
    assert not found.sources.any()


def test_more_speakers_than_slots_share_them():
    everybody = voices(3)
    slots = torch.stack([everybody[0], everybody[1] + everybody[2]])
    found = found_in(everybody.sum(0), slots)
    assert found.slots.tolist() == [0, 1]
    torch.testing.assert_close(found.sources.sum(0), everybody.sum(0), rtol=0, atol=1e-4)
    judged = identity_score(found.sources[:, 0], everybody[:, 0], RATE)
    assert judged.assignment.count(-1) == 1


def test_the_default_model_leaves_noise_out():
    voice = voices(2).sum(0)
    separators = [Separator.from_pretrained(keep_noise=keep) for keep in (True, False)]
    remains = []
    for seed in range(4):  # hums are taken for voices, and most of a hiss is not
        noise = synthetic_noise(voice.shape[-1], torch.Generator().manual_seed(seed))[None]
        noisy = voice + noise * (0.5 * voice.norm() / noise.norm())
        kept, left = (separator(noisy, RATE).sources.sum(0) for separator in separators)
        torch.testing.assert_close(kept, noisy, rtol=0, atol=1e-4)
        remains.append((left - voice).norm() / (kept - voice).norm())
    assert max(remains) < 1.0
    assert sum(remains) / 4 < 0.85


def test_a_pause_of_two_minutes_is_survived_side_by_side():
    spoken = voices(2, seconds=9.0)
    sources = torch.cat([spoken[..., : 6 * RATE], torch.zeros(2, 1, 120 * RATE), spoken[..., 6 * RATE :]], dim=-1)
    model = oracle(sources[None], Spec("stft", framing="centred"), shuffle=torch.Generator().manual_seed(0))
    separator = Separator(model, overlap=0.0)
    model.decoder.rewind(separator.framing)
    estimates = separator(sources.sum(0), RATE).sources
    assert identity_score(estimates[:, 0], sources[:, 0], RATE).right_returns == 1.0


def test_an_offset_costs_nothing_and_is_nobodys_unless_all_is_kept():
    everybody = voices(2)
    plain, offset = everybody.sum(0), everybody.sum(0) + 0.1
    separator = Separator.from_pretrained()
    wanted, found = (
        score(separator(wave, RATE).sources[None], everybody[None], plain[None]) for wave in (plain, offset)
    )
    assert found.mean("si_sdr") > wanted.mean("si_sdr") - 0.3  # which counts means as errors
    kept = Separator.from_pretrained(keep_noise=True)(offset, RATE).sources
    torch.testing.assert_close(kept.sum(0), offset, rtol=0, atol=1e-4)
    torch.testing.assert_close(kept.mean(-1), torch.full((2, 1), 0.05), rtol=0, atol=1e-3)
