"""What is known of a mixture, by which results can be told apart."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from slotaudio.data.mixing import active_level, overlap

LABELS = (
    *("pair", "genders", "level", "overlap", "active", "seconds"),
    *("speakers", "mixture", "level_difference", "overlap_share"),
)
"""All that `mixture_labels` tells."""

RANGES = ("level", "overlap")
"""Labels that are ranges of numbers, such as ``3 to 6 dB``."""

_LEVEL_STEP = 3
_OVERLAP_STEP = 25


def speakers_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the speakers of a mixture, as far as they are known."""
    return tuple(str(speaker) for speaker in metadata.get("speakers", ()) if speaker)


def mixture_labels(
    mixture: Float[Tensor, "channels time"],
    sources: Float[Tensor, "sources channels time"],
    metadata: Mapping[str, Any],
    rate: int,
) -> dict[str, str | float]:
    """Return who speaks, whether their genders differ, by how much their levels differ, how much of the time two speak.

    ``level`` and ``overlap`` are the ranges of 3 dB and of 25 % that ``level_difference`` and ``overlap_share`` lie in.
    """
    speakers = speakers_of(metadata)
    genders = [str(gender) for gender in metadata.get("genders", ()) if gender]
    heard = [source.mean(dim=0).numpy() for source in sources if bool(source.any())]
    levels = [active_level(wave, rate) for wave in heard]
    labels: dict[str, str | float] = {
        "mixture": str(metadata.get("id", "")),
        "seconds": round(mixture.shape[-1] / rate, 4),
        "active": len(heard),
        "speakers": " ".join(speakers),
        "genders": "".join(sorted(genders)),
        "pair": "",
    }
    if len(genders) == len(speakers) > 1:
        labels["pair"] = "same" if len(set(genders)) == 1 else "different"
    if len(heard) < 2:
        return labels | {"level_difference": "", "level": "", "overlap_share": "", "overlap": ""}
    difference, share = max(levels) - min(levels), overlap(heard, rate)
    return labels | {
        "level_difference": round(difference, 2),
        "level": _range(difference, _LEVEL_STEP, "dB"),
        "overlap_share": round(share, 3),
        "overlap": _range(min(100 * share, 99.9), _OVERLAP_STEP, "%"),
    }


def _range(value: float, step: int, unit: str) -> str:
    least = int(value // step) * step
    return f"{least} to {least + step} {unit}"
