"""The order of outputs with hindsight: voices are known from all of a recording before anybody is moved."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot, pad

from slotaudio.separation.doubt import Stretch, merged
from slotaudio.separation.identity import VoiceMemory, hop_samples
from slotaudio.separation.orders import MOST_ORDERED, Orders
from slotaudio.separation.segments import energies, exchanged, quiet_frames, segment_frames
from slotaudio.separation.turns import AUDIBLE, KNOWN
from slotaudio.types import Matcher

_AT_ONCE = 4
"""Segments that are described at once."""
_TRUST, _LAPSE = 0.4, 0.1
"""As in `TurnFollower`."""
_ROUNDS = 10
"""Times at most that voices are learnt from the orders, and orders from the voices."""
_DOUBTED_LAPSE, _DOUBT = 0.3, 0.12
"""For doubts, how rarely voices change places; and how likely another order is, from which on a segment is doubtful."""


@dataclass(frozen=True)
class HindsightOrder:
    """The order of one recording's outputs from cut to cut."""

    sample_rate: int
    """In hertz."""
    cuts: Int[Tensor, " cuts"]
    """Samples with which the next order begins."""
    orders: Int[Tensor, "segments slots"]
    """For each output the one that goes there, one order more than cuts."""
    doubtful: list[Stretch]
    """Where voices may be in the wrong place even so."""

    @classmethod
    def unchanged(cls, sample_rate: int, slots: int) -> "HindsightOrder":
        """Return the order in which all outputs stay where they are."""
        return cls(sample_rate, torch.zeros(0, dtype=torch.long), torch.arange(slots)[None], [])

    @property
    def changes(self) -> bool:
        """Whether any output goes anywhere else."""
        return bool((self.orders != torch.arange(self.orders.shape[1])).any())

    def at(self, seconds: Float[Tensor, " times"]) -> Int[Tensor, "times slots"]:
        """Return, for each output, the one that goes there at these times."""
        return self.orders[torch.bucketize(seconds * self.sample_rate, self.cuts, right=True)]

    def applied(
        self, waves: Float[Tensor, "slots channels time"], start: int = 0
    ) -> Float[Tensor, "slots channels time"]:
        """Return outputs in order, with short cross-fades; `start` is the number of the first sample."""
        return exchanged(waves[None], self.cuts[None], self.orders[:, None], self.sample_rate, start)[0]


