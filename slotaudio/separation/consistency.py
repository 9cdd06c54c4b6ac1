"""Mixture consistency of a stream: the mixture is kept until its sources are there, which then add up to it."""

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.separation.residual import ResidualSharer


class MixtureConsistency:
    """Make the sources of a stream add up to its mixture, or only as long as that.

    Args:
        sample_rate: of the mixture and of the sources.
        consistent: make them add up; the offset of the mixture is shared equally.
        rest: but for what the model leaves of the frequencies that it hears, and the offset.
    """

    def __init__(self, sample_rate: int, *, consistent: bool, rest: bool) -> None:
        self.consistent = consistent
        self.rest = consistent and rest
        self._sample_rate = sample_rate
        self._sharer = ResidualSharer(sample_rate // 100) if consistent else None
        self._keeps_offset = consistent and not rest
        self._mixture: Tensor | None = None  # from the next sample to be finished; without its offset
        self._offset: Tensor | None = None  # the same samples of that, where it is kept
        self._heard: Tensor | None = None  # model's rate, from the next sample to be joined; where a rest is left

    @property
    def latency(self) -> float:
        """Seconds that a source waits at most after it was pushed."""
        return 0.0 if self._sharer is None else 2 * self._sharer.frame / self._sample_rate

    def keep(
        self, wave: Float[Tensor, "batch channels time"], offset: Float[Tensor, "batch channels time"]
    ) -> Float[Tensor, "batch channels time"]:
        """Take the next samples of the mixture, without its offset, and of that; returns the former."""
        self._mixture = _after(self._mixture, wave)
        if self._keeps_offset:
            self._offset = _after(self._offset, offset)
        return wave

    def hear(self, wave: Float[Tensor, "batch channels time"]) -> None:
        """Take what the model is about to hear, at its rate."""
        if self.rest:
            self._heard = _after(self._heard, wave)

    def beside(self, joined: Float[Tensor, "batch slots channels time"]) -> Float[Tensor, "batch more channels time"]:
        """Put what the model heard beside its slots, where it may leave a rest: both go through the same resampling."""
        if not self.rest:
            return joined
        assert self._heard is not None, "beside() before the first hear()"
        heard, self._heard = self._heard.tensor_split([joined.shape[-1]], dim=-1)
        return torch.cat([joined, heard[:, None]], dim=1)

    def push(
        self, sources: Float[Tensor, "batch more channels time"]
    ) -> Float[Tensor, "batch slots channels finished"]:
        """Take the next samples of what `beside` gave, at the rate of the mixture, and return the finished sources.

        What goes beyond the mixture is cut off.
        """
        assert self._mixture is not None, "push() before the first keep()"
        size = min(sources.shape[-1], self._mixture.shape[-1])
        sources = sources[..., :size]
        mixture, self._mixture = self._mixture.tensor_split([size], dim=-1)
        if self.rest:
            sources, heard = sources[:, :-1], sources[:, -1]
            mixture = mixture - heard + sources.sum(dim=1)
        if self._keeps_offset:
            assert self._offset is not None
            offset, self._offset = self._offset.tensor_split([size], dim=-1)
            mixture, sources = mixture + offset, sources + offset[:, None] / sources.shape[1]
        return sources if self._sharer is None else self._sharer.push(mixture, sources)

    def finish(
        self, sources: Float[Tensor, "batch more channels time"]
    ) -> Float[Tensor, "batch slots channels finished"]:
        """Take the last samples and return all that waits."""
        ending = self.push(sources)
        return ending if self._sharer is None else torch.cat([ending, self._sharer.finish()], dim=-1)


def _after(
    kept: Float[Tensor, "batch channels before"] | None, wave: Float[Tensor, "batch channels time"]
) -> Float[Tensor, "batch channels longer"]:
    return wave if kept is None else torch.cat([kept, wave], dim=-1)
