"""A corpus separated by any number of workers: none does what another did, and none's death loses a recording."""

import csv
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from slotaudio.errors import SlotaudioError, UserError
from slotaudio.writing import replacing

COLUMNS = ("path", "file", "mixture_path")
"""A list in CSV names its recordings in the first of these columns that it has."""

Work = Callable[[Path, Path, bool], Sequence[Path]]
"""Separates a recording into a folder, replacing outputs or not, and returns their paths."""


@dataclass(frozen=True)
class Recording:
    """One line of a list."""

    path: Path
    name: str
    """Its path below the folder that all recordings of the list share; that of its outputs, too."""


@dataclass(frozen=True)
class Outcome:
    """What became of one recording."""

    recording: Recording
    outputs: tuple[Path, ...] = ()
    error: Exception | None = None
    before: bool = False
    """It was done already, or by another worker."""


def read_list(path: str | os.PathLike[str]) -> list[Recording]:
    """Read a list of recordings: a line each, or a CSV file with one of the columns `COLUMNS`.

    Paths are relative to the list's own folder; empty lines and lines that start with # do not count.

    Raises:
        UserError: the list cannot be read or is empty, its recordings are on several drives, or two of them would have
            the same outputs.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows marks its text files
    except OSError as error:
        raise UserError(f"the list {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(
            f"the list {path} is no text in UTF-8: give a file with a path in each line, or a CSV; recordings "
            "themselves are named without --list"
        ) from None
    if path.suffix.lower() == ".csv":
        lines = _column(path, text)
    else:
        lines = [line for line in text.splitlines() if not line.startswith("#")]
    names = [line.strip() for line in lines if line.strip()]
    files = list(dict.fromkeys(Path(os.path.abspath(path.parent / name)) for name in names))
    if not files:
        raise UserError(f"the list {path} names no recordings")
    try:
        shared = Path(os.path.commonpath([file.parent for file in files]))
    except ValueError:  # on Windows
        raise UserError(f"the list {path} names recordings on several drives: make a list of each") from None
    recordings = [Recording(file, file.relative_to(shared).as_posix()) for file in files]
    seen: dict[str, Recording] = {}
    for recording in recordings:
        twin = seen.setdefault(os.path.splitext(recording.name)[0].casefold(), recording)
        if twin is not recording:
            raise UserError(f"{twin.path} and {recording.path} would have the same outputs; put them in two lists")
    return recordings


def shard(recordings: Sequence[Recording], text: str) -> list[Recording]:
    """Return the part of a list that ``"2/8"``, the second of eight, stands for: every eighth recording.

    Raises:
        UserError: not of this form.
    """
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise UserError(f"--shard {text!r}: write I/N with I from 1 to N, such as 2/8 for the second of eight parts")
    return list(recordings[int(part) - 1 :: int(parts)])


class Corpus:
    """A folder of outputs, and beside them in ``.separated`` what is done and what is being done.

    A worker that takes a recording locks its lock file. The system unlocks it when the worker ends, however it ends,
    and the next one that comes along does the recording again. A recording is done when its record is written, which
    happens last. So workers may start, stop and be killed at any time, on every machine that shares the
    folder (and its locks, as local disks, NFS 4, Lustre and CephFS do; where they do not, give each worker a shard).

    Args:
        folder: of the outputs; made if missing.
        settings: plain values that decide what the outputs are; all workers need the same.
        poll: seconds after which recordings that others are at are looked at again.

    Raises:
        UserError: the folder cannot be written, or was begun with other settings.
    """

    def __init__(self, folder: str | os.PathLike[str], settings: Mapping[str, Any], poll: float = 1.0) -> None:
        self.folder = Path(folder)
        self.records = self.folder / ".separated"
        self.poll = poll
        try:
            self.records.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.records) as probe:
                self.started = os.stat(probe.name).st_mtime  # by the clock of the disk, which all workers share
            before = self._settings(dict(settings))
        except OSError as error:
            raise UserError(f"{self.folder} cannot be written: {error}") from None
        changed = [
            f"{key}: {before.get(key)!r}, now {value!r}" for key, value in settings.items() if before.get(key) != value
        ]
        if changed:
            raise UserError(
                f"{self.folder} was begun with other options; choose another folder, or remove {self.records} to "
                "start anew:\n  " + "\n  ".join(changed)
            )

    def separate(self, recordings: Sequence[Recording], work: Work) -> Iterator[Outcome]:
        """Do whatever nobody has done, and yield what became of each recording, in the order that it is known.

        Recordings that other workers are at come last: should their worker die, this one does them. A recording
        that fails is not tried again before the next start.
        """
        waiting = list(recordings)
        while waiting:
            busy = []
            for recording in waiting:
                try:
                    outcome = self._try(recording, work)
                except OSError as error:  # of the records, as on a full disk; the next start does the recording again
                    outcome = Outcome(recording, error=SlotaudioError(f"{recording.path} was not recorded: {error}"))
                if outcome is None:
                    busy.append(recording)
                else:
                    yield outcome
            if len(busy) == len(waiting):
                time.sleep(self.poll)
            waiting = busy

    def _try(self, recording: Recording, work: Work) -> Outcome | None:
        """Return what became of a recording; None while another worker is at it."""
        known = self._known(recording)
        if known is not None:
            return known
        with _locked(self._beside(recording, ".lock")) as mine:
            if not mine:
                return None
            known = self._known(recording)  # it may just have been done
            if known is not None:
                return known
            mark = self._beside(recording, ".begun")
            begun = mark.exists()  # what a worker began and did not end may be replaced, other people's files may not
            mark.touch()
            try:
                outputs = work(recording.path, (self.folder / recording.name).parent, begun)
            except Exception as error:
                if not begun:
                    mark.unlink()
                told = str(error) if isinstance(error, SlotaudioError) else f"{type(error).__name__}: {error}"
                with suppress(OSError):  # on a full disk the other workers find out for themselves
                    self._write(self._beside(recording, ".failed"), f"{told}\n")
                return Outcome(recording, error=error)
            names = [Path(os.path.relpath(output, self.folder)).as_posix() for output in outputs]
            self._write(self._beside(recording, ".json"), json.dumps({"outputs": names}) + "\n")
            self._beside(recording, ".failed").unlink(missing_ok=True)
            return Outcome(recording, tuple(outputs))

    def _known(self, recording: Recording) -> Outcome | None:
        """Return what earlier or other workers made of a recording; None if it is still to be done."""
        with suppress(OSError, ValueError, KeyError):  # no record
            record = json.loads(self._beside(recording, ".json").read_text(encoding="utf-8"))
            outputs = tuple(self.folder / name for name in record["outputs"])
            if all(output.exists() for output in outputs):
                return Outcome(recording, outputs, before=True)
        with suppress(OSError):
            failed = self._beside(recording, ".failed")
            if failed.stat().st_mtime >= self.started:
                error = SlotaudioError(failed.read_text(encoding="utf-8").strip())
                return Outcome(recording, error=error, before=True)
        return None

    def _beside(self, recording: Recording, suffix: str) -> Path:
        return self.records / f"{recording.name}{suffix}"

    def _settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the settings that the folder was begun with, which are these if it is new."""
        path = self.records / "settings"
        with _locked(self.records / "settings.lock", wait=True):
            if not path.exists():
                self._write(path, json.dumps(settings) + "\n")
            return dict(json.loads(path.read_text(encoding="utf-8")))

    def _write(self, path: Path, text: str) -> None:
        with replacing(path) as partial:
            partial.write_text(text, encoding="utf-8")


@contextmanager
def _locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Lock a file until the block, or this process, ends; yield whether that was possible."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _column(path: Path, text: str) -> list[str]:
    rows = csv.DictReader(text.splitlines())
    column = next((name for name in COLUMNS if name in (rows.fieldnames or ())), None)
    if column is None:
        raise UserError(f"the list {path} has none of the columns {', '.join(COLUMNS)}; it has {rows.fieldnames}")
    return [row[column] or "" for row in rows]
