"""Assignment by short stretches: learn to tell voices apart before learning who is who."""

from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from slotaudio.compose import build
from slotaudio.errors import UserError
from slotaudio.objectives.costs import AUDIBLE, FLOOR
from slotaudio.objectives.views import cut
from slotaudio.spec import Spec
from slotaudio.types import Batch


class Local:
    """Match every short stretch by itself, then score the whole clip by its signal-to-noise ratio.

    With one assignment per clip, a model that cannot yet follow a voice gets gradients that cancel: what it got
    right in one moment is wrong in the next. Matched stretch by stretch (frame-level permutation-invariant
    training, Kolbæk et al. 2017, arXiv 1703.06284; the first stage of Deep CASA, Liu & Wang 2019, arXiv 1904.11148) it
    learns to separate first. Lengthen `stretch` over the recipe until it reaches the clip.

    The loss is ``10 log10((Σ|s - ŝ|² + t Σ|s|²) / Σ|s|²)``, sums over the clip, ``t = 10^(-cap/10)``; silent
    sources are scored against the mixture's power instead of their own.

    Args:
        stretch: seconds matched by themselves; 0 for the whole clip.
        matcher: name, `Spec` or mapping; the model's own by default.
        cap: dB at which the loss levels off.

    Raises:
        UserError: a negative stretch.
    """

    def __init__(
        self, stretch: float = 0.25, matcher: Spec | str | Mapping[str, Any] | None = None, cap: float = 30.0
    ) -> None:
        if stretch < 0:
            raise UserError(f"local: a stretch of {stretch} s is negative; 0 stands for the whole clip")
        self.stretch = stretch
        self.matcher = None if matcher is None else build("matcher", matcher)
        self.cap = cap

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss``, the negative ratio in dB.

        Raises:
            UserError: more sources than slots, or a cost that is not finite (names the batch item).
        """
        prediction = model(batch.mixture[:, None])
        with torch.autocast(batch.mixture.device.type, enabled=False):
            estimates = model.sources(prediction, len(batch.mixture))[:, 0].float()
            samples = round(self.stretch * model.sample_rate) or estimates.shape[-1]
            error = _errors(cut(estimates, samples), cut(batch.sources, samples))
            count = error.shape[1]
            chosen = (self.matcher or model.matcher)(
                rearrange(error, "batch stretches slots sources -> (batch stretches) slots sources")
            )
            chosen = rearrange(chosen, "(batch stretches) sources -> batch stretches 1 sources", stretches=count)
            matched = error.gather(2, chosen).sum(dim=(1, 2))
            power = batch.sources.square().sum(dim=(2, 3))
            whole = batch.mixture.square().sum(dim=(1, 2))[:, None]
            reference = torch.where(power > AUDIBLE * whole, power, whole).clamp_min(FLOOR * batch.mixture.shape[-1])
            ratio = matched / reference + 10 ** (-self.cap / 10)
            return {"loss": 10 * torch.log10(ratio).mean()}


def _errors(
    estimates: Float[Tensor, "batch stretches slots channels time"],
    sources: Float[Tensor, "batch stretches sources channels time"],
) -> Float[Tensor, "batch stretches slots sources"]:
    """Energy of the difference of every slot and every source in every stretch."""
    columns = [(estimates - source[:, :, None]).square().sum(dim=(3, 4)) for source in sources.unbind(dim=2)]
    return torch.stack(columns, dim=-1)
