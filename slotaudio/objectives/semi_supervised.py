"""Sources where they are known, mixtures of mixtures where they are not: both in one batch."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from slotaudio.compose import build
from slotaudio.spec import Spec
from slotaudio.types import Batch

BY_SNR = Spec("slotaudio/supervised", cost="snr", assignment="clip", silence_weight=0.1)
"""In decibels up to the same cap as `mixit`, and no slot too many takes part of a source."""


class SemiSupervised(nn.Module):
    """Train on mixtures whose sources are known and on recordings whose sources are not, side by side.

    Semi-supervised MixIT, Wisdom et al. 2020, arXiv 2006.12701, section 3: every item of a batch has the loss of its
    kind, and the loss is their mean. Items are of the second kind where ``metadata["unlabelled"]`` is true, as `blend`
    says of its parts named ``unlabelled``; its shares are how much of the training is of either kind.

    The model needs a slot for every source of two recordings, as with `mixit`: more than one mixture has. Both losses
    should be in decibels, or the smaller one is hardly learned from. Presence logits learn from the first kind only;
    leave them out where several processes train, some of whose batches may lack that kind.

    Args:
        slots, slot_dim, sample_rate: offered by the recipe to both objectives.
        known: objective of mixtures with sources: name, `Spec` or mapping; by default `supervised` by SNR, with
            surplus slots taught silence.
        unknown: objective of the others.

    Raises:
        UserError: what the two objectives raise.
    """

    def __init__(
        self,
        slots: int,
        slot_dim: int | None = None,
        sample_rate: int = 16000,
        known: Spec | str | Mapping[str, Any] | None = None,
        unknown: Spec | str | Mapping[str, Any] = "slotaudio/mixit",
    ) -> None:
        super().__init__()
        offered = {"slots": slots, "slot_dim": slot_dim, "sample_rate": sample_rate}
        self.known = build("objective", BY_SNR if known is None else known, **offered)
        self.unknown = build("objective", unknown, **offered)

    def forward(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss``, and ``known`` and ``unknown``, the losses of either kind, where the batch has items of it.

        Raises:
            UserError: see the two objectives.
        """
        unlabelled = [bool(about.get("unlabelled")) for about in batch.metadata] or [False] * len(batch.mixture)
        total, losses = batch.mixture.new_zeros(()), {}
        for name, kind in (("known", False), ("unknown", True)):
            rows = [row for row, is_unlabelled in enumerate(unlabelled) if is_unlabelled is kind]
            if rows:
                losses[name] = getattr(self, name)(model, _items(batch, rows))["loss"]
                total = total + losses[name] * (len(rows) / len(unlabelled))
        return {"loss": total, **losses}


def _items(batch: Batch, rows: list[int]) -> Batch:
    index = torch.tensor(rows, device=batch.mixture.device)
    metadata = tuple(batch.metadata[row] for row in rows) if batch.metadata else ()
    return Batch(batch.mixture[index], batch.sources[index], metadata)
