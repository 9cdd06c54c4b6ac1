"""Metrics of identity: does a speaker stay the same output for the whole recording?

Separation metrics match outputs to speakers anew in every short clip and cannot see a swap. Here the
whole recording has ONE assignment, and each window's own best assignment is held against it. All that is kept
of the audio are the inner products of each window, so an hour is measured in blocks and in little memory.
"""

from dataclasses import dataclass, field

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.types import Matcher

CEILING_DB = 100.0
"""SI-SDR of a perfect estimate, and with a minus that of one that holds nothing of the source."""

_CLEARLY = 0.01


@dataclass(frozen=True)
class IdentityScore:
    """What `IdentityMeter` found. Shares are between 0 and 1, and nan where nothing could be counted."""

    assignment: tuple[int, ...]
    """For every source its slot over the whole recording; -1 where sources outnumber slots."""
    si_sdr: tuple[float, ...]
    """In dB per source under that assignment; nan for sources that are never heard."""
    si_sdri: float
    """Mean improvement over the mixture in dB, over sources that are heard."""
    right_windows: float
    """Share of heard (window, source) pairs whose best slot is the assigned one."""
    right_joins: float
    """Share of adjacent windows with a common heard source in which every such source keeps its slot."""
    swaps: int
    """Windows in which some heard source is in another slot than when it was last heard."""
    swaps_per_minute: float
    right_returns: float
    """Share of returns after a pause in which the source comes back in the slot it left."""
    returns: int
    right_counts: float
    """Share of windows in which as many outputs are clearly heard as sources; clearly is within 20 dB."""


@dataclass
class IdentityMeter:
    """Gather what `IdentityScore` needs, block by block.

    A source is heard in a window whose energy is within `audible` dB of its loudest window. The best slots
    of a window are those of least squared error for its heard sources; where the assigned slots are just as good
    (as in the silence of all slots), they count as the best.

    Args:
        sample_rate: in hertz.
        window: seconds that are judged at once.
        audible: in dB below a source's loudest window.
        pause: seconds of silence that make the next window of a source a return.
        matcher: as in training.
    """

    sample_rate: int
    window: float = 0.5
    audible: float = 30.0
    pause: float = 5.0
    matcher: Matcher = field(default_factory=Hungarian)

    def __post_init__(self) -> None:
        self._samples = round(self.window * self.sample_rate)
        self._slots = self.sources = 0
        self._given = 0
        self._rest: Float[Tensor, "tracks time"] | None = None
        self._products: list[Float[Tensor, "windows tracks tracks"]] = []

    @property
    def seconds(self) -> float:
        """Seconds of audio given so far."""
        return self._given / self.sample_rate

    def update(self, estimates: Float[Tensor, "slots time"], sources: Float[Tensor, "sources time"]) -> None:
        """Take the next block of any length; the mixture is the sum of the sources.

        Raises:
            UserError: another number of slots or sources than in the block before, or samples not finite.
        """
        sizes = (len(estimates), len(sources))
        if self._rest is not None and sizes != (self._slots, self.sources):
            raise UserError(
                f"identity: a block has {sizes[0]} slots and {sizes[1]} sources, those before had "
                f"{self._slots} and {self.sources}"
            )
        self._slots, self.sources = sizes
        # sources that outnumber the slots are matched to slots of silence
        silence = estimates.new_zeros(max(0, sizes[1] - sizes[0]), estimates.shape[1])
        block = torch.cat([estimates, silence, sources.to(estimates)]).cpu()
        if not block.isfinite().all():
            raise UserError("identity: the estimates or the sources hold NaN or infinite samples")
        self._given += block.shape[1]
        if self._rest is not None:
            block = torch.cat([self._rest, block], dim=1)
        whole = block.shape[1] // self._samples * self._samples
        self._rest = block[:, whole:].clone()  # a view would keep the whole block alive
        if whole:
            self._products.append(_products(block[:, :whole], self._samples))

    def compute(self) -> IdentityScore:
        """Return the metrics of everything given so far.

        Raises:
            UserError: nothing was given.
        """
        if self._rest is None or not self._given:
            raise UserError("identity: no audio was given")
        products = list(self._products)
        if self._rest.shape[1]:
            products.append(_products(self._rest, self._rest.shape[1]))
        return _judge(torch.cat(products), self._slots, self)


def identity_score(
    estimates: Float[Tensor, "slots time"],
    sources: Float[Tensor, "sources time"],
    sample_rate: int,
    window: float = 0.5,
) -> IdentityScore:
    """Measure a whole recording at once; see `IdentityMeter`."""
    meter = IdentityMeter(sample_rate, window)
    meter.update(estimates, sources)
    return meter.compute()


def _products(tracks: Float[Tensor, "tracks time"], samples: int) -> Float[Tensor, "windows tracks tracks"]:
    cut = rearrange(tracks.double(), "tracks (windows samples) -> windows tracks samples", samples=samples)
    return cut @ cut.mT


