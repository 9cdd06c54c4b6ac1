"""`Conversation`: turns of speech, rendered a stretch at a time, so that an hour needs little memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from slotaudio.audio.writing import AudioWriter
from slotaudio.data.mixing import PEAK, active_level
from slotaudio.data.speech import SpeechFolder
from slotaudio.data.timeline import overlap_of
from slotaudio.rttm import Turn, write_rttm

_FADE_SECONDS = 0.005
_AT_ONCE = 2


@dataclass(frozen=True)
class Piece:
    """A stretch of an utterance."""

    utterance: str
    start: int
    length: int


class Reel:
    """The utterances of a speaker on end, in random order, over and over.

    What a speaker says goes on from turn to turn, and is heard again only when all of it was.
    """

    def __init__(self, rng: np.random.Generator, folder: SpeechFolder, speaker: str) -> None:
        self._rng = rng
        self._folder = folder
        self._utterances = folder.speakers[speaker]
        self._waiting: list[str] = []
        self._utterance, self._position, self._length = "", 0, 0

    def take(self, samples: int) -> tuple[Piece, ...]:
        """Return the next `samples` samples as pieces of utterances."""
        pieces = []
        while samples:
            if self._position == self._length:
                if not self._waiting:
                    self._waiting = [self._utterances[i] for i in self._rng.permutation(len(self._utterances))]
                self._utterance = self._waiting.pop()
                self._position, self._length = 0, self._folder.length(self._utterance)
            length = min(samples, self._length - self._position)
            pieces.append(Piece(self._utterance, self._position, length))
            self._position += length
            samples -= length
        return tuple(pieces)


class Conversation:
    """Speech laid out on a timeline; the samples are read when they are asked for.

    Args:
        rng: draws which utterances are said.
        folder: of the speakers.
        speakers: one per source, in the order of the sources.
        turns: who speaks when (`slotaudio.data.timeline.draw_timeline`).
        seconds: length of the recording.
        loudness: in dB, of each speaker's speech.
        name: of the recording.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        folder: SpeechFolder,
        speakers: Sequence[str],
        turns: Sequence[Turn],
        seconds: float,
        loudness: Mapping[str, float],
        name: str = "conversation",
    ) -> None:
        self.name = name
        self.folder = folder
        self.speakers = tuple(speakers)
        self.turns = tuple(sorted(turns))
        self.loudness = dict(loudness)
        self.sample_rate = folder.rate
        self.samples = round(seconds * folder.rate)
        reels = {speaker: Reel(rng, folder, speaker) for speaker in self.speakers}
        self.pieces = tuple(reels[turn.speaker].take(self._last(turn) - self._first(turn)) for turn in self.turns)
        self._rendered: dict[int, Float[np.ndarray, "time"]] = {}

    def sources(self, start: int = 0, stop: int | None = None) -> Float[Tensor, "sources channels time"]:
        """Return the samples from `start` to `stop` of every speaker; in any order, but cheapest on end.

        Raises:
            UnreadableUtterance: see `SpeechFolder.read`.
        """
        stop = self.samples if stop is None else min(stop, self.samples)
        waves = np.zeros((len(self.speakers), stop - start), dtype=np.float32)
        heard = [n for n, turn in enumerate(self.turns) if self._first(turn) < stop and self._last(turn) > start]
        for number in heard:
            turn = self.turns[number]
            first, last = max(start, self._first(turn)), min(stop, self._last(turn))
            offset = self._first(turn)
            waves[self.speakers.index(turn.speaker), first - start : last - start] = self._turn(number)[
                first - offset : last - offset
            ]
        self._rendered = {n: wave for n, wave in self._rendered.items() if self._last(self.turns[n]) > stop}
        return rearrange(torch.from_numpy(waves), "sources time -> sources 1 time")

    def blocks(
        self, seconds: float = 10.0
    ) -> Iterator[tuple[Float[Tensor, "channels time"], Float[Tensor, "sources channels time"]]]:
        """Yield mixture and sources block by block, in constant memory."""
        size = round(seconds * self.sample_rate)
        for start in range(0, self.samples, size):
            sources = self.sources(start, start + size)
            yield sources.sum(0), sources

    def metadata(self) -> dict[str, Any]:
        """Return the name, the speakers, the turns and how much they overlap."""
        return {
            "id": self.name,
            "speakers": self.speakers,
            "active": len(self.speakers),
            "turns": self.turns,
            "overlap": overlap_of(self.turns),
        }

    def write(self, folder: str | Path, force: bool = False) -> None:
        """Write ``mixture.flac``, ``source_1.flac``, ... and ``timeline.rttm`` to a folder, in constant memory.

        The files are of 24 bit, so that the sum of the written sources is the written mixture but for
        rounding.

        Raises:
            AudioFileError: a file exists (without `force`) or cannot be written.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        names = ["mixture.flac", *(f"source_{n}.flac" for n in range(1, len(self.speakers) + 1))]
        with ExitStack() as stack:
            writers = [
                stack.enter_context(AudioWriter(path / name, self.sample_rate, 1, "PCM_24", force)) for name in names
            ]
            for mixture, sources in self.blocks():
                for writer, wave in zip(writers, [mixture, *sources], strict=True):
                    writer.write(wave)
        write_rttm(path / "timeline.rttm", self.turns)

    def _first(self, turn: Turn) -> int:
        return min(round(turn.start * self.sample_rate), self.samples)

    def _last(self, turn: Turn) -> int:
        return min(round(turn.end * self.sample_rate), self.samples)

    def _turn(self, number: int) -> Float[np.ndarray, "time"]:
        """The samples of one turn, faded at every cut and at the speaker's loudness."""
        if number not in self._rendered:
            parts = [self._faded(piece) for piece in self.pieces[number]]
            wave = np.concatenate(parts)
            level = self.loudness[self.turns[number].speaker]
            factor = 10 ** ((level - active_level(wave, self.sample_rate)) / 20)
            peak = float(np.abs(wave).max(initial=0.0))
            self._rendered[number] = wave * np.float32(min(factor, PEAK / _AT_ONCE / peak) if peak > 0 else 1.0)
        return self._rendered[number]

    def _faded(self, piece: Piece) -> Float[np.ndarray, "time"]:
        wave = self.folder.read(piece.utterance, piece.start, piece.length)
        ramp = np.linspace(0, 1, min(round(_FADE_SECONDS * self.sample_rate), wave.size // 2), dtype=np.float32)
        wave[: ramp.size] *= ramp
        wave[wave.size - ramp.size :] *= ramp[::-1]
        return wave
