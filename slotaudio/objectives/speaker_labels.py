"""Names of the training speakers, asked of the slots: a voice is found sooner by who says what."""

import zlib
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from slotaudio.compose import build
from slotaudio.errors import UserError
from slotaudio.objectives.matched import matched_slots, overheard
from slotaudio.spec import Spec
from slotaudio.types import Batch


class SpeakerLabels(nn.Module):
    """Train a separation model by another objective, and its slots to say whose voice they hold.

    Each source's slot, as `slotaudio.objectives.matched` finds it, is classified among the training speakers wherever
    the source can be heard: the global classification loss of Wavesplit (Zeghidour and Grangier 2021, arXiv
    2002.08933), with a linear classifier of normalised slots. Slots that know voices by sight follow them
    through the window, and from window to window if they are carried over. Nobody is named where the model is used:
    the classifier is not part of it.

    Names come from ``metadata["speakers"]``, one per source, and fall into `classes` by a hash, so that neither their
    number nor the data set has to be known. Two speakers of one class are a small price.

    Args:
        slot_dim: width of the slots (offered by the recipe).
        sample_rate: in hertz (offered by the recipe).
        objective: the other one: name, `Spec` or mapping.
        weight: of the cross-entropy in nats beside the other loss, for example in decibels.
        classes: better many more than there are speakers.

    Raises:
        UserError: a negative weight, or less than two classes.
    """

    def __init__(
        self,
        slot_dim: int,
        sample_rate: int = 16000,
        objective: Spec | str | Mapping[str, Any] = "slotaudio/supervised",
        weight: float = 0.5,
        classes: int = 8192,
    ) -> None:
        super().__init__()
        if weight < 0 or classes < 2:
            raise UserError(f"speaker_labels: weight = {weight} and classes = {classes}; give 0 or more, and 2 or more")
        self.objective = build("objective", objective, sample_rate=sample_rate, slot_dim=slot_dim)
        self.weight, self.classes = weight, classes
        self.classifier = nn.Sequential(nn.LayerNorm(slot_dim), nn.Linear(slot_dim, classes))

    def forward(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the other objective's losses, ``speaker`` and ``speaker_accuracy``, and ``loss``, their weighted sum.

        Raises:
            UserError: the data set does not name speakers, or the other objective looks at no slots of this batch.
        """
        labels = self._labels(batch)
        losses, prediction = overheard("speaker_labels", self.objective, model, batch)
        vectors, heard = matched_slots(model, prediction, batch, whole=prediction.slots.carried is not None)
        known = heard & (labels >= 0)[..., None]
        with torch.autocast(vectors.device.type, enabled=False):
            logits = self.classifier(vectors[known])
            wanted = labels[..., None].expand_as(known)[known]
            if len(wanted):
                speaker = nn.functional.cross_entropy(logits, wanted)
                accuracy = (logits.argmax(dim=-1) == wanted).to(logits.dtype).mean()
            else:  # nobody speaks
                speaker, accuracy = logits.sum(), vectors.new_zeros(())
        loss = losses["loss"] + self.weight * speaker
        found = {"loss": loss, "separation": losses["loss"], "speaker": speaker, "speaker_accuracy": accuracy.detach()}
        return {**losses, **found}

    def _labels(self, batch: Batch) -> Int[Tensor, "batch sources"]:
        """The class of every source, -1 for those without a name: sources that are not there."""
        classes = torch.full(batch.sources.shape[:2], -1)
        for item, known in enumerate(batch.metadata):
            for source, name in enumerate(known.get("speakers", ())[: classes.shape[1]]):
                if name:
                    classes[item, source] = zlib.crc32(str(name).encode()) % self.classes
        if not any("speakers" in known for known in batch.metadata):
            raise UserError(
                'speaker_labels: the data set does not say who speaks; its items need metadata["speakers"], one name '
                "per source, as those of 'folder', 'conversations' and 'librimix' have"
            )
        return classes.to(batch.sources.device)
