"""A teacher separates, its outputs are mixed anew, and the student learns from mixtures whose sources are known."""

from copy import deepcopy
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.errors import UserError
from slotaudio.model import SlotModel
from slotaudio.objectives.supervised import Supervised
from slotaudio.types import Batch


class Remix(nn.Module):
    """Teach the model on remixed outputs of a teacher, which follows the model slowly.

    RemixIT, Tzinis et al. 2022, arXiv 2202.08862: the teacher separates every recording of a batch, the outputs
    swap recordings, and the student separates these new mixtures, whose sources are known, under the
    supervised objective. The teacher is then moved towards the student, by a running mean of the weights at every
    batch, where the authors update it after some epochs. Outputs go to the next recordings in turn, where theirs are
    shuffled. The sources of a batch are never looked at. After `mixit` this also unlearns over-separation, as in
    teacher-student MixIT (Zhang et al. 2021, arXiv 2106.07843): the student has `sources` targets, and surplus
    slots are taught silence.

    The teacher is part of what a checkpoint holds, and no part of the saved model.

    Args:
        model: threaded; the student. Give it weights by ``train.init``.
        teacher: saved model that separates; the student as it is at the start by default.
        sources: how many of the teacher's outputs are kept, those with most energy.
        ema: share of itself that the teacher keeps at each batch; 1 freezes it.
        cost: as of `slotaudio.objectives.supervised.Supervised`.
        silence_weight: of the student's surplus slots.

    Raises:
        UserError: teacher and student have too few slots or different sample rates, or a teacher that is to
            follow a student of other weights.
    """

    def __init__(
        self,
        model: SlotModel,
        teacher: str = "",
        sources: int = 2,
        ema: float = 0.999,
        cost: Literal["spectral_mse", "snr", "si_sdr"] = "snr",
        silence_weight: float = 0.1,
    ) -> None:
        super().__init__()
        if not 0 <= ema <= 1:
            raise UserError(f"remix: ema = {ema} must be in 0 to 1; 1 freezes the teacher")
        self.teacher = _loaded(teacher) if teacher else deepcopy(model)
        self.teacher.requires_grad_(False).eval()
        slots = min(model.slots, self.teacher.slots)
        if not 2 <= sources <= slots:
            raise UserError(f"remix: sources = {sources} must be 2 to {slots}, the slots of teacher and student")
        if self.teacher.sample_rate != model.sample_rate:
            raise UserError(
                f"remix: the teacher works at {self.teacher.sample_rate} Hz, the student at {model.sample_rate}"
            )
        if ema < 1 and _shapes(self.teacher) != _shapes(model):
            raise UserError(
                "remix: the teacher has other weights than the student, which it cannot follow: set ema = 1.0"
            )
        self.sources = sources
        self.ema = ema
        self.supervised = Supervised(cost=cost, assignment="clip", silence_weight=silence_weight)

    def train(self, mode: bool = True) -> "Remix":
        """Leave the teacher as it separates best."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, model: SlotModel, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of the supervised objective on the new mixtures.

        Raises:
            UserError: see `slotaudio.objectives.supervised.Supervised`.
        """
        if model.training and self.ema < 1:
            self._follow(model)
        sources = swapped(self._separate(batch.mixture))
        return self.supervised(model, Batch(sources.sum(1), sources, batch.metadata))

    @torch.no_grad()
    def _follow(self, model: SlotModel) -> None:
        for own, new in zip(self.teacher.parameters(), model.parameters(), strict=True):
            own.lerp_(new, 1 - self.ema)
        for known, current in zip(self.teacher.buffers(), model.buffers(), strict=True):
            known.copy_(current)  # running statistics are averages already

    @torch.no_grad()
    def _separate(self, mixture: Float[Tensor, "batch channels time"]) -> Float[Tensor, "batch sources channels time"]:
        from slotaudio.separation.separator import Separator

        found = Separator(self.teacher)(mixture).sources
        loudest = found.square().mean(dim=(2, 3)).topk(self.sources, dim=1).indices
        return found.gather(1, loudest[:, :, None, None].expand(-1, -1, *found.shape[2:]))


def swapped(
    sources: Float[Tensor, "batch sources channels time"],
) -> Float[Tensor, "batch sources channels time"]:
    """Give the second source to the recording before, the third to the one before that, and so on."""
    return torch.stack([each.roll(-number, dims=0) for number, each in enumerate(sources.unbind(1))], dim=1)


def _loaded(name: str) -> SlotModel:
    from slotaudio.pretrained import from_pretrained

    return from_pretrained(name)


def _shapes(model: SlotModel) -> list[torch.Size]:
    return [weight.shape for weight in model.parameters()]
