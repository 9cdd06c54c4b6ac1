"""`Mean`: a mean over mixtures, and how far off it may be: for other mixtures, and for other speakers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_FEWEST = 5
"""Fewer speakers say nothing about speakers in general."""

_BLOCKS, _BLOCK = 50, 100
"""How often speakers are drawn anew, in parts that fit into memory."""


@dataclass(frozen=True)
class Mean:
    """A mean over mixtures and its 95 % confidence intervals.

    Mixtures share speakers, and speakers differ: for voices that were not heard the mean is less certain than for more
    mixtures of these.
    """

    mean: float
    half_width: float
    """Half the interval for other mixtures of the same speakers (Student's t); NaN for fewer than two."""
    count: int
    speakers: tuple[float, float] = (math.nan, math.nan)
    """Ends of the interval for other speakers: a bootstrap that draws them anew, in which a mixture counts as often as
    all its speakers were drawn together (the product of their counts; Owen and Eckles 2012,
    arXiv 1106.2125). NaN where speakers are not named, or are fewer than five."""

    @classmethod
    def of(cls, values: Iterable[float], speakers: Iterable[Sequence[str]] = ()) -> "Mean":
        """Average what is not NaN.

        Args:
            values: one for each mixture.
            speakers: names of the speakers of each; none where they are not known.
        """
        from scipy.special import stdtrit

        every = np.fromiter(values, dtype=np.float64)
        valid = ~np.isnan(every)
        finite = every[valid]
        if finite.size < 2:
            return cls(float(finite.mean()) if finite.size else math.nan, math.nan, finite.size)
        half = stdtrit(finite.size - 1, 0.975) * finite.std(ddof=1) / math.sqrt(finite.size)
        named = [names for names, there in zip(speakers, valid, strict=False) if there]
        return cls(float(finite.mean()), float(half), finite.size, _of_speakers(finite, named))

    def __str__(self) -> str:
        if not self.count:
            return "–"
        return f"{self.mean:.2f}" + ("" if math.isnan(self.half_width) else f" ±{self.half_width:.2f}")


def _of_speakers(values: Float[np.ndarray, " mixtures"], named: Sequence[Sequence[str]]) -> tuple[float, float]:
    number = {name: at for at, name in enumerate(sorted({name for names in named for name in names}))}
    if not all(named) or len(number) < _FEWEST:
        return math.nan, math.nan
    members = np.full((len(named), max(map(len, named))), len(number))  # beyond the last: nobody
    for row, names in zip(members, named, strict=True):
        row[: len(names)] = [number[name] for name in names]
    rng = np.random.default_rng(0)
    means = []
    for _ in range(_BLOCKS):
        drawn = rng.multinomial(len(number), [1 / len(number)] * len(number), size=_BLOCK)
        counts = np.pad(drawn, ((0, 0), (0, 1)), constant_values=1).astype(np.float64)
        weights = np.prod([counts[:, column] for column in members.T], axis=0)
        met = weights.any(axis=1)
        means.append(weights[met] @ values / weights[met].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)
