"""Levels and sums: how single voices become a mixture.

LibriMix (arXiv 2005.11262, section 3) draws the loudness of each source from -33 to -25 LUFS and
scales whatever would pass a peak of 0.9. Here the level of the active frames stands in for LUFS;
the two differ by a decibel or so on clean speech, which is little against the range of eight.
"""

import math
from collections.abc import Sequence

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float

from slotaudio.errors import DataError

LOUDNESS = (-33.0, -25.0)
"""LibriMix's range of loudness, in dB."""

PEAK = 0.9
"""No source and no mixture passes this."""

SILENCE_DB = -100.0
"""The level given to digital silence, which has none."""

_FRAME_SECONDS = 0.025
_ACTIVE_DB = 30.0


def check_bounds(
    name: str, bounds: Sequence[float], wanted: str, least: float = -math.inf, most: float = math.inf
) -> None:
    """Raise unless two bounds are in order, and within others.

    Raises:
        DataError: says what is `wanted`, such as "in dB".
    """
    if len(bounds) != 2 or not least <= bounds[0] <= bounds[1] <= most:
        raise DataError(f"{name} = {bounds!r}: give the least and the most, {wanted}")


def level(wave: Float[np.ndarray, "time"]) -> float:
    """Return the root mean square in dB of full scale; -100 for silence."""
    power = float(np.mean(np.square(wave, dtype=np.float64))) if wave.size else 0.0
    return max(SILENCE_DB, 10 * np.log10(power)) if power > 0 else SILENCE_DB


def active_level(wave: Float[np.ndarray, "time"], sample_rate: int) -> float:
    """Return the level in dB of the frames within 30 dB of the loudest: pauses do not count."""
    power = _frame_powers(wave, sample_rate)
    if power.size == 0:
        return level(wave)
    if power.max() <= 0:
        return SILENCE_DB
    return max(SILENCE_DB, float(10 * np.log10(power[_active(power)].mean())))


def overlap(waves: Sequence[Float[np.ndarray, "time"]], sample_rate: int) -> float:
    """Return the share of the frames with a voice in which two or more are heard, each as in `active_level`."""
    heard = sum(_active(_frame_powers(wave, sample_rate)).astype(int) for wave in waves)
    anybody = np.count_nonzero(heard)
    return float(np.count_nonzero(np.greater(heard, 1)) / anybody) if anybody else 0.0


def _frame_powers(wave: Float[np.ndarray, "time"], sample_rate: int) -> Float[np.ndarray, "frames"]:
    frame = round(_FRAME_SECONDS * sample_rate)
    whole = wave[: wave.size // frame * frame]
    return np.square(rearrange(whole, "(frames samples) -> frames samples", samples=frame), dtype=np.float64).mean(
        axis=1
    )


def _active(power: Float[np.ndarray, "frames"]) -> Bool[np.ndarray, "frames"]:
    return power > power.max(initial=0.0) * 10 ** (-_ACTIVE_DB / 10)


def gains(
    waves: Sequence[Float[np.ndarray, "time"]], levels: Sequence[float], wanted: Sequence[float]
) -> tuple[float, ...]:
    """Return the factors that bring each wave from its level to the wanted one without clipping.

    As in LibriMix, a source whose peak would pass 0.9 gets less, and so do all of them together if
    their sum would: the wanted level is then missed rather than the peak passed.

    Args:
        waves: placed where they will sound, all of one length.
        levels: what each has now, in dB; silence keeps a factor of 1.
        wanted: what each shall have, in dB.
    """
    factors = []
    for wave, has, wants in zip(waves, levels, wanted, strict=True):
        factor = 10 ** ((wants - has) / 20) if has > SILENCE_DB else 1.0
        peak = float(np.abs(wave).max(initial=0.0)) * factor
        factors.append(factor * min(1.0, PEAK / peak) if peak > 0 else factor)
    total = np.zeros_like(waves[0], dtype=np.float64)
    for wave, factor in zip(waves, factors, strict=True):
        total += factor * wave
    peak = float(np.abs(total).max(initial=0.0))
    shrink = min(1.0, PEAK / peak) if peak > 0 else 1.0
    return tuple(factor * shrink for factor in factors)
