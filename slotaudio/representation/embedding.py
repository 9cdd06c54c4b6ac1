"""`Embedding`: vectors over time, and `Embedder`, whatever makes them of a recording."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import UserError


@dataclass(frozen=True)
class Embedding:
    """What was made of a recording or of a stretch of it: one set of vectors per step, in order of time."""

    times: Float[np.ndarray, " steps"]
    """Middle of each step, in seconds from the beginning of the recording."""
    vectors: Float[np.ndarray, "steps slots dim"]
    """Slots in the order of the outputs; `slots` is 1 for features that are no sets."""
    window: float
    """Seconds that are heard for a step: those around its time."""
    presence: Float[np.ndarray, "steps slots"] | None = None
    """Probability that a slot holds an audible source; None where the model was not taught to tell."""
    level: Float[np.ndarray, "steps slots"] | None = None
    """Decibels relative to full scale of the step in each output (mean square); silence is -120."""
    attention: Float[np.ndarray, "steps slots tokens"] | None = None
    """Share of each token that each slot looks at."""
    positions: Float[np.ndarray, "tokens axes"] | None = None
    """Where the tokens of the attention lie within their window, each axis from -1 to 1: frequency, time, or time."""

    def __len__(self) -> int:
        return len(self.times)


@runtime_checkable
class Embedder(Protocol):
    """Turns a recording that comes in blocks into embeddings of the stretches that are finished.

    This is all that a model without slots needs to be used by `slotaudio embed` and `slotaudio probe`: a plug-in
    offers such a callable by name (`slotaudio.hookspecs.slotaudio_embedders`), and what is asked for as
    ``--features NAME`` is then made by it. A constructor that has a parameter `model` gets the loaded model of
    ``--model``. Where features are those of an encoder in a saved model, nothing at all is needed: the features
    ``tokens`` are the encoder's (`slotaudio.representation.tokens`). `slotaudio.representation.sliding.sliding`
    makes an embedder of a function of one window.
    """

    def __call__(self, blocks: Iterable[Float[Tensor, "channels _"]], sample_rate: int) -> Iterator[Embedding]:
        """Yield stretches that follow each other, the same steps however the recording is cut into blocks.

        Args:
            blocks: of one recording in order, of any lengths, full scale at -1 and 1; all of one number of channels.
                They may be `Named`.
            sample_rate: of the blocks, in hertz; any.
        """
        ...


class Named(Iterator[Float[Tensor, "channels _"]]):
    """Blocks that know the name of their recording, for messages; see `name_of`.

    Args:
        blocks: of one recording, in order.
        name: of the recording.
    """

    def __init__(self, blocks: Iterable[Float[Tensor, "channels _"]], name: str) -> None:
        self._blocks = iter(blocks)
        self.name = name

    def __next__(self) -> Float[Tensor, "channels _"]:
        return next(self._blocks)


def name_of(blocks: Iterable[Float[Tensor, "channels _"]]) -> str:
    """Return what messages call the recording that blocks are of."""
    return blocks.name if isinstance(blocks, Named) else "the recording"


def joined(stretches: Sequence[Embedding]) -> Embedding:
    """Put stretches that follow each other end to end.

    Raises:
        UserError: there are none.
    """
    if not stretches:
        raise UserError("the recording holds no samples: there is nothing to embed")
    first = stretches[0]
    parts = {
        name: np.concatenate([getattr(stretch, name) for stretch in stretches])
        for name in stepwise(first)
        if getattr(first, name) is not None
    }
    return Embedding(**parts, window=first.window, positions=first.positions)


def stepwise(embedding: Embedding) -> list[str]:
    """Return the names of the arrays whose first axis is `steps` (as far as they are there)."""
    fixed = ("window", "positions")
    return [field.name for field in fields(embedding) if field.name not in fixed]
