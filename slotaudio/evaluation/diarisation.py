"""Diarisation error rate: for how much of the speech the wrong speaker, none or one too many is named."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment

from slotaudio.errors import UserError
from slotaudio.rttm import Turn


@dataclass(frozen=True)
class DiarisationError:
    """Seconds of each error; two speakers at once count twice."""

    missed: float
    """Speech of which nobody is named."""
    false_alarm: float
    """Somebody is named who, or beside those who, speak."""
    confusion: float
    """The wrong speaker is named."""
    total: float
    """Speech of the reference."""
    speakers: dict[str, str]
    """For every named speaker the true one that it stands for; those without one are left out."""

    @property
    def rate(self) -> float:
        """All errors relative to the speech; nan where there is none."""
        return (self.missed + self.false_alarm + self.confusion) / self.total if self.total else float("nan")


def diarisation_error(
    reference: Sequence[Turn], found: Sequence[Turn], collar: float = 0.0, skip_overlap: bool = False
) -> DiarisationError:
    """Compare who was found to speak when with who does.

    Speakers are mapped one to one, in the way that names the most speech rightly. The measure of NIST's Rich
    Transcription evaluations (RT-09 evaluation plan, section 6), of one recording; sums of the parts over several
    recordings give their common rate.

    Args:
        collar: seconds on either side of every beginning and end of a true turn that do not count; NIST's is 0.25.
        skip_overlap: do not count when several speak.

    Raises:
        UserError: a negative collar, or turns of several recordings.
    """
    if collar < 0:
        raise UserError(f"a collar of {collar} s: give 0 or more")
    for kind in (reference, found):
        names = sorted({turn.recording for turn in kind})
        if len(names) > 1:
            raise UserError(f"turns of several recordings ({', '.join(names)}): compare one recording at a time")
    true_edges = [edge for turn in reference for edge in (turn.start, turn.end)]
    unscored = [Turn(edge - collar, 2 * collar, "") for edge in true_edges] if collar else []
    edges = np.unique([edge for turn in (*reference, *found, *unscored) for edge in (turn.start, turn.end)] or [0.0])
    true_names, true = _speaking(reference, edges)
    found_names, named = _speaking(found, edges)
    speaking, naming = true.sum(axis=1), named.sum(axis=1)
    length = np.diff(edges)
    for turn in unscored:
        length[np.searchsorted(edges, turn.start) : np.searchsorted(edges, turn.end)] = 0
    if skip_overlap:
        length = np.where(speaking > 1, 0, length)
    common = (named * length[:, None]).T.astype(np.float64) @ true
    rows, columns = linear_sum_assignment(common, maximize=True)
    right = float(common[rows, columns].sum())
    return DiarisationError(
        missed=float(length @ np.maximum(0, speaking - naming)),
        false_alarm=float(length @ np.maximum(0, naming - speaking)),
        confusion=max(0.0, float(length @ np.minimum(speaking, naming)) - right),
        total=float(length @ speaking),
        speakers={
            found_names[row]: true_names[column]
            for row, column in zip(rows, columns, strict=True)
            if common[row, column] > 0
        },
    )


def _speaking(
    turns: Sequence[Turn], edges: Float[np.ndarray, " edges"]
) -> tuple[list[str], Bool[np.ndarray, "intervals speakers"]]:
    """Return the speakers, and who of them speaks between each edge and the next."""
    names = sorted({turn.speaker for turn in turns})
    speaking = np.zeros((max(0, len(edges) - 1), len(names)), bool)
    for turn in turns:
        start, stop = np.searchsorted(edges, [turn.start, turn.end])
        speaking[start:stop, names.index(turn.speaker)] = True
    return names, speaking
