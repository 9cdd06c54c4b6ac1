"""Segments of outputs, from one quiet moment to another, and outputs that change places between them."""

import torch
from einops import einsum, reduce
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool1d, one_hot, pad

from slotaudio.separation.identity import hop_samples

SEGMENT = 0.5
"""Seconds of a segment, on average."""

_FADE_SECONDS = 0.02


def segment_frames(sample_rate: int) -> int:
    """Return the frames of a segment, on average."""
    return round(SEGMENT * sample_rate / hop_samples(sample_rate))


def choice_frames(segment: int) -> int:
    """Return how many frames one is chosen from for a cut; the choices of neighbouring segments do not meet."""
    return segment // 2 * 2 - 1


def energies(waves: Float[Tensor, "batch slots channels time"], hop: int) -> Float[Tensor, "batch frames"]:
    """Return the energy of each frame, all outputs together."""
    frames = waves.float().unfold(-1, 2 * hop, hop)
    return reduce(frames.square(), "batch slots channels frames size -> batch frames", "sum")


def quiet_frames(energy: Float[Tensor, "batch frames"], segment: int, count: int) -> Int[Tensor, "batch count"]:
    """Return the quietest frames, one for each segment."""
    smooth = avg_pool1d(energy[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    choices = smooth.unfold(-1, choice_frames(segment), segment)[:, :count]
    return choices.argmin(dim=-1) + segment * torch.arange(count, device=smooth.device)


def exchanged(
    waves: Float[Tensor, "batch slots channels time"],
    cuts: Int[Tensor, "batch cuts"],
    orders: Int[Tensor, "segments batch slots"],
    sample_rate: int,
    start: int = 0,
) -> Float[Tensor, "batch slots channels time"]:
    """Put outputs into order from cut to cut, with short cross-fades; the same waves where they are in order.

    Args:
        waves: all outputs.
        cuts: samples with which the next order begins.
        orders: for each output the one that goes there, one order more than cuts.
        sample_rate: in hertz.
        start: the first sample's number, as `cuts` count.
    """
    slots, size = waves.shape[1], waves.shape[-1]
    half = round(_FADE_SECONDS * sample_rate) // 2
    samples = torch.arange(start - half, start + size + half, device=cuts.device)
    which = torch.searchsorted(cuts.contiguous(), samples.expand(len(cuts), -1).contiguous(), right=True)
    low, high = int(which.min()), int(which.max())
    if bool((orders[low : high + 1] == torch.arange(slots, device=orders.device)).all()):
        return waves
    order = orders[which, torch.arange(len(waves), device=which.device)[:, None]]
    fade = 2 * half + 1
    total = pad(one_hot(order, slots).cumsum(dim=1), (0, 0, 0, 0, 1, 0))
    gains = (total[:, fade:] - total[:, :-fade]).to(waves) / fade  # a moving average
    return einsum(gains, waves, "batch time o slots, batch slots channels time -> batch o channels time")
