"""What a slot sounds like: descriptions by which an output is recognised again after a pause."""

from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from slotaudio.separation.joining import SlotWindow

BANDS = 11


@runtime_checkable
class Identity(Protocol):
    """Describes every slot of a window by a vector; directions are compared, lengths are not.

    Any function of that shape will do, for instance one that returns the window's slot vectors.
    """

    def __call__(self, window: "SlotWindow") -> Float[Tensor, "batch slots dim"]: ...


def band_envelope(window: "SlotWindow") -> Float[Tensor, "batch slots bands"]:
    """Describe a slot by its spectrum in 11 bands of equal ratio, in logarithms, without its level.

    Silent slots are described by zeros, which resemble nothing.
    """
    power = torch.fft.rfft(window.waves.float(), dim=-1).abs().square().sum(dim=2)  # batch slots freq
    freq = power.shape[-1]
    # the lowest band ends at 1/64 of the spectrum, 125 Hz at 16 kHz; empty bands of short windows stay silent
    edges = [0, *(freq * 2.0 ** torch.linspace(-6, 0, BANDS)).long().tolist()]
    bands = torch.stack([power[..., low:high].sum(dim=-1) for low, high in pairwise(edges)], dim=-1)
    total = power.sum(dim=(1, 2))[:, None, None]
    audible = bands.sum(dim=-1, keepdim=True) > 1e-5 * total
    logarithms = (bands + 1e-6 * total.clamp_min(1e-20)).log()
    return (logarithms - logarithms.mean(dim=-1, keepdim=True)) * audible


def resemblance(
    described: Float[Tensor, "batch slots dim"], memory: Float[Tensor, "batch outputs dim"]
) -> Float[Tensor, "batch slots outputs"]:
    """Return the cosine between descriptions and memories; 0 where either is zero."""
    one = torch.nn.functional.normalize(described, dim=-1, eps=1e-8)
    other = torch.nn.functional.normalize(memory, dim=-1, eps=1e-8)
    return one @ other.mT
