"""`SpeechFolder`: single-speaker recordings in one folder per speaker, read in parts."""

import csv
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int16
from scipy.signal import resample_poly

from slotaudio import audio
from slotaudio.audio import AudioReader
from slotaudio.data.bundled import located
from slotaudio.errors import AudioFileError, DataError

SUFFIXES = (".flac", ".wav", ".ogg", ".opus", ".mp3")


class UnreadableUtterance(DataError):
    """One audio file of a data set cannot be used; the others may."""


class SpeechFolder:
    """Recordings in ``speaker/utterance.flac``, or deeper as in LibriSpeech's ``speaker/chapter/``.

    The first folder below `path` is the speaker. Samples are kept to 16 bits whether they come from the
    cache or from the file, so that both give the same mixtures (for Opus, whose decoder needs
    a while to settle after a jump, up to its own coding noise).

    Args:
        path: the folder; ``"bundled:train"`` and ``"bundled:dev"`` are those of the sample that ships with slotaudio.
        rate: samples per second that `read` delivers.
        resample: resample files of other rates; otherwise they are an error.

    Raises:
        DataError: no such folder, no audio below it, audio that no speaker's folder holds, or a file
            of another rate (one file of each speaker is looked at).
    """

    def __init__(self, path: str | Path, rate: int = 16000, resample: bool = False) -> None:
        self.path = located(path)
        self.rate = rate
        self.resample = resample
        self.speakers = find_utterances(self.path)
        self._headers: dict[str, tuple[int, int]] = {}
        self._cached: dict[str, Int16[np.ndarray, "time"]] = {}
        for utterances in self.speakers.values():
            # an unreadable file is reported when it is drawn, where the caller may choose to skip it
            with suppress(UnreadableUtterance):
                self._header(utterances[0])

    def keep(self, speakers: Iterable[str]) -> None:
        """Forget every other speaker."""
        wanted = set(speakers)
        self.speakers = {name: files for name, files in self.speakers.items() if name in wanted}

    def preload(self) -> None:
        """Read every file now and keep it in memory as 16-bit samples, 115 MB per hour at 16 kHz.

        Raises:
            DataError: a file has another rate.
        """
        for utterances in self.speakers.values():
            for utterance in utterances:
                with suppress(UnreadableUtterance):
                    self._cached[utterance] = self._decode(utterance, 0, self._header(utterance)[0])

    def length(self, utterance: str, speed: float = 1.0) -> int:
        """Return how many samples `read` can deliver of an utterance.

        Raises:
            UnreadableUtterance: the file is missing, empty or no audio.
            DataError: it has another rate and `resample` is off.
        """
        frames, rate = self._header(utterance)
        return max(1, int(frames / self._ratio(rate, speed)))

    def read(self, utterance: str, start: int, length: int, speed: float = 1.0) -> Float[np.ndarray, "time"]:
        """Return `length` samples from `start` on, both counted at the delivered rate and speed.

        Raises:
            UnreadableUtterance: the file cannot be decoded, or holds values that are not finite.
        """
        _, rate = self._header(utterance)
        ratio = self._ratio(rate, speed)
        if ratio == 1:
            return self._samples(utterance, start, length)
        first = int(start * ratio)
        wave = self._samples(utterance, first, math.ceil(length * ratio) + 1)
        wave = resample_poly(wave, ratio.denominator, ratio.numerator).astype(np.float32)[:length]
        return np.pad(wave, (0, length - wave.size))

    def _ratio(self, rate: int, speed: float) -> Fraction:
        return Fraction(rate, self.rate) * Fraction(round(speed * 100), 100)

    def _header(self, utterance: str) -> tuple[int, int]:
        """Return frames and rate of a file."""
        if utterance not in self._headers:
            try:
                with AudioReader(self.path / utterance) as reader:
                    frames = reader.info.frames
                    if frames is None:  # MP3 only tells by playing it
                        frames = reader.read().shape[-1]
                    self._headers[utterance] = (frames, reader.info.sample_rate)
            except AudioFileError as error:
                raise UnreadableUtterance(str(error)) from None
        frames, rate = self._headers[utterance]
        if rate != self.rate and not self.resample:
            raise DataError(
                f"{self.path / utterance} has {rate} samples per second, {self.rate} are needed: "
                "convert the files once, or set resample = true where the data set has that option"
            )
        return frames, rate

    def _samples(self, utterance: str, start: int, frames: int) -> Float[np.ndarray, "time"]:
        whole = self._cached.get(utterance)
        wave = self._decode(utterance, start, frames) if whole is None else whole[start : start + frames]
        return wave.astype(np.float32) / 32768

    def _decode(self, utterance: str, start: int, frames: int) -> Int16[np.ndarray, "time"]:
        try:
            wave, _ = audio.read(self.path / utterance, start, min(start + frames, self._header(utterance)[0]))
        except AudioFileError as error:
            raise UnreadableUtterance(str(error)) from None
        return np.rint(wave.mean(dim=0).numpy() * 32768).clip(-32768, 32767).astype(np.int16)


def find_utterances(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the audio files below `path` by speaker, both sorted, as paths relative to it.

    Raises:
        DataError: see `SpeechFolder`.
    """
    if not path.exists():
        raise DataError(f"no such folder: {path}")
    if not path.is_dir():
        raise DataError(f"{path} is a file; a folder with one folder per speaker is needed")
    found: dict[str, list[str]] = {}
    loose = 0
    for folder, _, files in os.walk(path, followlinks=True):
        inside = Path(folder).relative_to(path)
        audio = [file for file in files if file.lower().endswith(SUFFIXES) and not file.startswith(".")]
        if audio and not inside.parts:
            loose = len(audio)
        elif audio:
            found.setdefault(inside.parts[0], []).extend((inside / file).as_posix() for file in audio)
    if not found and loose:
        raise DataError(f"{path} holds {loose} audio files but no folder per speaker: arrange it as speaker/utterance")
    if not found:
        raise DataError(f"no audio below {path}: looked for speaker/utterance with {', '.join(SUFFIXES)}")
    return {speaker: tuple(sorted(found[speaker])) for speaker in sorted(found)}


def read_genders(path: Path) -> Mapping[str, str]:
    """Return the gender of each speaker from a CSV with the columns speaker and gender.

    Raises:
        DataError: the file is missing or lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"speaker", "gender"} - set(rows.fieldnames or ())
            if missing:
                raise DataError(f"{path} lacks the column {' and '.join(sorted(missing))}; it has {rows.fieldnames}")
            return {row["speaker"]: row["gender"] for row in rows}
    except OSError as error:
        raise DataError(f"cannot read the genders from {path}: {error.strerror}") from None
