"""What an output sounds like: a memory by which a voice is recognised again after a pause."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor

from slotaudio.separation.voices import cosines, mel_bands, top, voice_space

if TYPE_CHECKING:
    from slotaudio.separation.joining import SlotWindow

FRAME_SECONDS = 0.032


@runtime_checkable
class Identity(Protocol):
    """Knows what each output sounds like.

    What a slot says is described by statistics that may be added up, over windows and beyond.
    """

    def describe(self, window: "SlotWindow") -> Float[Tensor, "batch slots statistics"]:
        """Return the statistics of a window's slots, zeros for those that are silent."""
        ...

    def evidence(self, said: Float[Tensor, "batch slots statistics"]) -> Float[Tensor, "batch slots outputs"]:
        """Return log-likelihoods in nats that each output said this; only differences along `outputs` count."""
        ...

    def remember(self, said: Float[Tensor, "batch outputs statistics"]) -> None:
        """Learn what each output said."""
        ...


class VoiceMemory:
    """Remember what each output sounds like, and tell by it whose voice something is.

    A slot is heard in the frames in which it is audible and louder than all others together, by their mel cepstra
    without the first, which is the level. What it says is a point in the space of voices
    (`slotaudio.separation.voices`). An output that was not heard yet is any voice, near enough to those heard to be of
    the same room: a new voice gets a new output, and a known one its old.

    Args:
        sample_rate: in hertz.
        fresh: share of a window that the one before did not cover.
        span: seconds of speech that are remembered.
        audible: decibels below the loudest frame down to which a slot is heard.
    """

    def __init__(self, sample_rate: int = 16000, fresh: float = 0.5, span: float = 60.0, audible: float = 30.0) -> None:
        self.sample_rate = sample_rate
        self.fresh = fresh
        self.most = span / (FRAME_SECONDS / 2)
        self.least = 10 ** (-audible / 10)
        self._loudest: Float[Tensor, " batch"] | None = None
        self._said: Float[Tensor, "batch outputs statistics"] | None = None

    def describe(self, window: "SlotWindow") -> Float[Tensor, "batch slots statistics"]:
        """Return the number of frames heard, and the sums of their cepstra and of the squares."""
        return self.fresh * self.frames(window.waves).sum(dim=2)

    def frames(
        self, waves: Float[Tensor, "batch slots channels time"]
    ) -> Float[Tensor, "batch slots frames statistics"]:
        """Return the statistics of each frame of 32 ms, every 16 ms."""
        hop = hop_samples(self.sample_rate)
        size = min(waves.shape[-1], 2 * hop)
        frames = waves.float().unfold(-1, size, hop) * torch.hann_window(size, device=waves.device)
        power = reduce(
            torch.fft.rfft(frames).abs().square(), "batch slots channels frames freq -> batch slots frames freq", "sum"
        )
        energy = power.sum(dim=-1)
        loudest = energy.sum(dim=1).amax(dim=1)
        self._loudest = loudest if self._loudest is None else torch.maximum(0.999 * self._loudest, loudest)
        loudest = rearrange(self._loudest.clamp_min(1e-20), "batch -> batch 1 1 1")
        energy = energy[..., None]
        heard = (energy > self.least * loudest) & (2 * energy > energy.sum(dim=1, keepdim=True))
        mel = power @ mel_bands(power.shape[-1], self.sample_rate, top(self.sample_rate)).to(power).T
        cepstra = (mel + 1e-7 * loudest).log() @ cosines().to(power).T
        return heard * torch.cat([torch.ones_like(energy), cepstra, cepstra.square()], dim=-1)

    def evidence(self, said: Float[Tensor, "batch slots statistics"]) -> Float[Tensor, "batch slots outputs"]:
        """Return the log-likelihood of what each slot said for the voice of each output."""
        assert self._said is not None, "evidence() before remember()"
        space = voice_space(self.sample_rate)
        between = space.between.to(said)
        _, everybody = space.place(self._said.sum(dim=1, keepdim=True))
        number, point = space.place(self._said)
        # the more was heard of a voice, the better its point is known
        known = between / (between + space.noise(number))
        centre, doubt = known * (point - everybody), between * (1 - known)
        number, point = space.place(said)
        away = rearrange(point - everybody, "batch slots d -> batch slots 1 d") - centre[:, None]
        variance = doubt[:, None] + rearrange(space.noise(number), "batch slots d -> batch slots 1 d")
        likelihood = -0.5 * (away.square() / variance + variance.log()).sum(dim=-1)
        return torch.where(number > 0, likelihood, 0.0)

    def seconds(self) -> Float[Tensor, "batch outputs"]:
        """Return how much is remembered of each output."""
        assert self._said is not None, "seconds() before remember()"
        return self._said[..., 0] * (FRAME_SECONDS / 2)

    def remember(self, said: Float[Tensor, "batch outputs statistics"]) -> None:
        """Add what each output said; beyond `span`, the oldest fades."""
        total = said if self._said is None else self._said + said
        self._said = total * (self.most / total[..., :1].clamp_min(self.most))


def hop_samples(sample_rate: int) -> int:
    """Return the samples from one frame to the next, which overlap by half: the same to all who count frames."""
    return max(1, round(FRAME_SECONDS * sample_rate / 2))


def mel_power(
    frame: Float[Tensor, "batch slots channels frame"], sample_rate: int
) -> Float[Tensor, "batch slots bands"]:
    """Return the energy of one frame in bands of equal width in mel, all channels together."""
    spectrum = torch.fft.rfft(frame.float() * torch.hann_window(frame.shape[-1], device=frame.device))
    power = reduce(spectrum.abs().square(), "batch slots channels freq -> batch slots freq", "sum")
    return power @ mel_bands(power.shape[-1], sample_rate, sample_rate // 2).to(power).T
