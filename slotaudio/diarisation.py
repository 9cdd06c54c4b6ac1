"""Who speaks when: turns from what the outputs of a separation hold.

A diarisation is a list of `slotaudio.rttm.Turn`; how wrong it is says `slotaudio.evaluation.diarisation`.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.rttm import Turn
from slotaudio.separation.intake import Wave, opened
from slotaudio.separation.pieces import pieces
from slotaudio.separation.separator import Separator

_FRAME, _HEARD, _COMPARED = 0.02, 0.1, 0.5
"""Seconds: of a frame, over which its level is heard, and over which outputs are compared."""

_LOUD, _QUIET = 0.95, 0.10
"""Shares of the frames that the level of speech and that of the noise pass."""

_SILENT = 1e-10
"""Mean square of what is silent beyond doubt: -100 dB."""


@dataclass(frozen=True)
class TurnRule:
    """What counts as a turn.

    Args:
        depth: decibels below the recording's speech (the level that 5 % of its frames pass) at which an output is
            still heard, unless that is in the noise.
        noise: decibels above the recording's noise (the level that 90 % of its frames pass) that are speech in any
            case.
        leak: decibels below the loudest output, over half a second, that are taken for what leaked from there.
        slack: decibels that a turn goes on below the level at which it would begin.
        gap: seconds of silence within a turn, at most.
        least: seconds of a turn, at least.
        pad: seconds by which turns begin earlier and end later than they are heard, as transcribers want it.

    Raises:
        UserError: an option out of range.
    """

    depth: float = 30.0
    noise: float = 10.0
    leak: float = 6.0
    slack: float = 4.0
    gap: float = 1.0
    least: float = 0.25
    pad: float = 0.0

    def __post_init__(self) -> None:
        for name in vars(self):
            if getattr(self, name) < 0:
                raise UserError(f"{name} = {getattr(self, name)}: give 0 or more")


def diarise(
    separator: Separator,
    source: Wave | str | os.PathLike[str] | Iterable[Wave],
    sample_rate: int | None = None,
    *,
    rule: TurnRule | None = None,
    recording: str = "recording",
    progress: Callable[[float], None] | None = None,
) -> list[Turn]:
    """Separate a recording and return who speaks when: each output that holds a source is a speaker.

    How many speakers there are is decided as by `Separator`; when each of them speaks, by the levels of the outputs. An
    hour takes some megabytes.

    Args:
        separator: its `sources` say how many speakers there are; let it find out by ``sources="unknown"``.
        source, sample_rate: as for `Separator.stream`.
        rule: what counts as a turn.
        recording: its name in the turns.
        progress: called with the seconds that are done.

    Returns:
        Turns in order of time, of speakers called by the outputs: ``slot1``, ``slot2``, ..., or the slots' names.

    Raises:
        UserError, AudioFileError: as for `Separator.stream`; a recording without samples.
    """
    if not isinstance(separator, Separator):
        raise UserError(f"diarise takes a Separator first, not {separator!r}: Separator.from_pretrained loads one")
    rule = rule or TurnRule()
    with opened(source, sample_rate, separator.sample_rate) as (blocks, rate, name):
        meter = separator.presence_meter()
        stream = separator.open(rate, observer=meter.update)
        levels, length = _Levels(rate), 0
        for piece in pieces(separator, stream, blocks, rate, name, progress=progress):
            levels.push(piece[0])
            length += piece.shape[-1]
    if not length:
        raise UserError(f"{name} holds no samples")
    least, most = separator.sources
    nobody = least < most and not meter.found()[0]
    kept = [] if nobody else meter.chosen(least, most)[0]
    names = separator.model.names or _numbered(separator.model.slots)
    return _turns(levels, [names[slot] for slot in kept], kept, rule, recording, length / rate)


def turns_by_level(
    waves: Float[Tensor, "slots channels time"],
    sample_rate: int,
    rule: TurnRule | None = None,
    recording: str = "recording",
) -> list[Turn]:
    """Return the turns of sources that are in memory: true ones, or those of any separation."""
    rule = rule or TurnRule()
    levels = _Levels(sample_rate)
    levels.push(waves)
    seconds = waves.shape[-1] / sample_rate
    return _turns(levels, _numbered(len(waves)), range(len(waves)), rule, recording, seconds)


def _turns(
    levels: "_Levels", names: Sequence[str], kept: Sequence[int], rule: TurnRule, recording: str, seconds: float
) -> list[Turn]:
    active = by_level(levels.finish()[:, list(kept)], rule)
    edges = np.arange(len(active) + 1) * levels.seconds
    return turns(active, np.minimum(edges, seconds), names, rule, recording)


def _numbered(slots: int) -> list[str]:
    return [f"slot{slot}" for slot in range(1, slots + 1)]


def by_level(power: Float[np.ndarray, "frames slots"], rule: TurnRule) -> Bool[np.ndarray, "frames slots"]:
    """Return when each output is heard: above the noise, not far below speech, and not as what leaked from another.

    Args:
        power: mean square of every output in frames of 20 ms.
    """
    total = _decibels(_smooth(power.sum(axis=1), _HEARD))
    audible = total[total > 10 * np.log10(_SILENT)]
    if not len(audible):
        return np.zeros(power.shape, bool)
    speech, noise = np.quantile(audible, [_LOUD, _QUIET])
    # a recording without pauses has no frames of noise: what is near to speech is speech
    floor = max(speech - rule.depth, min(noise + rule.noise, speech - rule.depth / 2))
    over_noise = _decibels(_smooth(power, _HEARD)) - floor
    compared = _decibels(_smooth(power, _COMPARED))
    over_leak = compared - compared.max(axis=1, keepdims=True) + rule.leak
    return _hysteresis(np.minimum(over_noise, over_leak), 0.0, -rule.slack)


def turns(
    active: Bool[np.ndarray, "steps slots"],
    edges: Float[np.ndarray, " edges"],
    names: Sequence[str],
    rule: TurnRule,
    recording: str = "recording",
) -> list[Turn]:
    """Return the turns of speakers who are active in some steps, gaps filled and short ones left out.

    Args:
        edges: seconds at which the steps begin, and at which the last one ends.
        names: of the slots.
    """
    found = []
    for name, column in zip(names, active.T, strict=True):
        change = np.diff(np.concatenate([[False], column, [False]]).astype(np.int8))
        heard = zip(edges[change == 1].tolist(), edges[change == -1].tolist(), strict=True)
        spans = [(start, stop) for start, stop in _joined(heard, rule.gap) if stop - start >= rule.least]
        padded = ((max(edges[0], start - rule.pad), min(edges[-1], stop + rule.pad)) for start, stop in spans)
        found += [
            Turn(round(start, 3), round(stop - start, 3), name, recording) for start, stop in _joined(padded, 0.0)
        ]
    return sorted(found)


def _joined(spans: Iterable[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Fill gaps between spans in order of time that are no longer than `gap`."""
    joined: list[tuple[float, float]] = []
    for start, stop in spans:
        if joined and start - joined[-1][1] <= gap:
            start = joined.pop()[0]
        joined.append((float(start), float(stop)))
    return joined


