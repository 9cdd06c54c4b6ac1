"""What an output sounds like: a memory by which a voice is recognised again after a pause."""

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from slotaudio.separation.joining import SlotWindow

_BANDS, _CEPSTRA = 40, 19
FRAME_SECONDS = 0.032
_AUDIBLE = 1e-3  # 30 dB below the loudest frame
USUAL = 80.0 * torch.arange(1.0, _CEPSTRA + 1) ** -1.4
"""Variance of the cepstra of one voice, roughly (60 speakers of LibriSpeech)."""


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
    """Remember each output's voice by the mean and variance of its cepstra.

    A slot is heard in the frames in which it is louder than all others together, by their mel cepstra without the
    first, which is the level. Voices are told apart by the two-covariance model (Brümmer and de Villiers 2010,
    "The speaker partitioning problem"): the mean of a voice is drawn around that of everybody, and what it says
    around its mean. An output that was not heard yet is thus any voice, near enough to those heard to be
    of the same room: a new voice gets a new output, and a known one its old.

    Args:
        sample_rate: in hertz.
        fresh: share of a window that the one before did not cover.
        trust: independent frames per frame; neighbouring ones say nearly the same.
        novelty: variance of an unknown voice's mean around everybody's, relative to that within a voice.
        prior: independent frames that the usual variance counts for in that of a voice.
        span: seconds of speech that are remembered.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        fresh: float = 0.5,
        trust: float = 0.15,
        novelty: float = 0.9,
        prior: float = 20.0,
        span: float = 60.0,
    ) -> None:
        self.sample_rate = sample_rate
        self.fresh = fresh
        self.trust = trust
        self.novelty = novelty
        self.prior = prior
        self.most = span / (FRAME_SECONDS / 2)
        self._loudest: Float[Tensor, " batch"] | None = None
        self._said: Float[Tensor, "batch outputs statistics"] | None = None

    def describe(self, window: "SlotWindow") -> Float[Tensor, "batch slots statistics"]:
        """Return the number of frames heard, and the sums of their cepstra and of the squares."""
        cepstra, heard = self._cepstra(window.waves)
        parts = torch.cat([torch.ones_like(cepstra[..., :1]), cepstra, cepstra.square()], dim=-1)
        return self.fresh * (heard[..., None] * parts).sum(dim=2)

    def evidence(self, said: Float[Tensor, "batch slots statistics"]) -> Float[Tensor, "batch slots outputs"]:
        """Return the log-likelihood of what each slot said for the voice of each output."""
        assert self._said is not None, "evidence() before remember()"
        usual = USUAL.to(said)
        _, everybody, _ = moments(self._said.sum(dim=1, keepdim=True))
        number, mean, variance = moments(self._said)
        number = self.trust * number
        within = (number * variance + self.prior * usual) / (number + self.prior)
        # what was heard of a voice tells its mean the better the more it was
        precision = number / within
        doubt = 1 / (1 / (self.novelty * usual) + precision)
        centre = doubt * (everybody / (self.novelty * usual) + precision * mean)
        doubt, within, centre = (
            rearrange(values, "batch outputs d -> batch 1 outputs d") for values in (doubt, within, centre)
        )
        number, mean, variance = (rearrange(values, "batch slots d -> batch slots 1 d") for values in moments(said))
        number = self.trust * number
        around = number * (mean - centre).square() / (within + number * doubt)
        unsure = (1 + number * doubt / within).log()
        return -0.5 * (around + unsure + number * (variance / within + within.log())).sum(dim=-1)

    def remember(self, said: Float[Tensor, "batch outputs statistics"]) -> None:
        """Add what each output said; beyond `span`, the oldest fades."""
        total = said if self._said is None else self._said + said
        self._said = total * (self.most / total[..., :1].clamp_min(self.most))

    def _cepstra(
        self, waves: Float[Tensor, "batch slots channels window"]
    ) -> tuple[Float[Tensor, "batch slots frames cepstra"], Float[Tensor, "batch slots frames"]]:
        """Return cepstra and, as 1 or 0, in which frames each slot is heard."""
        size = min(waves.shape[-1], round(FRAME_SECONDS * self.sample_rate))
        frames = waves.float().unfold(-1, size, max(1, size // 2)) * torch.hann_window(size, device=waves.device)
        power = reduce(
            torch.fft.rfft(frames).abs().square(), "batch slots channels frames freq -> batch slots frames freq", "sum"
        )
        energy = power.sum(dim=-1)
        top = energy.sum(dim=1).amax(dim=1)
        self._loudest = top if self._loudest is None else torch.maximum(0.999 * self._loudest, top)
        loudest = rearrange(self._loudest.clamp_min(1e-20), "batch -> batch 1 1")
        heard = (energy > _AUDIBLE * loudest) & (2 * energy > energy.sum(dim=1, keepdim=True))
        bands, cosines = _bases(power.shape[-1], self.sample_rate)
        mel = power @ bands.to(power).T
        return (mel + 1e-7 * loudest[..., None]).log() @ cosines.to(power).T, heard.to(power.dtype)


def mel_power(
    frame: Float[Tensor, "batch slots channels frame"], sample_rate: int
) -> Float[Tensor, "batch slots bands"]:
    """Return the energy of one frame in bands of equal width in mel, all channels together."""
    spectrum = torch.fft.rfft(frame.float() * torch.hann_window(frame.shape[-1], device=frame.device))
    power = reduce(spectrum.abs().square(), "batch slots channels freq -> batch slots freq", "sum")
    return power @ _bases(power.shape[-1], sample_rate)[0].to(power).T


def moments(
    statistics: Float[Tensor, "batch rows statistics"],
) -> tuple[Float[Tensor, "batch rows 1"], Float[Tensor, "batch rows cepstra"], Float[Tensor, "batch rows cepstra"]]:
    """Return number, mean and variance; zeros of nothing."""
    number, total, squares = statistics.split([1, _CEPSTRA, _CEPSTRA], dim=-1)
    number = torch.where(number > 0.5, number, 0.0)  # half a frame may be what rounding left of none
    mean = total / number.clamp_min(1e-6)
    return number, mean, (squares / number.clamp_min(1e-6) - mean.square()).clamp_min(0)


@lru_cache(maxsize=8)
def _bases(freq: int, sample_rate: int) -> tuple[Float[Tensor, "bands freq"], Float[Tensor, "cepstra bands"]]:
    """Triangles of equal width in mel, and the cosines of the cepstrum but for the constant one."""
    edges = 700 * (10 ** (torch.linspace(0, 2595 * math.log10(1 + sample_rate / 1400), _BANDS + 2) / 2595) - 1)
    hertz = torch.linspace(0, sample_rate / 2, freq)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bands = torch.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)).clamp_min(0)
    turns = torch.arange(1, _CEPSTRA + 1)[:, None] * (torch.arange(_BANDS) + 0.5) / _BANDS
    return bands, (math.pi * turns).cos() * math.sqrt(2 / _BANDS)
