"""Following voices from turn to turn: who is found in another output for a while is brought back."""

import torch
from einops import einsum, rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from slotaudio.separation.identity import VoiceMemory, hop_samples
from slotaudio.separation.orders import Orders
from slotaudio.separation.segments import SEGMENT, choice_frames, energies, exchanged, quiet_frames, segment_frames
from slotaudio.types import Matcher

DECIDED = 2
"""Segments that are decided at once."""
KNOWN = 3.0
"""Seconds of a voice after which it is known."""
AUDIBLE = 15.0
"""Decibels below the loudest frame down to which a voice is heard: in noise, what is softer is noise."""


class TurnFollower:
    """Bring voices back that change places inside of windows, which nothing in the overlaps of windows tells.

    Outputs are cut into segments at the quietest frame of every half second. All orders of each segment are weighed
    by whose voices the outputs have in it (`slotaudio.separation.identity.VoiceMemory`) and by how rarely voices
    change places, looking ahead; the voices are learnt from all orders by their probabilities.

    Args:
        matcher: the one the model was trained with; only orders that it can give are considered.
        sample_rate: in hertz.
        ahead: seconds that are heard before what comes before them is decided.
        lapse: share of segments before which any order is as likely as the one taken last.
        trust: of the evidence of voices; what is said in neighbouring segments is alike.
    """

    def __init__(
        self, matcher: Matcher, sample_rate: int, ahead: float = 2.0, lapse: float = 0.1, trust: float = 0.4
    ) -> None:
        self.sample_rate = sample_rate
        self.lapse = lapse
        self.trust = trust
        self.hop = hop_samples(sample_rate)
        self.segment = segment_frames(sample_rate)
        self.foreseen = DECIDED + max(1, round(ahead / SEGMENT))
        self.choice = choice_frames(self.segment)
        self._memory = VoiceMemory(sample_rate, fresh=1.0, audible=AUDIBLE)
        self._weights = Orders(matcher)
        # from half a choice of silence before the next sample that is given back
        self._waves: Float[Tensor, "batch slots channels time"] | None = None
        self._said: Float[Tensor, "batch slots frames statistics"] | None = None
        self._energy: Float[Tensor, "batch frames"] | None = None
        self._order: Int[Tensor, "batch slots"] | None = None  # up to the first cut that is to come
        self._silence = 0  # before the first sample

    @property
    def latency(self) -> float:
        """Seconds that a sample waits at most for others."""
        return (self.foreseen * self.segment + self.choice + 1) * self.hop / self.sample_rate

    def push(
        self, outputs: Float[Tensor, "batch slots channels time"]
    ) -> Float[Tensor, "batch slots channels finished"]:
        """Take the next samples of all outputs and return what is decided, possibly nothing."""
        if self._waves is None:
            self._silence = self.choice // 2 * self.hop
            self._waves = outputs.new_zeros(*outputs.shape[:3], self._silence)
            self._order = repeat(torch.arange(outputs.shape[1]), "slots -> batch slots", batch=len(outputs))
        self._waves = torch.cat([self._waves, outputs], dim=-1)
        pieces = [self._waves[..., :0]]
        # so many frames at a time, however the samples come: what is loud depends on what was heard before
        frames = self.foreseen * self.segment + self.choice
        while self._waves.shape[-1] >= (frames + 1) * self.hop:
            self._hear(frames)
            cuts = self._cuts(self.foreseen + 1)
            orders = self._weigh(cuts, DECIDED)
            done = DECIDED * self.segment
            pieces.append(self._turned(self._waves[..., : done * self.hop], cuts[:, :DECIDED], orders))
            assert self._said is not None
            assert self._energy is not None
            self._waves = self._waves[..., done * self.hop :]
            self._said, self._energy = self._said[:, :, done:], self._energy[:, done:]
        return self._without_silence(torch.cat(pieces, dim=-1))

    def finish(self) -> Float[Tensor, "batch slots channels rest"]:
        """Return the rest."""
        assert self._waves is not None, "finish() before the first push()"
        frames = self._waves.shape[-1] // self.hop - 1
        count = (frames - self.choice) // self.segment + 1
        if count < 1:  # too short to be cut
            return self._without_silence(self._waves)
        self._hear(frames)
        cuts = self._cuts(count)
        orders = self._weigh(torch.cat([cuts, torch.full_like(cuts[:, :1], frames)], dim=1), count)
        return self._without_silence(self._turned(self._waves, cuts, orders))

    def _hear(self, frames: int) -> None:
        """Describe the frames that were not described yet, up to so many."""
        assert self._waves is not None
        known = 0 if self._said is None else self._said.shape[2]
        waves = self._waves[..., known * self.hop : (frames + 1) * self.hop]
        if waves.shape[-1] < 2 * self.hop:
            return
        said = self._memory.frames(waves)
        energy = energies(waves, self.hop)
        self._said = said if self._said is None else torch.cat([self._said, said], dim=2)
        self._energy = energy if self._energy is None else torch.cat([self._energy, energy], dim=1)

    def _cuts(self, count: int) -> Int[Tensor, "batch count"]:
        assert self._energy is not None
        return quiet_frames(self._energy, self.segment, count)

    def _weigh(self, cuts: Int[Tensor, "batch cuts"], decided: int) -> Int[Tensor, "decided batch slots"]:
        """Return the likeliest orders of the first segments between cuts."""
        assert self._said is not None
        total = pad(self._said.cumsum(dim=2), (0, 0, 1, 0))
        batch, slots = total.shape[:2]
        at = total[torch.arange(batch)[:, None], :, cuts]  # batch cuts slots statistics
        said = rearrange(at[:, 1:] - at[:, :-1], "batch segments slots d -> segments batch slots d")
        orders = self._weights.possible(slots).to(said.device)
        heard = said.new_zeros(len(said), batch, len(orders))
        known = said.new_zeros(batch)
        if self._weights.begun:
            evidence = self._memory.evidence(rearrange(said, "segments batch slots d -> batch (segments slots) d"))
            evidence = rearrange(evidence, "batch (segments slots) o -> segments batch slots o", slots=slots)
            heard = self.trust * evidence[:, :, orders, torch.arange(slots)].sum(dim=-1)
            # until two voices are known everybody is where they are
            known = (self._memory.seconds().sort(dim=1).values[:, -2] >= KNOWN).to(said)
        lapse = self.lapse * rearrange(known, "batch -> batch 1 1")
        moves = (1 - lapse) * torch.eye(len(orders)).to(said) + (lapse + 1e-9) / len(orders)
        probable = self._weights.weigh(moves.log().expand(len(said), -1, -1, -1), known[:, None] * heard, decided)
        for each, words in zip(probable, said, strict=False):
            self._memory.remember(einsum(each, words[:, orders], "batch p, batch p o d -> batch o d"))
        return orders[probable.argmax(dim=-1)]

    def _turned(
        self,
        waves: Float[Tensor, "batch slots channels time"],
        cuts: Int[Tensor, "batch segments"],
        orders: Int[Tensor, "segments batch slots"],
    ) -> Float[Tensor, "batch slots channels time"]:
        """Put the slots into order from cut to cut, with short cross-fades."""
        assert self._order is not None
        every = torch.cat([self._order[None].to(orders), orders])
        self._order = orders[-1]
        return exchanged(waves, (cuts + 1) * self.hop, every, self.sample_rate)

    def _without_silence(
        self, waves: Float[Tensor, "batch slots channels time"]
    ) -> Float[Tensor, "batch slots channels rest"]:
        silence = min(self._silence, waves.shape[-1])
        self._silence -= silence
        return waves[..., silence:]