class _Levels:
    """Mean squares of the outputs frame by frame, of pieces of any length."""

    def __init__(self, sample_rate: int) -> None:
        self.frame = round(_FRAME * sample_rate)
        self.seconds = self.frame / sample_rate
        self._rest: Float[Tensor, "slots rest"] | None = None
        self._powers: list[Float[Tensor, "slots frames"]] = []

    def push(self, piece: Float[Tensor, "slots channels time"]) -> None:
        power = piece.float().square().mean(dim=1)
        if self._rest is not None:
            power = torch.cat([self._rest, power], dim=1)
        whole = power.shape[1] // self.frame * self.frame
        self._rest = power[:, whole:].clone()  # a view would keep the whole piece alive
        self._powers.append(power[:, :whole].unflatten(1, (-1, self.frame)).mean(dim=2))

    def finish(self) -> Float[np.ndarray, "frames slots"]:
        assert self._rest is not None, "finish() before the first push()"
        if self._rest.shape[1]:
            self._powers.append(self._rest.mean(dim=1, keepdim=True))
        return torch.cat(self._powers, dim=1).T.double().numpy()


def _smooth(power: Float[np.ndarray, "frames *slots"], seconds: float) -> Float[np.ndarray, "frames *slots"]:
    return uniform_filter1d(power, round(seconds / _FRAME), axis=0, mode="nearest").clip(min=0)


def _decibels(power: Float[np.ndarray, "*axes"]) -> Float[np.ndarray, "*axes"]:
    return 10 * np.log10(np.maximum(power, _SILENT / 10))


def _hysteresis(values: Float[np.ndarray, "steps slots"], on: float, off: float) -> Bool[np.ndarray, "steps slots"]:
    """Begin where values reach `on` and end where they fall below `off`."""
    settled = (values >= on) | (values < off)
    last = np.maximum.accumulate(np.where(settled, np.arange(len(values))[:, None], -1), axis=0)
    return np.where(last < 0, False, np.take_along_axis(values >= on, np.maximum(last, 0), axis=0))
