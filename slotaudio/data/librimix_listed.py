"""`ListedMixtures`: LibriMix's own mixtures, made from LibriSpeech when they are asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int16

from slotaudio import audio
from slotaudio.data import librimix_arithmetic as arithmetic
from slotaudio.data.librimix_metadata import Row, described, key_of, read_sexes, speaker_of
from slotaudio.data.recordings import UnreadableUtterance
from slotaudio.data.speech import SpeechFolder
from slotaudio.errors import AudioFileError, DataError

Kind = Literal["mix_clean", "mix_both", "mix_single"]


class ListedMixtures:
    """The mixtures of a list, sample for sample those of the official generator, read in stretches.

    Args:
        librispeech: LibriSpeech's root, the folder that holds it, or any folder with one folder per speaker: only the
            names of the files matter.
        rows: see `slotaudio.data.librimix_metadata.read_metadata`.
        rate: samples per second.
        length: ``"max"`` or ``"min"``.
        kind: see `slotaudio.data.librimix.LibriMix`.
        noise: WHAM's root; needed for mixtures with noise.
        noise_source: deliver the noise as one more source.
        metadata: the list's path, beside which the speakers' sexes may be.

    Raises:
        DataError: folders that are missing or of another rate.
    """

    def __init__(
        self,
        librispeech: Path,
        rows: Sequence[Row],
        rate: int,
        length: Literal["max", "min"],
        kind: Kind = "mix_clean",
        noise: Path | None = None,
        noise_source: bool = False,
        metadata: Path | None = None,
    ) -> None:
        self.rate, self.mode, self.kind = rate, length, kind
        self.noise, self.noise_source = noise, noise_source
        root, inside = _root(librispeech, rows)
        self.folder = SpeechFolder(root / inside, arithmetic.RATE)
        self.sexes = read_sexes(metadata, root, librispeech)
        wanted = {key for row in rows for key in row.keys}
        found = ((key_of(path), path) for paths in self.folder.speakers.values() for path in paths)
        self._paths = {key: path for key, path in found if key in wanted}
        self.missing: tuple[str, ...] = tuple(sorted(wanted - self._paths.keys()))
        """Utterances of the list that the folder does not hold; the mixtures that need them are left out."""
        self.missing_noises: tuple[str, ...] = ()
        if noise is not None:
            there = {row.noise for row in rows if (noise / row.noise).is_file()}
            self.missing_noises = tuple(sorted({row.noise for row in rows} - there))
        lost, lost_noises = set(self.missing), set(self.missing_noises)
        self.rows = [row for row in rows if not lost.intersection(row.keys) and row.noise not in lost_noises]
        self.dropped = len(rows) - len(self.rows)
        self.folder.keep_utterances(self._paths[key] for row in self.rows for key in row.keys)

    def complaint(self, metadata: Path) -> str:
        """Say which files are missing, how many, and how many mixtures that costs."""
        files = (
            [f"{len(self.missing)} utterances ({described(self.missing)}) are not in {self.folder.path}"]
            if self.missing
            else []
        )
        if self.missing_noises:
            files.append(
                f"{len(self.missing_noises)} noises ({described(self.missing_noises)}) are not in {self.noise}"
            )
        total = self.dropped + len(self.rows)
        return f"{' and '.join(files)}, so that {self.dropped} of the {total} mixtures of {metadata} cannot be made"

    def __len__(self) -> int:
        return len(self.rows)

    def preload(self) -> None:
        """Keep the utterances in memory, 115 MB per hour."""
        self.folder.preload()

    def length(self, index: int) -> int:
        """Return how many samples a mixture has.

        Raises:
            UnreadableUtterance: a header cannot be read.
        """
        lengths = [arithmetic.resampled_length(frames, self.rate) for frames in self._frames(index)]
        return min(lengths) if self.mode == "min" else max(lengths)

    def read(
        self, index: int, start: int, stop: int
    ) -> tuple[Int16[np.ndarray, "time"], Int16[np.ndarray, "sources time"]]:
        """Return samples `start` to `stop` of a mixture and of its sources, as the generator writes them.

        Raises:
            UnreadableUtterance: a file cannot be read.
        """
        row, frames = self.rows[index], self._frames(index)
        waves = [
            arithmetic.stretch(self._reader(key), length, gain, self.rate, start, stop)
            for key, gain, length in zip(row.keys, row.gains, frames, strict=True)
        ]
        if self.kind == "mix_single":
            waves = waves[:1]
        heard = list(waves)
        if self.noise is not None and self.kind != "mix_clean":
            noise = self._noise(row, max(frames), start, stop)
            heard.append(noise)
            waves += [noise] * self.noise_source
        return arithmetic.pcm16(arithmetic.mix(heard)), np.stack([arithmetic.pcm16(wave) for wave in waves])

    def about(self, index: int) -> Mapping[str, Any]:
        """Return what is known of a mixture."""
        row = self.rows[index]
        keys = row.keys[:1] if self.kind == "mix_single" else row.keys
        speakers = [speaker_of(key) for key in keys]
        extra = [""] * (self.noise_source and self.kind != "mix_clean")
        return {
            "id": row.id,
            "speakers": (*speakers, *extra),
            "genders": (*(self.sexes.get(speaker, "") for speaker in speakers), *extra),
            "utterances": (*keys, *([row.noise] if extra else [])),
        }

    def _frames(self, index: int) -> list[int]:
        return [self.folder.length(self._paths[key]) for key in self.rows[index].keys]

    def _reader(self, key: str) -> arithmetic.Read:
        path = self._paths[key]
        return lambda start, stop: self.folder.read(path, start, stop - start)

    def _noise(self, row: Row, length: int, start: int, stop: int) -> Float[np.ndarray, "time"]:
        assert self.noise is not None
        path = self.noise / row.noise
        try:
            with audio.AudioReader(path) as reader:
                found, frames = reader.info, reader.count()
            if found.sample_rate != arithmetic.RATE:
                raise DataError(
                    f"{path} has {found.sample_rate} samples per second; WHAM's noise has {arithmetic.RATE}"
                )
            if frames >= length:
                return arithmetic.stretch(_first_channel(path), length, row.noise_gain, self.rate, start, stop)
            if frames < arithmetic.LEAST_NOISE:
                raise DataError(
                    f"{path} holds {frames} samples; the generator needs {arithmetic.LEAST_NOISE} to extend it"
                )
            whole = arithmetic.extended(_first_channel(path)(0, frames), length)
        except AudioFileError as error:
            raise UnreadableUtterance(str(error)) from None
        return arithmetic.stretch(lambda a, b: whole[a:b], length, row.noise_gain, self.rate, start, stop)


def _first_channel(path: Path) -> arithmetic.Read:
    return lambda start, stop: audio.read(path, start, stop)[0][0].numpy()


def _root(path: Path, rows: Sequence[Row]) -> tuple[Path, str]:
    """Return LibriSpeech's root and the part of it that holds all utterances, if there is one."""
    parts = {utterance.partition("/")[0] for row in rows for utterance in row.utterances}
    part = parts.pop() if len(parts) == 1 else ""
    for root in (path, path / "LibriSpeech"):
        if part and (root / part).is_dir():
            return root, part
    return path, ""
