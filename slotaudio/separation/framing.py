"""`Framing`: how a recording is cut into windows, and how many of them are taken together."""

from dataclasses import dataclass

from slotaudio.errors import UserError

_EDGE, _AT_ONCE = 0.25, 4.0
"""Seconds of silence at the ends, at most, and of windows that go through a model together."""


@dataclass(frozen=True)
class Framing:
    """How a stream is cut, in samples at the model's rate."""

    window: int
    hop: int
    lead: int
    """Silence put before the recording and after it, so that its ends are not at the ends of a window."""
    at_once: int
    """Windows that go through the model together."""
    together: int
    """Windows that are joined together, so that the order of one is decided by those after it too."""

    @classmethod
    def of(
        cls, window: int, overlap: float, sample_rate: int, at_once: int | None = None, ahead: float = 0.0
    ) -> "Framing":
        """Return windows that share so much of each with the next, a quarter of a second of silence at the ends.

        Args:
            window: in samples.
            overlap: share of a window, 0 to 0.9.
            sample_rate: of the model, in hertz.
            at_once: some four seconds of windows by default.
            ahead: seconds that are heard before anything in them is joined, 0 to 60.

        Raises:
            UserError: one of them outside its range.
        """
        if not 0 <= overlap <= 0.9:
            raise UserError(f"an overlap of {overlap} is outside 0 to 0.9")
        if at_once is not None and at_once < 1:
            raise UserError(f"{at_once} windows at once: give 1 or more")
        if not 0 <= ahead <= 60:
            raise UserError(f"{ahead} seconds ahead are outside 0 to 60")
        hop = max(1, window - round(window * overlap))
        lead = min(window - hop, round(_EDGE * sample_rate))
        at_once = at_once or max(1, round(_AT_ONCE * sample_rate / window))
        return cls(window, hop, lead, at_once, max(at_once, 1 + (round(ahead * sample_rate) - window) // hop))
