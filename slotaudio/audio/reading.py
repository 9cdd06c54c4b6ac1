"""Reading WAV, FLAC, OGG and MP3: whole, in stretches, or block by block in constant memory."""

import contextlib
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.audio.mp3 import decoder_silenced, has_index, is_mp3
from slotaudio.audio.opening import open_file, promised
from slotaudio.errors import AudioFileError

Pathlike = str | os.PathLike[str]

LOUDEST = 1e6
"""Samples beyond this are damage, not sound; their energy would overflow."""

_STEP = 4096
_RATES = range(1000, 768_001)
_READS = "slotaudio reads WAV, FLAC, OGG and MP3"
_EXPLAINED = "start/separate#what-can-be-read"
_CURE = "fetch it again, or export what can be played from an audio editor"


@dataclass(frozen=True)
class AudioInfo:
    """What the header of an audio file says."""

    path: Path
    sample_rate: int
    channels: int
    frames: int | None
    """Samples per channel; None where the header does not say: an MP3 file without an index, a FLAC file that was
    written to a pipe. `AudioReader.count` decodes such a file."""
    format: str
    subtype: str

    @property
    def depth(self) -> str:
        """The subtype that loses nothing of this file's resolution: 16 bit, 24 bit or float."""
        if self.subtype in ("FLOAT", "DOUBLE"):
            return "FLOAT"
        return "PCM_24" if self.subtype in ("PCM_24", "PCM_32", "ALAC_24", "ALAC_32") else "PCM_16"