class Hindsight:
    """Listen to outputs as they come, and decide about their order when all of them were heard.

    Outputs are cut at the quietest frame of every half second, as `slotaudio.separation.turns` does. What voices are
    like is learnt from all segments by how probable their orders are, and how probable orders are from the voices, in
    turns (expectation maximisation of a hidden Markov model). An hour of two outputs takes three megabytes.

    Args:
        matcher: the one the model was trained with; only orders that it can give are considered.
        sample_rate: of the outputs, in hertz.
    """

    def __init__(self, matcher: Matcher, sample_rate: int) -> None:
        self.matcher = matcher
        self.sample_rate = sample_rate
        self.hop = hop_samples(sample_rate)
        self.segment = segment_frames(sample_rate)
        self._hearing = VoiceMemory(sample_rate, audible=AUDIBLE)
        self._waves: Float[Tensor, "batch slots channels time"] | None = None
        self._samples = 0
        self._frames = 0  # before those of the waves
        self._said: list[Float[Tensor, "batch slots segments statistics"]] = []  # from cut to cut
        self._cuts: list[Int[Tensor, "batch segments"]] = []
        self._since: Float[Tensor, "batch slots statistics"] | None = None  # the last cut

    def push(self, outputs: Float[Tensor, "batch slots channels time"]) -> None:
        """Take the next samples of all outputs."""
        self._samples += outputs.shape[-1]
        self._waves = outputs if self._waves is None else torch.cat([self._waves, outputs], dim=-1)
        frames = _AT_ONCE * self.segment
        while self._waves.shape[-1] >= (frames + 1) * self.hop:
            self._hear(self._waves[..., : (frames + 1) * self.hop], _AT_ONCE)
            self._waves = self._waves[..., frames * self.hop :]
            self._frames += frames

    def finish(self) -> None:
        """Hear the rest, which is less than two seconds."""
        if self._waves is not None and self._waves.shape[-1] >= 2 * self.hop:
            frames = self._waves.shape[-1] // self.hop - 1
            self._hear(self._waves, frames // self.segment)

    def _hear(self, waves: Float[Tensor, "batch slots channels time"], count: int) -> None:
        """Describe all frames, cut so many times."""
        said = self._hearing.frames(waves)
        if count == 0:
            rest = said.sum(dim=2)
            self._since = rest if self._since is None else self._since + rest
            return
        cuts = quiet_frames(energies(waves, self.hop), self.segment, count)
        total = pad(said.cumsum(dim=2), (0, 0, 1, 0))
        at = total[torch.arange(len(total))[:, None], :, cuts].transpose(1, 2)  # batch slots cuts statistics
        since = torch.zeros_like(at[:, :, 0]) if self._since is None else self._since
        first = at[:, :, :1] + since[:, :, None]
        self._said.append(torch.cat([first, at[:, :, 1:] - at[:, :, :-1]], dim=2))
        self._cuts.append((cuts + 1 + self._frames) * self.hop)
        self._since = total[:, :, -1] - at[:, :, -1]

    def decide(self, outputs: Sequence[int], recording: int = 0) -> HindsightOrder:
        """Return, after `finish`, the order of all outputs, of which only some change places.

        Nobody does before each of them was heard for some seconds (`slotaudio.separation.turns.KNOWN`), nor do more
        than `slotaudio.separation.orders.MOST_ORDERED`.

        Args:
            outputs: those that hold a source: others sound like everybody.
            recording: of the batch.
        """
        slots = 0 if self._waves is None else self._waves.shape[1]
        stay = HindsightOrder.unchanged(self.sample_rate, slots)
        if not self._said or self._since is None or not 2 <= len(outputs) <= MOST_ORDERED:
            return stay
        kept = torch.tensor(list(outputs))
        said = torch.cat([*(piece[recording] for piece in self._said), self._since[recording, :, None]], dim=1)
        said = rearrange(said.cpu()[kept], "slots segments d -> segments slots d")
        if float(self._voices(said).seconds().min()) < KNOWN:
            return stay
        cuts = torch.cat([piece[recording] for piece in self._cuts]).cpu()
        chosen = self._ordered(said)
        orders = stay.orders.repeat(len(said), 1)
        orders[:, kept] = kept[chosen]
        said = said[torch.arange(len(said))[:, None], chosen]
        likely = self._weighed(said, self._voices(said), _DOUBTED_LAPSE)[:, 0]
        edges = [0, *cuts.tolist(), self._samples]
        stretches = [
            (edges[segment] / self.sample_rate, edges[segment + 1] / self.sample_rate)
            for segment in (likely < 1 - _DOUBT).nonzero()[:, 0].tolist()
        ]
        return HindsightOrder(self.sample_rate, cuts, orders, merged(stretches))

    def _ordered(self, said: Float[Tensor, "segments slots statistics"]) -> Int[Tensor, "segments slots"]:
        orders = Orders(self.matcher).possible(said.shape[1])
        probable = one_hot(torch.zeros(len(said), dtype=torch.long), len(orders)).to(said)
        for _ in range(_ROUNDS):
            before = probable
            mixed = einsum(probable, said[:, orders], "segments p, segments p o d -> segments o d")
            probable = self._weighed(said, self._voices(mixed), _LAPSE)
            if float((probable - before).abs().max()) < 1e-3:
                break
        return orders[probable.argmax(dim=1)]

    def _voices(self, said: Float[Tensor, "segments outputs statistics"]) -> VoiceMemory:
        voices = VoiceMemory(self.sample_rate)
        voices.remember(said.sum(dim=0)[None])
        return voices

    def _weighed(
        self, said: Float[Tensor, "segments slots statistics"], voices: VoiceMemory, lapse: float
    ) -> Float[Tensor, "segments orders"]:
        """Return how probable each order is in each segment."""
        weights, slots = Orders(self.matcher), said.shape[1]
        orders = weights.possible(slots)
        evidence = voices.evidence(rearrange(said, "segments slots d -> 1 (segments slots) d"))
        evidence = rearrange(evidence, "1 (segments slots) o -> segments 1 slots o", slots=slots)
        heard = _TRUST * evidence[:, :, orders, torch.arange(slots)].sum(dim=-1)
        moves = (1 - lapse) * torch.eye(len(orders)) + lapse / len(orders)
        return weights.weigh(moves.log().expand(len(said), 1, -1, -1), heard)[:, 0]
