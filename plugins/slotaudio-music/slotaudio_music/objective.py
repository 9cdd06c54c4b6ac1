"""Relative squared error of waves, sample by sample, and the absolute error beside it."""

from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from slotaudio import Spec, UserError, build
from slotaudio.types import Batch


class RelativeMSE:
    """Mean of ``(|x - x̂| / (|x| + |x̂| + ε))²`` over samples, channels and stems (Wang et al. 2023).

    doi 10.1049/cit2.12163. It lies between 0 and 1, and ``ε`` keeps it and its gradient finite for silence. Mind
    what the formula does: an estimate of the wrong sign costs nearly 1 however wrong it is, and has hardly a
    gradient; the right sign has a slope of some ``4 / |x|``, so that quiet samples weigh most. A larger ``ε`` softens
    both, and the mean absolute error (L1), weighted in beside it, pulls where the relative error is flat. Both
    are reported, whatever their weights.

    Clips longer than the model's window are cut into windows; the assignment holds for the whole clip.

    Args:
        matcher: name, `Spec` or mapping; the model's own by default, which is ``"fixed"`` for labelled stems.
        epsilon: level below which errors count by their size rather than relative to the sample; the paper's value
            could not be read.
        relative_weight, l1_weight: of the two errors in the loss; ``0`` and ``1`` make it L1 alone.

    Raises:
        UserError: an epsilon that is not above zero, weights below zero or both zero, or an unknown matcher.
    """

    def __init__(
        self,
        matcher: Spec | str | Mapping[str, Any] | None = None,
        epsilon: float = 1e-2,
        relative_weight: float = 1.0,
        l1_weight: float = 0.0,
    ) -> None:
        if epsilon <= 0:
            raise UserError(f"relative_mse: epsilon = {epsilon} must be above zero, or silence has no loss")
        if min(relative_weight, l1_weight) < 0 or relative_weight + l1_weight == 0:
            raise UserError(
                f"relative_mse: weights {relative_weight} and {l1_weight} must not be negative, nor both zero"
            )
        self.matcher = None if matcher is None else build("matcher", matcher)
        self.epsilon = epsilon
        self.relative_weight = relative_weight
        self.l1_weight = l1_weight

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss``, ``relative_mse`` and ``l1``.

        Raises:
            UserError: more sources than slots.
            CostNotFinite: the batch holds NaN or training has diverged.
        """
        items, _, _, length = batch.sources.shape
        prediction = model(_windows(batch.mixture, model.window_samples))
        with torch.autocast(batch.mixture.device.type, enabled=False):
            estimates = rearrange(
                model.sources(prediction, items), "batch steps slots channels time -> batch slots channels (steps time)"
            )
            estimates = estimates[..., :length].to(torch.promote_types(estimates.dtype, torch.float32))
            with torch.no_grad():
                cost = self._pairwise(estimates, batch.sources)
                chosen = (self.matcher or model.matcher)(cost)
            rows = torch.arange(items, device=chosen.device)[:, None]
            relative, l1 = self._errors(estimates[rows, chosen], batch.sources)
        return {
            "loss": self.relative_weight * relative.mean() + self.l1_weight * l1.mean(),
            "relative_mse": relative.mean(),
            "l1": l1.mean(),
        }

    def _pairwise(
        self,
        estimates: Float[Tensor, "batch slots channels time"],
        sources: Float[Tensor, "batch sources channels time"],
    ) -> Float[Tensor, "batch slots sources"]:
        columns = []
        for source in sources.unbind(1):
            relative, l1 = self._errors(estimates, source[:, None])
            columns.append(self.relative_weight * relative + self.l1_weight * l1)
        return torch.stack(columns, dim=-1)

    def _errors(
        self, estimates: Float[Tensor, "batch rows channels time"], sources: Float[Tensor, "batch #rows channels time"]
    ) -> tuple[Float[Tensor, "batch rows"], Float[Tensor, "batch rows"]]:
        error = (estimates - sources).abs()
        relative = error / (estimates.abs() + sources.abs() + self.epsilon)
        return relative.square().mean(dim=(2, 3)), error.mean(dim=(2, 3))


def _windows(
    mixture: Float[Tensor, "batch channels time"], window: int | None
) -> Float[Tensor, "batch steps channels window"]:
    """Cut into adjacent windows, the last filled up with silence; one if the model takes any length."""
    window = window or mixture.shape[-1]
    padded = torch.nn.functional.pad(mixture, (0, -mixture.shape[-1] % window))
    return rearrange(padded, "batch channels (steps window) -> batch steps channels window", window=window)