class AudioReader:
    """An open audio file: `info`, and the wave in blocks, or any stretch of it.

    Args:
        path: WAV, FLAC, OGG or MP3.
        block: samples per block.

    Raises:
        AudioFileError: missing, a directory, empty, no audio, no channels or no samples;
            while reading: cut off, damaged data, or samples that are not finite.
    """

    def __init__(self, path: Pathlike, block: int = 65536) -> None:
        self.path = Path(path)
        self.block = block
        _check_path(self.path)
        self._mp3 = is_mp3(self.path)
        with self._quietly():
            try:
                self._file, self._bytes = open_file(self.path, callbacks=self._mp3)
            except soundfile.LibsndfileError as error:
                why = _why_unreadable(self.path, error)
                raise AudioFileError(f"{self.path} cannot be read: {why}", page=_EXPLAINED) from None
        file = self._file
        tells = file.counted and (file.format != "MP3" or has_index(self.path))
        self.info = AudioInfo(
            self.path,
            file.samplerate,
            file.channels,
            promised(file) if tells else None,
            "WAV" if file.format == "RAW" else file.format,  # see open_file
            file.subtype,
        )
        try:
            _check_header(self.info)
        except AudioFileError:
            self.close()
            raise

    def __enter__(self) -> "AudioReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._bytes.close()

    def __iter__(self) -> Iterator[Float[Tensor, "channels time"]]:
        """Yield the whole file block by block, from its start."""
        self._seek(0)
        empty = True
        for wave in self._rest(0):
            if wave.shape[-1]:
                empty = False
                yield wave
        if empty:
            raise AudioFileError(f"{self.path} holds no samples")

    def count(self) -> int:
        """Return the samples per channel: what the header says, or, if it does not, after decoding all of them.

        Raises:
            AudioFileError: as for the class.
        """
        return sum(wave.shape[-1] for wave in self) if self.info.frames is None else self.info.frames

    def read(self, start: int = 0, stop: int | None = None) -> Float[Tensor, "channels time"]:
        """Read samples `start` to `stop` (the end by default) without decoding the rest.

        Raises:
            AudioFileError: the file ends before `stop`, or as for the class.
        """
        if self.info.frames and start > self._file.frames:
            raise self._ends_early(self._file.frames, max(start, self.info.frames))
        self._seek(start)
        if stop is None:
            return torch.cat(list(self._rest(start)), dim=1)
        wave = self._read(stop - start, start)
        if wave.shape[-1] < stop - start:
            raise self._ends_early(start + wave.shape[-1], max(stop, self.info.frames or 0))
        return wave

    def _rest(self, position: int) -> Iterator[Float[Tensor, "channels time"]]:
        block = self.block
        while True:
            try:
                wave = self._read(block, position)
            except AudioFileError:
                if block <= _STEP or not self._goes_back(position):
                    raise
                block = _STEP  # once more, in small steps, to get near the damage
                continue
            yield wave  # of no samples at the end, but of the right shape
            if not wave.shape[-1]:
                break
            position += wave.shape[-1]
        slack = self.info.sample_rate // 2 if self.info.format == "MP3" else 0  # its decoders round
        if self.info.frames is not None and position < self.info.frames - slack:
            raise self._ends_early(position, self.info.frames)
        # libsndfile guesses how long an MP3 file without an index is, and stops there
        guessed = self.info.format == "MP3" and self.info.frames is None
        if guessed and self.path.stat().st_size - self._bytes.tell() > 4096:
            raise AudioFileError(
                f"{self.path} has no index, so that only its first {position / self.info.sample_rate:.2f} s can be "
                f"decoded; convert it first: {_conversion(self.path)}",
                page=_EXPLAINED,
            )

    def _goes_back(self, position: int) -> bool:
        try:
            self._seek(position)
        except AudioFileError:
            return False
        return True

    def _seek(self, position: int) -> None:
        try:
            self._file.seek(position)
        except soundfile.LibsndfileError:
            seconds = position / self.info.sample_rate
            found = f"ends before {seconds:.2f} s, or is damaged there" if position else "holds no samples to be read"
            raise AudioFileError(f"{self.path} {found}: {_CURE}", page=_EXPLAINED) from None

    def _read(self, count: int, position: int) -> Float[Tensor, "channels time"]:
        with self._quietly():
            try:
                samples = self._file.read(count, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                raise AudioFileError(
                    f"{self.path} is damaged or cut off after {position / self.info.sample_rate:.2f} s: {_CURE}",
                    page=_EXPLAINED,
                ) from None
        wave = torch.from_numpy(samples).mT.contiguous()
        check_finite(wave, str(self.path), position, self.info.sample_rate)
        return wave

    def _quietly(self) -> contextlib.AbstractContextManager[None]:
        return decoder_silenced() if self._mp3 else contextlib.nullcontext()

    def _ends_early(self, found: int, wanted: int) -> AudioFileError:
        rate = self.info.sample_rate
        return AudioFileError(
            f"{self.path} is truncated: {found / rate:.2f} s of {wanted / rate:.2f} s are there; {_CURE}",
            page=_EXPLAINED,
        )


def read(path: Pathlike, start: int = 0, stop: int | None = None) -> tuple[Float[Tensor, "channels time"], int]:
    """Return a wave, or the stretch of it between two samples, and its sample rate.

    Raises:
        AudioFileError: see `AudioReader`.
    """
    with AudioReader(path) as reader:
        return reader.read(start, stop), reader.info.sample_rate


def info(path: Pathlike) -> AudioInfo:
    """Return what the header of an audio file says.

    Raises:
        AudioFileError: see `AudioReader`.
    """
    with AudioReader(path) as reader:
        return reader.info


def check_finite(wave: Float[Tensor, "*axes time"], name: str, position: int, sample_rate: int) -> None:
    """Refuse NaN, infinite and absurdly large samples.

    Raises:
        AudioFileError: says where the first of them is.
    """
    if wave.numel() == 0:
        return
    bad = ~(wave.abs() <= LOUDEST)  # the negation is what catches NaN
    if bad.any():
        first = int(bad.reshape(-1, wave.shape[-1]).any(dim=0).to(torch.uint8).argmax()) + position
        raise AudioFileError(
            f"{name} holds samples that are NaN, infinite or beyond {LOUDEST:g}, the first at "
            f"{first / sample_rate:.3f} s: export it again from where it came"
        )


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise AudioFileError(f"{path} is a directory, not an audio file: name the files in it, such as {path}/*.wav")
    if not path.exists():
        raise AudioFileError(f"{path} does not exist")
    if not path.is_file():
        raise AudioFileError(f"{path} is not a regular file; `slotaudio stream` takes raw samples from a pipe")
    try:
        with open(path, "rb") as file:
            if not file.read(1):
                raise AudioFileError(f"{path} is empty (0 bytes)")
    except OSError as error:
        raise AudioFileError(f"{path} cannot be read: {error.strerror}") from None


def _why_unreadable(path: Path, error: Exception) -> str:
    detail = getattr(error, "error_string", None) or str(error)
    return (
        f"it is no audio file, its header is damaged, or its format is another ({detail.rstrip('.')}); {_READS}, and "
        f"what else a player plays has to be converted first: {_conversion(path)}"
    )


def _conversion(path: Path) -> str:
    """Return a command that can be typed as it is, whatever the name of the file."""
    name = f"{path.stem}-converted.wav" if path.suffix.lower() == ".wav" else f"{path.stem}.wav"
    return shlex.join(["ffmpeg", "-i", str(path), str(path.with_name(name))])


def _check_header(info: AudioInfo) -> None:
    if info.sample_rate not in _RATES:
        raise AudioFileError(
            f"{info.path}: a sample rate of {info.sample_rate} Hz is outside {_RATES[0]} to {_RATES[-1]} Hz"
        )
    if info.frames == 0:
        raise AudioFileError(f"{info.path} holds no samples (a header and nothing after it)")
