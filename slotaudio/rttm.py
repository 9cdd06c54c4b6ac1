"""RTTM: who speaks when, one line per turn (NIST Rich Transcription, RT-09 evaluation plan, appendix A)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from slotaudio.errors import UserError
from slotaudio.writing import replacing

_OTHERS = frozenset(
    [
        "SEGMENT",
        "NOSCORE",
        "NO_RT_METADATA",
        "LEXEME",
        "NON-LEX",
        "NON-SPEECH",
        "FILLER",
        "EDIT",
        "IP",
        "SU",
        "CB",
        "A/P",
        "SPKR-INFO",
    ]
)
"""Types of lines that say nothing about turns."""


@dataclass(frozen=True, order=True)
class Turn:
    """A stretch of time in which one speaker is heard, in seconds."""

    start: float
    duration: float
    speaker: str
    recording: str = "recording"

    @property
    def end(self) -> float:
        """Second at which the turn is over."""
        return self.start + self.duration


def write_rttm(path: str | Path, turns: Iterable[Turn]) -> None:
    """Write turns in order of time; white space in names, which RTTM cannot hold, becomes ``_``, what is no text ``?``.

    Raises:
        UserError: the file cannot be written, or a turn starts or lasts less than nothing.
    """
    lines = []
    for turn in sorted(turns):
        if turn.start < 0 or turn.duration < 0:
            raise UserError(f"RTTM has no negative times: {turn}")
        recording, speaker = ("_".join(name.split()) or "_" for name in (turn.recording, turn.speaker))
        lines.append(f"SPEAKER {recording} 1 {turn.start:.3f} {turn.duration:.3f} <NA> <NA> {speaker} <NA> <NA>\n")
    try:
        with replacing(path) as partial:
            partial.write_text("".join(lines), encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def read_rttm(path: str | Path) -> list[Turn]:
    """Return the turns of a file in order of time; lines of other types than SPEAKER, and comments, are passed over.

    Raises:
        UserError: the file cannot be read, or a line is not RTTM (names the line).
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} as RTTM: {error}") from None
    turns = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0] in _OTHERS or fields[0].startswith(";;"):
            continue
        try:
            if fields[0] != "SPEAKER":
                raise ValueError
            turns.append(Turn(float(fields[3]), float(fields[4]), fields[7], fields[1]))
        except (IndexError, ValueError):
            raise UserError(
                f"{path}, line {number} is not RTTM: expected 'SPEAKER recording channel start duration <NA> <NA> "
                f"speaker <NA> <NA>', found {line!r}"
            ) from None
    return sorted(turns)
