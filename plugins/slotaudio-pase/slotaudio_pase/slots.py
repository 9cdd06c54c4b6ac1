"""PASE's workers as auxiliary heads of a separation model: what a slot holds must tell what its source is like."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float
from torch import Tensor, nn

from slotaudio import Spec, UserError, build
from slotaudio.objectives.matched import matched_slots, overheard
from slotaudio.objectives.views import cut
from slotaudio.types import Batch
from slotaudio_pase.heads import regression
from slotaudio_pase.workers import Discriminator, Regression, Verdict

SlotWorker = Literal["lps", "mfcc", "prosody", "fbank", "gammatone", "mfcc_long", "lim", "gim"]
_PAIRS = ("lim", "gim")

Vectors = Float[Tensor, "batch sources steps dim"]
Heard = Bool[Tensor, "batch sources steps"]


class SlotWorkers(nn.Module):
    """Train a separation model by another objective, and its slots by workers beside it.

    The other objective is computed as ever. The workers read the slots that it made the model find: in every window
    each source is matched with a slot by the model's matcher, on the signal-to-noise ratio of the estimates. Where
    the source can be heard,

    - regression workers predict from the slot what the source is like on average while the slot lasts (PASE, arXiv
      1904.03416, section 2.2, whose encoder has a vector per 10 ms; slots last as long as a window or its parts);
    - ``lim`` tells the slots of one source at two times from those of two sources, ``gim`` the means over
      the two halves of a clip. No names of speakers are needed, and slots learn to say who speaks, which is what
      carrying and joining them asks for.

    Args:
        slot_dim: width of the slots (offered by the recipe).
        sample_rate: in hertz (offered by the recipe).
        objective: the other one: name, `Spec` or mapping.
        workers: by name.
        weight: of the sum of the workers' losses.
        hidden: width of each worker's hidden layer.
        fit_frames: slots on which the targets' means and deviations are fitted when training starts.
        seed: decides which times ``lim`` compares in evaluation.

    Raises:
        UserError: an unknown worker or none, or a negative weight.
    """

    def __init__(
        self,
        slot_dim: int,
        sample_rate: int = 16000,
        objective: Spec | str | Mapping[str, Any] = "supervised",
        workers: tuple[SlotWorker, ...] = ("mfcc", "prosody", "lim"),
        weight: float = 0.1,
        hidden: int = 256,
        fit_frames: int = 200_000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not workers or weight < 0:
            raise UserError(
                f"slot_workers: workers = {list(workers)} and weight = {weight}; at least one, and 0 or more"
            )
        self.objective = build("objective", objective, sample_rate=sample_rate, slot_dim=slot_dim)
        self.weight, self.seed = weight, seed
        self.heads = nn.ModuleDict(
            {
                worker: Discriminator(2 * slot_dim, hidden)
                if worker in _PAIRS
                else regression(worker, slot_dim, sample_rate, hidden, fit_frames)
                for worker in workers
            }
        )

    def forward(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the other objective's losses, each worker's by its name, and ``loss``, their weighted sum.

        Raises:
            UserError: the other objective looks at no slots of this batch, or ``lim`` or ``gim`` are asked for and
                clips have one step only.
        """
        losses, prediction = overheard("slot_workers", self.objective, model, batch)
        sources = cut(batch.sources, model.window_samples)
        vectors, heard = matched_slots(model, prediction, batch)
        found: dict[str, Tensor] = {}
        accuracies: dict[str, Tensor] = {}
        waves = reduce(sources, "batch windows sources channels time -> batch sources windows time", "mean")
        for worker, head in self.heads.items():
            if not isinstance(head, Regression):
                found[worker], accuracies[f"{worker}_accuracy"] = self._told_apart(worker, head, vectors, heard)
            else:
                found[worker] = _described(head, vectors, heard, waves.flatten(2))
        loss = losses["loss"] + self.weight * torch.stack(list(found.values())).sum()
        return {**losses, **found, **accuracies, "loss": loss, "separation": losses["loss"]}

    def _told_apart(self, worker: str, head: nn.Module, vectors: Vectors, heard: Heard) -> Verdict:
        """Return the verdict on pairs of slots of one source and of two."""
        steps = vectors.shape[2]
        if steps < 2:
            raise UserError(
                f"slot_workers: {worker} compares slots of two times, and clips have one; give the data set clips of "
                "at least two windows (seconds), or leave this worker out"
            )
        if worker == "gim":
            halves = zip(vectors.chunk(2, 2), heard.chunk(2, 2), strict=True)
            (anchor, here), (same, there) = (_mean(part, mask) for part, mask in halves)
        else:
            generator = None if self.training else torch.Generator().manual_seed(self.seed)
            shift = int(torch.randint(1, steps, (), generator=generator))
            anchor, here = vectors, heard
            same, there = vectors.roll(shift, dims=2), heard.roll(shift, dims=2)
        axis = 1 if vectors.shape[1] > 1 else 0
        other, elsewhere = same.roll(1, dims=axis), there.roll(1, dims=axis)
        valid = here & there & elsewhere
        if not valid.any() or vectors.shape[axis] < 2:
            return Verdict(vectors.sum() * 0, torch.full_like(vectors.sum().detach(), 0.5))
        together, apart = (torch.cat([anchor[valid], part[valid]], dim=-1) for part in (same, other))
        return head(*(rearrange(pairs, "pairs dim -> 1 dim pairs") for pairs in (together, apart)))


def _described(
    head: Regression, vectors: Vectors, heard: Heard, waves: Float[Tensor, "batch sources time"]
) -> Float[Tensor, ""]:
    """Return a regression worker's error on the target's means over the slots' steps."""
    if not heard.any():
        return vectors.sum() * 0
    target = nn.functional.adaptive_avg_pool1d(head.described(waves.flatten(0, 1)), vectors.shape[2])
    wanted = rearrange(target, "(batch sources) dim steps -> batch sources steps dim", batch=len(waves))
    return head.error(*(rearrange(part[heard], "rows dim -> 1 dim rows") for part in (vectors, wanted)))


def _mean(
    vectors: Vectors, heard: Heard
) -> tuple[Float[Tensor, "batch sources 1 dim"], Bool[Tensor, "batch sources 1"]]:
    """Return the mean of the slots whose sources can be heard, and whether there are any."""
    count = heard.sum(2, keepdim=True)
    total = (vectors * heard[..., None]).sum(2, keepdim=True)
    return total / count.clamp_min(1)[..., None], count > 0
