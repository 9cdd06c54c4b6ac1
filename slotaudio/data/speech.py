"""`SpeechFolder`: single-speaker recordings in one folder per speaker, read in parts."""

import csv
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from slotaudio.data.bundled import located
from slotaudio.data.recordings import SUFFIXES, Recordings, UnreadableUtterance
from slotaudio.errors import DataError


class SpeechFolder(Recordings):
    """Recordings in ``speaker/utterance.flac``, or deeper as in LibriSpeech's ``speaker/chapter/``.

    The first folder below `path` is the speaker.

    Args:
        path: the folder; ``"bundled:train"`` and ``"bundled:dev"`` are those of the sample that ships with slotaudio.
        rate: samples per second that `read` delivers.
        resample: resample files of other rates; otherwise they are an error.

    Raises:
        DataError: no such folder, no audio below it, audio that no speaker's folder holds, or a file
            of another rate (one file of each speaker is looked at).
    """

    def __init__(self, path: str | Path, rate: int = 16000, resample: bool = False) -> None:
        super().__init__(located(path), rate, resample)
        self.speakers = find_utterances(self.path)
        for utterances in self.speakers.values():
            # an unreadable file is reported when it is drawn, where the caller may choose to skip it
            with suppress(UnreadableUtterance):
                self.header(utterances[0])

    def keep(self, speakers: Iterable[str]) -> None:
        """Forget every other speaker."""
        wanted = set(speakers)
        self.speakers = {name: files for name, files in self.speakers.items() if name in wanted}

    def keep_utterances(self, utterances: Iterable[str]) -> None:
        """Forget every other utterance, and the speakers who then have none."""
        wanted = set(utterances)
        kept = {name: tuple(file for file in files if file in wanted) for name, files in self.speakers.items()}
        self.speakers = {name: files for name, files in kept.items() if files}

    def preload(self) -> None:
        """Keep every readable file in memory, see `keep_in_memory`.

        Raises:
            DataError: a file has another rate.
        """
        for utterances in self.speakers.values():
            for utterance in utterances:
                with suppress(UnreadableUtterance):
                    self.keep_in_memory([utterance])


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
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"speaker", "gender"} - set(rows.fieldnames or ())
            if missing:
                raise DataError(f"{path} lacks the column {' and '.join(sorted(missing))}; it has {rows.fieldnames}")
            return {row["speaker"]: row["gender"] for row in rows}
    except OSError as error:
        raise DataError(f"cannot read the genders from {path}: {error.strerror}") from None
