"""Summaries of recordings of any length: as much as a picture can show, in memory that does not grow."""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.separation.observation import Observation


class Digest:
    """A sequence of arrays, shortened to its averages when it gets long.

    Holds at most `most` entries: when they are full, neighbours are averaged in pairs, and from then on twice as many
    arrays make one entry. What has been seen of an entry that is not complete is averaged, too.

    Args:
        most: entries kept, an even number.
    """

    def __init__(self, most: int = 1024) -> None:
        self.most = most
        self.each = 1
        """How many arrays an entry is the average of; the last may be of fewer."""
        self.seen = 0
        """How many arrays were given."""
        self._full: list[Tensor] = []
        self._sum: Tensor | None = None
        self._waiting = 0

    def push(self, values: Float[Tensor, "*axes"]) -> None:
        """Take the next array; all have one shape."""
        self.seen += 1
        self._sum = values.clone() if self._sum is None else self._sum + values
        self._waiting += 1
        if self._waiting < self.each:
            return
        self._full.append(self._sum / self._waiting)
        self._sum, self._waiting = None, 0
        if len(self._full) == self.most:
            pairs = zip(self._full[::2], self._full[1::2], strict=True)
            self._full = [(first + second) / 2 for first, second in pairs]
            self.each *= 2

    def values(self) -> Float[Tensor, "entries *axes"]:
        """Return all entries in order.

        Raises:
            RuntimeError: nothing was given.
        """
        rest = [] if self._sum is None else [self._sum / self._waiting]
        return torch.stack([*self._full, *rest])


class PowerMap:
    """Power over time and frequency of a wave that comes in blocks, at most so many columns wide.

    Each column is about the 32 ms around its middle; the last 32 ms of a wave may not be drawn.

    Args:
        sample_rate: in hertz.
        columns: at most, an even number; at least half as many once the wave is long enough.
        rows: of equal width, from 0 Hz up to `top`.
        top: highest frequency in hertz; 8 kHz or half the sample rate by default, whichever is less.
    """

    def __init__(self, sample_rate: int, columns: int = 1600, rows: int = 128, top: float | None = None) -> None:
        self.sample_rate = sample_rate
        self.top = min(8000.0, sample_rate / 2) if top is None else top
        self.size = 2 ** round(torch.tensor(sample_rate * 0.032).log2().item())
        self.hop = self.size // 2
        self.received = 0
        self._rows = rows
        self._window = torch.hann_window(self.size)
        self._rest = torch.zeros(self.size // 2)
        self._columns = Digest(columns)

    @property
    def seconds(self) -> float:
        """Length of what was given."""
        return self.received / self.sample_rate

    @property
    def span(self) -> float:
        """Seconds from the left edge of the first column to the right edge of the last."""
        return len(self._values()) * self._columns.each * self.hop / self.sample_rate

    @property
    def column_times(self) -> Float[Tensor, "columns"]:
        """Second in the middle of every column."""
        return (torch.arange(len(self._values())) + 0.5) * self._columns.each * self.hop / self.sample_rate

    def push(self, wave: Float[Tensor, "channels time"]) -> None:
        """Take the next samples; channels are averaged."""
        self.received += wave.shape[-1]
        self._take(torch.cat([self._rest, wave.float().mean(dim=0).cpu()]))

    def power(self) -> Float[Tensor, "rows columns"]:
        """Return the mean power of every cell; columns are of one width."""
        return rearrange(self._values(), "columns rows -> rows columns")

    def _values(self) -> Float[Tensor, "columns rows"]:
        return self._columns.values() if self._columns.seen else torch.zeros(1, self._rows)

    def _take(self, samples: Float[Tensor, "samples"]) -> None:
        count = 1 + (len(samples) - self.size) // self.hop if len(samples) >= self.size else 0
        if count:
            frames = samples[: (count - 1) * self.hop + self.size].unfold(0, self.size, self.hop) * self._window
            power = torch.fft.rfft(frames).abs().square()[:, : 1 + round(self.top / self.sample_rate * self.size)]
            for column in torch.nn.functional.adaptive_avg_pool1d(power, min(self._rows, power.shape[1])):
                self._columns.push(column)
        self._rest = samples[count * self.hop :]


class SlotHistory:
    """An observer that remembers the slots of a whole recording in constant memory; give it to a separator.

    Neighbouring windows are averaged once there are more than `most`.
    """

    def __init__(self, most: int = 1024) -> None:
        self.start: float | None = None
        """Second at which the first window begins; negative for a lead."""
        self.last = 0.0
        self._vectors, self._presence, self._level, self._order = (Digest(most) for _ in range(4))

    def __call__(self, seen: Observation) -> None:
        """Take what was seen in the next window (of one recording)."""
        self.start = seen.start if self.start is None else self.start
        self.last = seen.start
        self._vectors.push(seen.slots.vectors[0].mean(dim=0).float().cpu())
        if seen.slots.presence is not None:
            self._presence.push(seen.slots.presence[0].mean(dim=0).sigmoid().float().cpu())
        if seen.level is not None:
            self._level.push(seen.level[0].mean(dim=0).float().cpu())
        order: Int[Tensor, "slots"] = seen.order[0].cpu()
        self._order.push(torch.nn.functional.one_hot(order, len(order)).float())

    def __len__(self) -> int:
        return self._vectors.seen

    @property
    def vectors(self) -> Float[Tensor, "entries slots dim"]:
        """The slots, in the order of the outputs, one entry for every few windows."""
        return self._vectors.values()

    @property
    def presence(self) -> Float[Tensor, "entries slots"] | None:
        """Probability that a slot is heard; None for models that were not taught to tell."""
        return self._presence.values() if self._presence.seen else None

    @property
    def heard(self) -> Float[Tensor, "entries slots"] | None:
        """How much a slot is heard, 0 to 1: its presence or, without, its level within 40 dB of the loudest moment."""
        if self._presence.seen or not self._level.seen:
            return self.presence
        level = self._level.values()
        return (1 + (level - level.max()) / 40).clamp(0, 1)

    @property
    def shares(self) -> Float[Tensor, "slots slots"]:
        """For every output (row), in which share of the windows it was each of the model's slots (column)."""
        orders = self._order.values()
        weights = torch.full((len(orders),), float(self._order.each))
        weights[-1] = self._order.seen - self._order.each * (len(orders) - 1)
        return torch.einsum("n,nij->ij", weights / weights.sum(), orders)

    def times(self, window: float) -> Float[Tensor, "entries"]:
        """Return the second that each entry is about: the middle of its windows, which last `window` seconds."""
        start = 0.0 if self.start is None else self.start
        hop = (self.last - start) / max(1, len(self) - 1)
        first = torch.arange(len(self._vectors.values())) * self._vectors.each
        last = (first + self._vectors.each).clamp_max(len(self)) - 1
        return start + window / 2 + hop * (first + last) / 2
