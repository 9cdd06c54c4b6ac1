"""Carry-over: the slots of one window start the next, so that a speaker stays the same output."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.compose import build
from slotaudio.errors import UserError
from slotaudio.spec import Spec
from slotaudio.types import Features, Slots


class CarryOver(nn.Module):
    """Chain any bottleneck over the windows of a recording (SAVi's corrector and predictor).

    Kipf et al. 2022, arXiv 2111.12594, section 2: the *corrector*, here any bottleneck, updates
    the slots with what the window shows; the *predictor*, one transformer block in which the slots see
    each other, turns them into the initial slots of the window that follows. Both permute with their
    slots, hence so does the whole recording with the first window's initial slots: identity is kept by
    construction and what is learned is to bind a slot to the voice it already holds.

    The predictor is SAVi's, norms and widths included. The corrector is SAVi's as
    ``Spec("slot_attention", iterations=1, mlp_dim=0)``: one iteration, no MLP after it. Two things differ all the
    same. The place of a token enters by waves that are projected and added (`slotaudio.bottlenecks.grid_code`), where
    SAVi projects the two coordinates themselves and sends the sum through a LayerNorm and an MLP of 64. And the first
    slots are learned or noise, where SAVi is told where objects are in the first frame.

    The scan is the only path: calling window by window with ``initial=previous.carried`` (streaming)
    computes the same as one call.

    Args:
        in_dim, slots, tokens, window: threaded to the wrapped bottleneck.
        bottleneck: name, `Spec` or mapping of the bottleneck to wrap.
        predictor: ``"transformer"`` or ``"none"`` (slots start where they ended).
        heads: of the predictor's self-attention.
        mlp_dim: hidden width of the predictor; twice the slots' width by default.
        detach_every: cut the gradient after this many windows, which bounds the memory of training on
            long clips; 0 never cuts.

    Raises:
        UserError: unknown predictor, heads that do not divide the slots' width, or a wrapped bottleneck
            whose gradient never reaches its initial slots.
    """

    wraps = "corrector"
    """Where the wrapped bottleneck is kept: a saved model that had it alone can start the training of this one."""

    def __init__(
        self,
        in_dim: int,
        slots: int,
        bottleneck: Spec | str | Mapping[str, Any] = "slotaudio/slot_attention",
        predictor: str = "transformer",
        heads: int = 4,
        mlp_dim: int | None = None,
        detach_every: int = 0,
        tokens: int | None = None,
        window: float | None = None,
    ) -> None:
        super().__init__()
        self.corrector = build("bottleneck", bottleneck, in_dim=in_dim, slots=slots, tokens=tokens, window=window)
        self.slot_dim: int = self.corrector.slot_dim
        self.detach_every = detach_every
        if getattr(self.corrector, "gradient", None) == "implicit":
            raise UserError(
                "carry_over: with gradient='implicit' no gradient crosses from one window to the next; "
                "give the wrapped bottleneck gradient='bi_level' or 'full'"
            )
        if predictor not in ("transformer", "none"):
            raise UserError(f"carry_over: predictor {predictor!r} is not known; choose 'transformer' or 'none'")
        if predictor == "transformer" and self.slot_dim % heads:
            raise UserError(f"carry_over: {heads} heads do not divide slots of width {self.slot_dim}")
        # Normalised *after* each residual, as in SAVi: carried slots keep one size however long the
        # recording is; with the norm inside the branch they would grow window by window.
        self.predictor = (
            nn.TransformerEncoderLayer(
                self.slot_dim, heads, mlp_dim or 2 * self.slot_dim, dropout=0.0, batch_first=True
            )
            if predictor == "transformer"
            else nn.Identity()
        )

    def initial_slots(self, batch: int, generator: torch.Generator | None = None) -> Float[Tensor, "batch slots dim"]:
        """Return the wrapped bottleneck's initial slots: those of the first window."""
        return self.corrector.initial_slots(batch, generator)

    def forward(self, features: Features, initial: Float[Tensor, "batch slots dim"]) -> Slots:
        """Scan over the steps; `Slots.carried` starts the window that follows the last."""
        found = []
        for step, window in enumerate(_windows(features), start=1):
            slots: Slots = self.corrector(window, initial)
            # under autocast the predictor may answer in bfloat16; slots keep their precision from window to window
            initial = self.predictor(slots.vectors[:, -1]).to(slots.vectors.dtype)
            if self.detach_every and step % self.detach_every == 0:
                initial = initial.detach()
            found.append(slots)
        return Slots(
            torch.cat([slots.vectors for slots in found], dim=1),
            _join([slots.attention for slots in found]),
            _join([slots.presence for slots in found]),
            carried=initial,
        )


def _windows(features: Features) -> Iterator[Features]:
    """The features of one step after another; skips have no steps axis to cut."""
    for step in range(features.tokens.shape[1]):
        yield replace(features, tokens=features.tokens[:, step : step + 1], skips=())


def _join(parts: list[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present, dim=1) if present else None
