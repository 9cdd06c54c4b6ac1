"""Which vectors of an embedding are of a voice: when it is audible, and in which slot."""

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from slotaudio.representation import Embedding

_AUDIBLE, _SILENT = 30.0, -120.0


def decibels(
    wave: Float[Tensor, " time"], rate: int, times: Float[np.ndarray, " steps"], seconds: float
) -> Float[np.ndarray, " steps"]:
    """Return the level of a wave over so many seconds around each time."""
    half = max(1, round(seconds / 2 * rate))
    power = np.concatenate([[0.0], np.cumsum(wave.double().square().numpy())])
    middle = np.round(times * rate).astype(np.int64)
    start, stop = np.clip(middle - half, 0, len(wave)), np.clip(middle + half, 0, len(wave))
    energy = (power[stop] - power[start]) / np.maximum(1, stop - start)
    return 10 * np.log10(np.maximum(energy, 10 ** (_SILENT / 10)))


def audible(
    wave: Float[Tensor, " time"],
    rate: int,
    times: Float[np.ndarray, " steps"],
    seconds: float,
    within: float = _AUDIBLE,
) -> Bool[np.ndarray, " steps"]:
    """Return at which times a wave's level, over so many seconds around each, is within so many dB of its highest."""
    level = decibels(wave, rate, times, seconds)
    return (level > level.max(initial=_SILENT) - within) & (level > _SILENT)


def loudest(embedding: Embedding) -> Float[np.ndarray, "steps dim"]:
    """Return of each step the vector whose output is loudest; the first where nothing tells."""
    if embedding.level is None:
        return embedding.vectors[:, 0]
    return embedding.vectors[np.arange(len(embedding)), embedding.level.argmax(axis=1)]


def following(embedding: Embedding, prevalence: Float[np.ndarray, " steps"]) -> Float[np.ndarray, "steps dim"]:
    """Return the vectors of the slot whose output, relative to the others, is loud when one voice is.

    Args:
        prevalence: decibels of that voice over all others, step by step.
    """
    if embedding.level is None or embedding.level.shape[1] == 1:
        return embedding.vectors[:, 0]
    others = [np.delete(embedding.level, slot, axis=1).max(axis=1) for slot in range(embedding.level.shape[1])]
    relative = np.clip(embedding.level - np.stack(others, axis=1), -_AUDIBLE, _AUDIBLE)
    wanted = np.clip(prevalence, -_AUDIBLE, _AUDIBLE)
    return embedding.vectors[:, int((wanted @ relative).argmax())]