def _judge(products: Float[Tensor, "windows tracks tracks"], real: int, meter: IdentityMeter) -> IdentityScore:
    sources = meter.sources
    slots = products.shape[1] - sources
    within, across, between = products[:, :slots, :slots], products[:, :slots, slots:], products[:, slots:, slots:]
    estimated, true = within.diagonal(dim1=1, dim2=2), between.diagonal(dim1=1, dim2=2)
    heard = (true > true.amax(dim=0) * 10 ** (-meter.audible / 10)) & (true > 0)
    ever = heard.any(dim=0)

    scores = si_sdr_of_products(across.sum(dim=0), estimated.sum(dim=0)[:, None], true.sum(dim=0))
    unprocessed = si_sdr_of_products(between.sum(dim=(0, 1)), between.sum(), true.sum(dim=0))
    assigned = meter.matcher(-scores.where(ever, 0.0)[None])[0]
    scores = scores.gather(0, assigned[None])[0].where(ever & (assigned < real), torch.nan)

    errors = estimated[:, :, None] + true[:, None] - 2 * across
    best = _best(errors, heard, assigned, meter.matcher)
    joined = heard[1:] & heard[:-1]
    kept = ((best[1:] == best[:-1]) | ~joined).all(dim=1)[joined.any(dim=1)]
    swapped, back = zip(*(_changes(best[:, s], heard[:, s], meter) for s in range(sources)), strict=True)
    swaps = int(torch.stack(swapped).any(dim=0).sum())
    returns = torch.cat(back)
    return IdentityScore(
        assignment=tuple(slot if slot < real else -1 for slot in assigned.tolist()),
        si_sdr=tuple(scores.tolist()),
        si_sdri=float((scores - unprocessed).nanmean()),
        right_windows=_share((best == assigned)[heard]),
        right_joins=_share(kept),
        swaps=swaps,
        swaps_per_minute=60 * swaps / meter.seconds,
        right_returns=_share(returns),
        returns=len(returns),
        right_counts=_counts(estimated, true, assigned),
    )


def _counts(
    estimated: Float[Tensor, "windows slots"],
    true: Float[Tensor, "windows sources"],
    assigned: Int[Tensor, "sources"],
) -> float:
    """Count who is heard in each window, outputs as their sources; surplus ones as the loudest of all sources."""
    loudest = true.amax(dim=0)
    reference = loudest.amax().expand(estimated.shape[1]).scatter(0, assigned, loudest)
    reference = torch.where(reference > 0, reference, loudest.amax())
    sources = (true > _CLEARLY * loudest) & (true > 0)
    outputs = (estimated > _CLEARLY * reference) & (estimated > 0)
    return _share(outputs.sum(dim=1) == sources.sum(dim=1))


def si_sdr_of_products(
    across: Float[Tensor, "*#axes"], estimated: Float[Tensor, "*#axes"], true: Float[Tensor, "*#axes"]
) -> Float[Tensor, "*#axes"]:
    """SI-SDR in dB (Le Roux et al. 2019, arXiv 1811.02508, equation 4) from the inner products of two waves."""
    target = across.square() / true.clamp_min(torch.finfo(true.dtype).tiny)
    limit = 10 ** (-CEILING_DB / 10)
    ratio = target / ((estimated - target).clamp_min(0) + limit * target)
    return 10 * ratio.nan_to_num(0.0).clamp_min(limit).log10()


def _best(
    errors: Float[Tensor, "windows slots sources"],
    heard: Bool[Tensor, "windows sources"],
    assigned: Int[Tensor, "sources"],
    matcher: Matcher,
) -> Int[Tensor, "windows sources"]:
    """The best slots of every window, which are the assigned ones unless others are strictly better."""
    errors = errors * heard[:, None]
    best = matcher(errors)
    least = errors.gather(1, best[:, None])[:, 0].sum(dim=1)
    as_assigned = errors[:, assigned, torch.arange(len(assigned))].sum(dim=1)
    return torch.where((as_assigned <= least * (1 + 1e-6))[:, None], assigned, best)


def _changes(
    best: Int[Tensor, "windows"], heard: Bool[Tensor, "windows"], meter: IdentityMeter
) -> tuple[Bool[Tensor, "windows"], Bool[Tensor, "returns"]]:
    """Where one source left the slot in which it was last heard, and whether its returns were right."""
    when = heard.nonzero()[:, 0]
    changed = best[when].diff() != 0
    swapped = torch.zeros_like(heard)
    swapped[when[1:][changed]] = True
    paused = (when.diff() - 1) * meter.window >= meter.pause
    return swapped, ~changed[paused]


def _share(right: Bool[Tensor, "*cases"]) -> float:
    return float(right.double().mean()) if right.numel() else float("nan")
