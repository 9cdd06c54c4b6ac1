"""What is passed from stage to stage, and what each stage promises.

Axes have one name each everywhere: ``batch channels time`` (samples), ``freq frames`` (STFT),
``tokens`` (encoder grid, flattened), ``steps`` (windows of one recording, in order), ``slots``
(what a model predicts), ``sources`` (what a reference holds), ``dim``.

The protocols are structural: a third party implements the methods and need not import slotaudio.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Inexact, Int
from torch import Tensor

T = TypeVar("T")


def _exportable(cls: type[T]) -> type[T]:
    """Let `torch.export` programs take and return this dataclass."""
    torch.export.register_dataclass(cls)
    return cls


@_exportable
@dataclass(frozen=True)
class Spectrum:
    """What a frontend made of a wave: complex for an STFT, real for a learned or raw frontend."""

    values: Inexact[Tensor, "batch channels freq frames"]
    length: int
    """Samples of the wave, which the inverse restores exactly."""


@_exportable
@dataclass(frozen=True)
class Features:
    """What an encoder made of a spectrum.

    `steps` is 1 where one window has one set of slots (AudioSlots) and `frames` where every frame
    has its own.
    """

    tokens: Float[Tensor, "batch steps tokens dim"]
    positions: Float[Tensor, "tokens axes"]
    """Where each token lies, every axis from -1 to 1; two axes (frequency, time) or one (time)."""
    skips: tuple[Tensor, ...] = ()
    """Higher-resolution features for decoders that want them, coarsest last."""


@_exportable
@dataclass(frozen=True)
class Slots:
    """What a bottleneck found: an unordered set of slots for every step."""

    vectors: Float[Tensor, "batch steps slots dim"]
    attention: Float[Tensor, "batch steps slots tokens"] | None = None
    """Share of each token that each slot looks at (for pictures and tests, never for masks)."""
    presence: Float[Tensor, "batch steps slots"] | None = None
    """Logit that the slot holds an audible source; None where the model was not taught to tell."""
    carried: Float[Tensor, "batch slots dim"] | None = None
    """Initial slots for the window that follows; None where slots do not live on."""


@_exportable
@dataclass(frozen=True)
class Estimates:
    """What a decoder made of the slots: exactly one of the three."""

    magnitudes: Float[Tensor, "batch slots channels freq frames"] | None = None
    """Compressed magnitudes, to be turned into masks (AudioSlots)."""
    masks: Inexact[Tensor, "batch slots channels freq frames"] | None = None
    """Factors for the mixture's spectrum; complex masks also move the phase."""
    waves: Float[Tensor, "batch slots channels time"] | None = None
    """Finished waves (end-to-end systems)."""


@_exportable
@dataclass(frozen=True)
class Prediction:
    """Everything a model computed for `steps` windows, in the order of the signal path.

    `spectrum`, `features` and `estimates` have one batch item per window (``batch * steps``);
    `slots` keeps the axes apart.
    """

    spectrum: Spectrum
    features: Features
    slots: Slots
    estimates: Estimates


@runtime_checkable
class Frontend(Protocol):
    """Wave to spectrum and back. Attributes: `sample_rate`, `channels`, `out_channels`, `freq`."""

    sample_rate: int
    channels: int
    out_channels: int
    freq: int

    def __call__(self, wave: Float[Tensor, "batch channels time"]) -> Spectrum: ...

    def features(self, spectrum: Spectrum) -> Float[Tensor, "batch maps freq frames"]:
        """Return what an encoder sees; `maps` is `out_channels`."""
        ...

    def inverse(
        self, values: Inexact[Tensor, "batch channels freq frames"], length: int
    ) -> Float[Tensor, "batch channels time"]: ...


@runtime_checkable
class CompressingFrontend(Frontend, Protocol):
    """A frontend whose magnitudes are compressed, which decoders of magnitudes need."""

    def compress(
        self, values: Inexact[Tensor, "batch channels freq frames"]
    ) -> Float[Tensor, "batch channels freq frames"]: ...

    def expand(self, compressed: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]: ...


@runtime_checkable
class Encoder(Protocol):
    """Spectrum features to tokens. Attribute: `out_dim`.

    One with the attribute ``reads = "wave"`` gets the wave itself, as ``batch channels 1 time``, whatever frontend.
    """

    out_dim: int

    def __call__(self, features: Float[Tensor, "batch maps freq frames"]) -> Features: ...


@runtime_checkable
class Bottleneck(Protocol):
    """Features and initial slots to slots. Attribute: `slot_dim`.

    Permuting the initial slots must permute the result and nothing else.
    """

    slot_dim: int

    def initial_slots(
        self, batch: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch slots dim"]: ...

    def __call__(self, features: Features, initial: Float[Tensor, "batch slots dim"]) -> Slots: ...


@runtime_checkable
class Decoder(Protocol):
    """Slots to estimates. Permuting the slots must permute the estimates and nothing else.

    One with the attribute ``leaves_rest = True`` leaves out of all slots what it was taught to, such as noise: what
    they miss of the mixture is then not given back to them.
    """

    def __call__(
        self, vectors: Float[Tensor, "batch steps slots dim"], features: Features, spectrum: Spectrum
    ) -> Estimates: ...


@runtime_checkable
class Matcher(Protocol):
    """Cost to an assignment: for every source its slot, all different. Slots K >= sources S."""

    def __call__(self, cost: Float[Tensor, "batch slots sources"]) -> Int[Tensor, "batch sources"]: ...


@dataclass(frozen=True)
class Batch:
    """What an objective is shown: a mixture and the sources that add up to it."""

    mixture: Float[Tensor, "batch channels time"]
    sources: Float[Tensor, "batch sources channels time"]
    metadata: tuple[Mapping[str, Any], ...] = ()

    def pin_memory(self) -> "Batch":
        """Return the batch in memory that a GPU can read by itself; `torch.utils.data.DataLoader` calls it."""
        return Batch(self.mixture.pin_memory(), self.sources.pin_memory(), self.metadata)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device; from pinned memory this goes on beside what comes next."""
        return Batch(
            self.mixture.to(device, non_blocking=True), self.sources.to(device, non_blocking=True), self.metadata
        )


class Objective(Protocol):
    """Model and batch to named losses, of which ``"loss"`` is the one to minimise."""

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]: ...
