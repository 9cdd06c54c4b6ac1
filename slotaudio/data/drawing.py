"""`Drawing`: how a mixture is drawn once its speakers are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import Float

from slotaudio.data.mixing import LOUDNESS, active_level, check_bounds, gains, level
from slotaudio.data.plans import Plan, Take, place
from slotaudio.data.speech import SpeechFolder
from slotaudio.errors import DataError

_TRIES = 3
_QUIET_DB = 30.0
_LEVEL_SECONDS = 3.0


@dataclass(frozen=True)
class Drawing:
    """Draws an utterance of each speaker, then a crop of it, then its loudness.

    A crop quieter than the speech around it by 30 dB is drawn again, up to three times. The loudness is
    measured over at least three seconds around the crop, so that a short crop may hold a pause,
    as short crops of LibriMix do.

    Args:
        samples: of a mixture; None for whole utterances.
        length: ``"max"`` pads shorter utterances with silence, at random on either side; ``"min"`` cuts
            the mixture to the shortest.
        loudness: least and most of each source, in dB.
        speed: least and most speed of an utterance.

    Raises:
        DataError: an option is out of range; says what is possible.
    """

    samples: int | None
    length: Literal["max", "min"] = "max"
    loudness: Sequence[float] = LOUDNESS
    speed: Sequence[float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if self.samples is not None and self.samples <= 0:
            raise DataError("a mixture needs at least one sample: give more seconds, or none at all")
        if self.length not in ("max", "min"):
            raise DataError(f"length = {self.length!r} is not known; choose 'max' or 'min'")
        check_bounds("loudness", self.loudness, "in dB")
        check_bounds("speed", self.speed, "from 0.5 to 2", 0.5, 2.0)

    def draw(
        self, rng: np.random.Generator, folder: SpeechFolder, speakers: Sequence[str]
    ) -> tuple[Plan, list[Float[np.ndarray, "_"]]]:
        """Return a plan and, so that nothing is read twice, the stretches that it names.

        Raises:
            UnreadableUtterance: see `SpeechFolder.read`.
        """
        chosen = []
        for speaker in speakers:
            speed = round(float(rng.uniform(self.speed[0], self.speed[1])), 2)
            chosen.append((self._utterance(rng, folder, speaker, speed), speed))
        lengths = [folder.length(utterance, speed) for utterance, speed in chosen]
        longest = max(lengths) if self.samples is None else self.samples
        total = min(longest, *lengths) if self.length == "min" else longest
        takes, waves, levels = [], [], []
        for (utterance, speed), available in zip(chosen, lengths, strict=True):
            take, wave, loud = self._crop(rng, folder, utterance, speed, available, total)
            takes.append(take)
            waves.append(wave)
            levels.append(loud)
        placed = [place(wave, take.offset, total) for take, wave in zip(takes, waves, strict=True)]
        factors = gains(placed, levels, [float(rng.uniform(self.loudness[0], self.loudness[1])) for _ in takes])
        final = tuple(
            Take(t.utterance, t.start, t.length, t.offset, factor, t.speed)
            for t, factor in zip(takes, factors, strict=True)
        )
        return Plan("_".join(PurePosixPath(take.utterance).stem for take in final), total, final), waves

    def _utterance(self, rng: np.random.Generator, folder: SpeechFolder, speaker: str, speed: float) -> str:
        """Draw an utterance, preferring one that fills the mixture."""
        utterances = folder.speakers[speaker]
        drawn = [utterances[rng.integers(len(utterances))] for _ in range(_TRIES)]
        if self.samples is None or len(utterances) == 1:
            return drawn[0]
        for utterance in drawn:
            if folder.length(utterance, speed) >= self.samples:
                return utterance
        return max(drawn, key=lambda utterance: folder.length(utterance, speed))

    def _crop(
        self, rng: np.random.Generator, folder: SpeechFolder, utterance: str, speed: float, available: int, total: int
    ) -> tuple[Take, Float[np.ndarray, "time"], float]:
        """Return a crop of `total` samples at most, the samples, and the level of the speech around them."""
        length = min(available, total)
        margin = max(0, round(_LEVEL_SECONDS * folder.rate) - length) // 2
        for _ in range(_TRIES):
            start = int(rng.integers(available - length + 1))
            first = max(0, start - margin)
            around = folder.read(utterance, first, min(available, start + length + margin) - first, speed)
            wave = around[start - first :][:length]
            loud = active_level(around, folder.rate)
            if level(wave) > loud - _QUIET_DB:
                break
        offset = int(rng.integers(total - length + 1))
        return Take(utterance, start, length, offset, 1.0, speed), wave, loud
