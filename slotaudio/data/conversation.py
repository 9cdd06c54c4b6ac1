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
from slotaudio.data.surroundings import in_room
from slotaudio.data.timeline import overlap_of
from slotaudio.rttm import Turn, write_rttm

_FADE_SECONDS = 0.005
_AT_ONCE = 2


@dataclass(frozen=True)
class Piece:
    """A stretch of an utterance, at a speed; `start` and `length` are of what is heard then."""

    utterance: str
    start: int
    length: int
    speed: float = 1.0


@dataclass(frozen=True, eq=False)
class Voice:
    """Somebody who takes part.

    Args:
        speaker: a folder of the speech.
        loudness: in dB, of the speech.
        speed: of the speech.
        response: of the room from where the speaker is to where it is heard; None for no room.
    """

    speaker: str
    loudness: float
    speed: float = 1.0
    response: Float[np.ndarray, "taps"] | None = None

    @property
    def tail(self) -> int:
        """Samples that the room rings on after the voice."""
        return 0 if self.response is None else self.response.size - 1 - int(np.abs(self.response).argmax())


class Reel:
    """The utterances of a speaker on end, in random order, over and over.

    What a speaker says goes on from turn to turn, and is heard again only when all of it was.
    """

    def __init__(self, rng: np.random.Generator, folder: SpeechFolder, voice: Voice) -> None:
        self._rng = rng
        self._folder = folder
        self._speed = voice.speed
        self._utterances = folder.speakers[voice.speaker]
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
                self._position, self._length = 0, self._folder.length(self._utterance, self._speed)
            length = min(samples, self._length - self._position)
            pieces.append(Piece(self._utterance, self._position, length, self._speed))
            self._position += length
            samples -= length
        return tuple(pieces)


class Conversation:
    """Speech laid out on a timeline; the samples are read when they are asked for.

    Args:
        rng: draws which utterances are said.
        folder: of the speakers.
        voices: one per source, in the order of the sources.
        turns: who speaks when (`slotaudio.data.timeline.draw_timeline`).
        seconds: length of the recording.
        noise: around the voices, back and forth; the mixture has it, the sources do not. All of the recording gets
            softer if noise and voices together could pass a peak of 0.9.
        name: of the recording.
        drawn: more to say in the metadata.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        folder: SpeechFolder,
        voices: Sequence[Voice],
        turns: Sequence[Turn],
        seconds: float,
        noise: Float[np.ndarray, "time"] | None = None,
        name: str = "conversation",
        drawn: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.voices = {voice.speaker: voice for voice in voices}
        self.speakers = tuple(self.voices)
        self.turns = tuple(sorted(turns))
        self.sample_rate = folder.rate
        self.samples = round(seconds * folder.rate)
        self.noise = noise
        self.drawn = dict(drawn or {})
        hum = 0.0 if noise is None else float(np.abs(noise).max(initial=0.0))
        self._factor = np.float32(PEAK / (PEAK + hum))
        reels = {speaker: Reel(rng, folder, voice) for speaker, voice in self.voices.items()}
        self.pieces = tuple(reels[turn.speaker].take(self._last(turn) - self._first(turn)) for turn in self.turns)
        self._rendered: dict[int, Float[np.ndarray, "time"]] = {}

    def sources(self, start: int = 0, stop: int | None = None) -> Float[Tensor, "sources channels time"]:
        """Return the samples from `start` to `stop` of every speaker; in any order, but cheapest on end.

        Raises:
            UnreadableUtterance: see `SpeechFolder.read`.
        """
        stop = self.samples if stop is None else min(stop, self.samples)
        waves = np.zeros((len(self.speakers), stop - start), dtype=np.float32)
        heard = [n for n, turn in enumerate(self.turns) if self._first(turn) < stop and self._silent(turn) > start]
        for number in heard:
            turn = self.turns[number]
            first, last = max(start, self._first(turn)), min(stop, self._silent(turn))
            offset = self._first(turn)
            waves[self.speakers.index(turn.speaker), first - start : last - start] += self._turn(number)[
                first - offset : last - offset
            ]
        self._rendered = {n: wave for n, wave in self._rendered.items() if self._silent(self.turns[n]) > stop}
        return rearrange(torch.from_numpy(waves * self._factor), "sources time -> sources 1 time")

    def mixture(
        self, sources: Float[Tensor, "sources channels time"], start: int = 0
    ) -> Float[Tensor, "channels time"]:
        """Return the mixture of sources that begin at sample `start`: their sum, and the noise."""
        if self.noise is None:
            return sources.sum(0)
        around = np.arange(start, start + sources.shape[-1]) % (2 * self.noise.size)  # there, and back
        stretch = self.noise[np.minimum(around, 2 * self.noise.size - 1 - around)]
        return sources.sum(0) + torch.from_numpy(stretch * self._factor)

    def blocks(
        self, seconds: float = 10.0
    ) -> Iterator[tuple[Float[Tensor, "channels time"], Float[Tensor, "sources channels time"]]]:
        """Yield mixture and sources block by block, in constant memory."""
        size = round(seconds * self.sample_rate)
        for start in range(0, self.samples, size):
            sources = self.sources(start, start + size)
            yield self.mixture(sources, start), sources

    def metadata(self) -> dict[str, Any]:
        """Return the name, the speakers, the turns, how much they overlap, and what else was drawn."""
        return {
            "id": self.name,
            "speakers": self.speakers,
            "active": len(self.speakers),
            "turns": self.turns,
            "overlap": overlap_of(self.turns),
            **self.drawn,
        }

    def write(self, folder: str | Path, force: bool = False) -> None:
        """Write ``mixture.flac``, ``source_1.flac``, ... and ``timeline.rttm`` to a folder, in constant memory.

        The files are of 24 bit, so that the sum of the written sources is the written mixture but for
        rounding, and for the noise.

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

    def _silent(self, turn: Turn) -> int:
        """Where a turn is heard no more: its last sample, and what the room adds."""
        return min(self._last(turn) + self.voices[turn.speaker].tail, self.samples)

    def _turn(self, number: int) -> Float[np.ndarray, "time"]:
        """The samples of one turn, faded at every cut, in the speaker's room and at the speaker's loudness."""
        if number not in self._rendered:
            parts = [self._faded(piece) for piece in self.pieces[number]]
            wave, voice = np.concatenate(parts), self.voices[self.turns[number].speaker]
            if voice.response is not None:
                wave = in_room(wave, voice.response, voice.tail)
            factor = 10 ** ((voice.loudness - active_level(wave, self.sample_rate)) / 20)
            peak = float(np.abs(wave).max(initial=0.0))
            self._rendered[number] = wave * np.float32(min(factor, PEAK / _AT_ONCE / peak) if peak > 0 else 1.0)
        return self._rendered[number]

    def _faded(self, piece: Piece) -> Float[np.ndarray, "time"]:
        wave = self.folder.read(piece.utterance, piece.start, piece.length, piece.speed)
        ramp = np.linspace(0, 1, min(round(_FADE_SECONDS * self.sample_rate), wave.size // 2), dtype=np.float32)
        wave[: ramp.size] *= ramp
        wave[wave.size - ramp.size :] *= ramp[::-1]
        return wave
