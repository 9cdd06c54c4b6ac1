"""A model that knows the answer: what the best masks would give, and what joining does to them."""

from collections.abc import Callable

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.compose import Like, build
from slotaudio.model import SlotModel
from slotaudio.separation.framing import Framing
from slotaudio.separation.windows import split
from slotaudio.spec import Spec
from slotaudio.types import CompressingFrontend, Estimates, Features, Slots, Spectrum

Recall = Callable[[Float[Tensor, "rows channels window"]], Float[Tensor, "rows channels freq frames"]]
"""From windows of single sources to compressed magnitudes, as a system remembers them."""


def oracle(
    sources: Float[Tensor, "batch sources channels time"],
    frontend: Like = "slotaudio/stft",
    window: float = 0.5,
    mask: Like = "wiener",
    shuffle: torch.Generator | None = None,
    recall: Recall | None = None,
) -> SlotModel:
    """Return a model whose slots are the true magnitudes of these sources (the oracle rows of AudioSlots' Table 1).

    It sees the windows of one recording in order; `SlotModel.decoder.rewind` with the separator's framing
    before each use says where they lie.

    Args:
        sources: at the frontend's sample rate.
        frontend, mask: as in `slotaudio.compose`.
        window: in seconds.
        shuffle: draws a new order of the slots for every window; they keep theirs by default.
        recall: what is known of the sources, such as what an autoencoder keeps of them; their exact
            magnitudes by default.
    """
    made = build("frontend", frontend)
    slots = sources.shape[1]
    return SlotModel(
        made,
        _NoEncoder(),
        _OneHot(slots, shuffle),
        Truth(sources, made, recall),
        build("matcher", "slotaudio/hungarian"),
        specs={"frontend": Spec.of(frontend)},
        slots=slots,
        window=window,
        mask=mask,
    )


class Truth(nn.Module):
    """Decode one-hot slots into the compressed magnitudes of the sources that they name."""

    def __init__(
        self,
        sources: Float[Tensor, "batch sources channels time"],
        frontend: CompressingFrontend,
        recall: Recall | None = None,
    ) -> None:
        super().__init__()
        self.sources = sources
        self._recall = recall or (lambda windows: frontend.compress(frontend(windows).values))
        self._framing = Framing(0, 0, 0, 1, 1)
        self._next = 0

    def rewind(self, framing: Framing) -> None:
        """Begin again with the first window of a recording that is cut like this."""
        self._framing = framing
        self._next = -framing.lead

    def forward(
        self, vectors: Float[Tensor, "windows 1 slots dim"], features: Features, spectrum: Spectrum
    ) -> Estimates:
        """Decode the windows that follow those of the last call."""
        batch, sources = self.sources.shape[:2]
        steps, hop, size = len(vectors) // batch, self._framing.hop, self._framing.window
        start, stop = self._next, self._next + (steps - 1) * hop + size
        self._next += steps * hop
        stretch = self.sources[..., max(0, start) : max(0, stop)]
        stretch = nn.functional.pad(stretch, (max(0, -start), 0))
        stretch = nn.functional.pad(stretch, (0, stop - start - stretch.shape[-1]))
        windows = split(rearrange(stretch, "batch sources channels time -> (batch sources) channels time"), size, hop)
        windows = rearrange(
            windows, "(batch sources) steps channels window -> (batch steps sources) channels window", sources=sources
        )
        magnitudes = rearrange(
            self._recall(windows.to(vectors)),
            "(windows sources) channels freq frames -> windows sources channels freq frames",
            sources=sources,
        )
        chosen = rearrange(vectors, "windows 1 slots sources -> windows slots sources").argmax(dim=-1)
        return Estimates(magnitudes=magnitudes[torch.arange(len(chosen))[:, None], chosen])


class _NoEncoder(nn.Module):
    """Pass on one empty token per window: an oracle looks elsewhere."""

    out_dim = 1

    def forward(self, features: Float[Tensor, "batch maps freq frames"]) -> Features:
        return Features(features.new_zeros(len(features), 1, 1, 1), features.new_zeros(1, 2))


class _OneHot(nn.Module):
    """Name one source per slot, in a new order for every window if there is something to draw it with."""

    def __init__(self, slots: int, shuffle: torch.Generator | None) -> None:
        super().__init__()
        self.slot_dim = slots
        self.shuffle = shuffle

    def initial_slots(self, batch: int, generator: torch.Generator | None = None) -> Float[Tensor, "batch slots dim"]:
        return repeat(torch.eye(self.slot_dim), "slots dim -> batch slots dim", batch=batch)

    def forward(self, features: Features, initial: Float[Tensor, "batch slots dim"]) -> Slots:
        batch, steps = features.tokens.shape[:2]
        vectors = repeat(initial, "batch slots dim -> batch steps slots dim", steps=steps)
        if self.shuffle is not None:
            order = torch.rand(batch, steps, self.slot_dim, generator=self.shuffle).argsort(dim=-1).to(vectors.device)
            vectors = torch.take_along_dim(vectors, order[..., None], dim=2)
        return Slots(vectors)
