"""Pitch: YIN, for batches, on any device."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

VOICED = 0.25
"""Largest aperiodicity of a voiced frame: 0 for a periodic one, about 1 for noise."""

QUIET = 1e-4
"""Root mean square below which nothing is voiced: -80 dB of full scale."""


LOWEST, HIGHEST = 60.0, 300.0
"""Pitch in hertz that is looked for, as in PASE."""


class Pitch(NamedTuple):
    """Fundamental frequency in hertz, the best guess also where nothing is voiced, and where something is."""

    frequency: Float[Tensor, "batch frames"]
    voiced: Bool[Tensor, "batch frames"]


def yin(
    wave: Float[Tensor, "batch time"],
    sample_rate: int,
    hop: int,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    integration: float = 0.04,
) -> Pitch:
    """Track the pitch (YIN, de Cheveigné and Kawahara 2002, equations 6 to 8, without the search near the best lag).

    The squared difference of the wave and its copy `lag` samples later, divided by its mean over all shorter lags, is
    near 0 where the lag is a period. The shortest lag that dips below `VOICED` wins, else the lowest dip; a
    parabola through it gives the fraction of a sample.

    Args:
        wave: mono.
        sample_rate: in hertz.
        hop: samples from frame to frame; frame i is centred on sample ``i * hop``, and there are ``time // hop``.
        lowest, highest: pitch in hertz.
        integration: seconds over which differences are added up.
    """
    frames, span = wave.shape[-1] // hop, round(integration * sample_rate)
    shortest, longest = int(sample_rate / highest), int(sample_rate / lowest) + 2
    size = span + longest
    padded = torch.nn.functional.pad(wave, (size // 2, size))
    pieces = padded.unfold(-1, size, hop)[:, :frames].to(torch.promote_types(wave.dtype, torch.float32))
    length = 1 << (size + span).bit_length()
    spectrum = torch.fft.rfft(pieces, n=length)
    product = torch.fft.irfft(spectrum * torch.fft.rfft(pieces[..., :span], n=length).conj(), n=length)
    power = torch.nn.functional.pad(pieces.square().cumsum(-1), (1, 0))
    energy = power[..., span : span + longest] - power[..., :longest]
    difference = (energy[..., :1] + energy - 2 * product[..., :longest]).clamp_min(0)[..., 1:]
    lags = torch.arange(1, longest, device=wave.device)
    mean = difference.cumsum(-1) / lags
    relative = difference / mean.clamp_min(1e-12)  # relative[..., i] belongs to the lag i + 1

    before, here, after = relative[..., shortest - 2 : -2], relative[..., shortest - 1 : -1], relative[..., shortest:]
    dip = (here <= before) & (here < after)
    good = dip & (here < VOICED)
    first = good.to(torch.uint8).argmax(-1)
    lowest_dip = torch.where(dip, here, torch.full_like(here, torch.inf)).argmin(-1)
    best = torch.where(good.any(-1), first, lowest_dip)[..., None]
    left, middle, right = (part.gather(-1, best) for part in (before, here, after))
    shift = 0.5 * (left - right) / (left - 2 * middle + right).clamp_min(1e-12)
    period = (best + shortest + shift.clamp(-1, 1))[..., 0]
    loud = power[..., span].div(span).sqrt() > QUIET
    return Pitch(sample_rate / period, good.any(-1) & loud)


def filled(values: Float[Tensor, "batch frames"], known: Bool[Tensor, "batch frames"]) -> Float[Tensor, "batch frames"]:
    """Interpolate linearly between the known frames, hold the outer ones; 0 where a whole row knows nothing."""
    frames = values.shape[-1]
    index = torch.arange(frames, device=values.device).expand_as(values)
    left = torch.where(known, index, -1).cummax(-1).values
    right = torch.where(known, index, frames).flip(-1).cummin(-1).values.flip(-1)
    right = torch.where(right == frames, left, right)
    left = torch.where(left < 0, right, left)
    weight = (index - left).to(values) / (right - left).clamp_min(1).to(values)
    before, after = (values.gather(-1, end.clamp(0, frames - 1)) for end in (left, right))
    return torch.where(known.any(-1, keepdim=True), torch.lerp(before, after, weight), torch.zeros_like(values))
