"""How good estimates are, in decibels; `slotaudio.quality` has measures of speech. Silence never enters a mean.

All ratios are computed in double precision over the last axis and kept between -60 and 120 dB, so that a
mean over recordings stays finite: a silent estimate of an audible source scores -60 dB, a perfect one 120 dB. A
silent reference has no ratio at all: its score is NaN, and what the estimate leaks into it is reported as
a level instead (`score`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from slotaudio import quality
from slotaudio.errors import UserError
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.objectives.costs import audible
from slotaudio.objectives.costs import si_sdr as si_sdr_cost
from slotaudio.separation.joining import take
from slotaudio.types import Matcher

LOWEST, HIGHEST = -60.0, 120.0

_ALONE = 60.0
"""A source whose mixture scores this much is alone in it: there is nothing to improve on."""

Metric = Callable[[Float[Tensor, "*batch time"], Float[Tensor, "*batch time"]], Float[Tensor, "*batch"]]


def si_sdr(estimate: Float[Tensor, "*batch time"], reference: Float[Tensor, "*batch time"]) -> Float[Tensor, "*batch"]:
    """Return the scale-invariant signal-to-distortion ratio (Le Roux et al. 2019, arXiv 1811.02508, equation 4)."""
    estimate, reference = estimate.double(), reference.double()
    scale = _dot(estimate, reference) / _dot(reference, reference)
    target = scale[..., None] * reference
    return _decibels(target, estimate - target)


def si_snr(estimate: Float[Tensor, "*batch time"], reference: Float[Tensor, "*batch time"]) -> Float[Tensor, "*batch"]:
    """Return `si_sdr` after taking the mean off both, as AudioSlots and Conv-TasNet report it."""
    return si_sdr(_centred(estimate), _centred(reference))


def sdr(estimate: Float[Tensor, "*batch time"], reference: Float[Tensor, "*batch time"]) -> Float[Tensor, "*batch"]:
    """Return the plain signal-to-distortion ratio ``|s|² / |s - ŝ|²``, which counts a wrong level as distortion.

    This is the SDR of the music separation challenges (Mitsufuji et al. 2022, arXiv 2108.13559). For the older
    one of BSS Eval, which forgives any filter of 512 taps, see `bss_sdr`.
    """
    estimate, reference = estimate.double(), reference.double()
    return torch.where(_dot(reference, reference) == 0, torch.nan, _decibels(reference, reference - estimate))


def bss_sdr(estimate: Float[Tensor, "*batch time"], reference: Float[Tensor, "*batch time"]) -> Float[Tensor, "*batch"]:
    """Return the signal-to-distortion ratio of BSS Eval 3 (Vincent et al. 2006), by torchmetrics.

    Raises:
        UserError: torchmetrics is not installed.
    """
    try:
        from torchmetrics.functional.audio import signal_distortion_ratio
    except ImportError:
        raise UserError(
            'the SDR of BSS Eval needs torchmetrics, which is not installed: pip install "slotaudio[train]"'
        ) from None
    silent = _dot(reference, reference) == 0
    # the filter of a silent reference has no solution; any other reference will do in its place
    stand_in = torch.where(silent[..., None], torch.ones_like(reference), reference)
    ratio = signal_distortion_ratio(estimate.double(), stand_in.double(), load_diag=1e-10)
    return torch.where(silent, torch.nan, ratio.double().nan_to_num(LOWEST).clamp(LOWEST, HIGHEST))


METRICS: dict[str, Metric] = {"si_sdr": si_sdr, "si_snr": si_snr, "sdr": sdr, "bss_sdr": bss_sdr}
"""Every metric by name."""


def best_assignment(
    estimates: Float[Tensor, "batch slots channels time"],
    references: Float[Tensor, "batch sources channels time"],
    mixture: Float[Tensor, "batch channels time"],
    matcher: Matcher | None = None,
) -> Int[Tensor, "batch sources"]:
    """Return for every source its slot, by the SI-SDR cost that training uses; slots may be more than sources.

    Silent sources get what the audible ones leave over, the quietest slot first.

    Args:
        matcher: `Hungarian` by default.

    Raises:
        UserError: fewer slots than sources, or waves that are not finite.
    """
    return (matcher or Hungarian())(si_sdr_cost(estimates.float(), references.float(), mixture.float()))


@dataclass(frozen=True)
class Score:
    """What was measured, per batch item and source."""

    values: dict[str, Float[Tensor, "batch sources"]]
    """What was measured by metric, ratios in dB, and with ``_i`` after the name its improvement over the mixture. NaN
    for silent references; improvements also for a source that is alone in the mixture."""
    active: Bool[Tensor, "batch sources"]
    """Whether the reference can be heard: within 40 dB of the mixture."""
    residual: Float[Tensor, "batch sources"]
    """Level in dB against the mixture of the estimates of silent references; NaN for audible ones."""
    surplus: Float[Tensor, "batch"]
    """Level in dB against the mixture of all slots together that no source was assigned to; NaN without."""
    assignment: Int[Tensor, "batch sources"]

    def mean(self, name: str) -> Float[Tensor, "batch"]:
        """Return the mean over the audible sources of each item; NaN if there are none."""
        return self.values[name].nanmean(dim=1)


def score(
    estimates: Float[Tensor, "batch slots channels time"],
    references: Float[Tensor, "batch sources channels time"],
    mixture: Float[Tensor, "batch channels time"],
    matcher: Matcher | None = None,
    metrics: tuple[str, ...] = ("si_sdr", "si_snr", "sdr"),
    rate: int | None = None,
) -> Score:
    """Match estimates to references over their whole length, once, and measure.

    Args:
        metrics: names in `METRICS` or `slotaudio.quality.MEASURES`.
        rate: samples per second, which the latter need.

    Raises:
        UserError: see `best_assignment`; no such metric, one that needs the rate, or one whose package is not
            installed.
    """
    assignment = best_assignment(estimates, references, mixture, matcher)
    matched = _flat(take(estimates, assignment))
    wanted = _flat(references)
    unprocessed = _flat(mixture[:, None]).expand_as(wanted)
    active = audible(references.float().flatten(2).square().mean(-1), mixture.float())
    accompanied = si_sdr(unprocessed, wanted) < _ALONE
    values: dict[str, Any] = {}
    for name, metric in [(name, _metric(name, rate)) for name in metrics]:
        values[name] = _where(active, metric(matched, wanted))
        values[f"{name}_i"] = _where(accompanied, values[name] - metric(unprocessed, wanted))
    loudness = _dot(unprocessed.double(), unprocessed.double())[:, :1]
    power = _dot(_flat(estimates).double(), _flat(estimates).double())
    unassigned = torch.ones_like(power).scatter(1, assignment, 0)
    surplus = _relative((power * unassigned).sum(1), loudness[:, 0])
    return Score(
        values,
        active,
        _where(~active, _relative(power.gather(1, assignment), loudness.expand_as(active))),
        _where(unassigned.any(dim=1), surplus),
        assignment,
    )


def _metric(name: str, rate: int | None) -> Metric:
    if name in METRICS:
        return METRICS[name]
    if name not in quality.MEASURES:
        raise UserError(f"metric {name!r} is not known; choose from {', '.join([*METRICS, *quality.MEASURES])}")
    if rate is None:
        raise UserError(f"metric {name!r} needs the sample rate: score(..., rate=16000), say")
    measure = quality.MEASURES[name]
    return lambda estimate, reference: measure(estimate, reference, rate)


def _flat(waves: Float[Tensor, "batch rows channels time"]) -> Float[Tensor, "batch rows samples"]:
    return rearrange(waves, "batch rows channels time -> batch rows (channels time)")


def _where(condition: Bool[Tensor, "*axes"], values: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    return torch.where(condition, values, torch.nan)


def _dot(first: Float[Tensor, "*batch time"], second: Float[Tensor, "*batch time"]) -> Float[Tensor, "*batch"]:
    return (first * second).sum(-1)


def _centred(wave: Float[Tensor, "*batch time"]) -> Float[Tensor, "*batch time"]:
    wave = wave.double()
    return wave - wave.mean(-1, keepdim=True)


def _decibels(
    signal: Float[Tensor, "*batch time"], distortion: Float[Tensor, "*batch time"]
) -> Float[Tensor, "*batch"]:
    """Return the ratio of two powers in dB; NaN if the signal is NaN, the lowest if it is silent."""
    wanted, unwanted = _dot(signal, signal), _dot(distortion, distortion)
    return torch.where(wanted == 0, LOWEST, 10 * (wanted / unwanted).log10()).clamp(LOWEST, HIGHEST)


def _relative(power: Float[Tensor, "*axes"], reference: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    return 10 * (power / reference.clamp_min(1e-30)).clamp_min(1e-10).log10()
