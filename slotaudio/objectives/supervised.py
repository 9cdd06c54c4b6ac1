"""Known sources: match them to the slots, then bring each slot closer to its source."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.compose import build
from slotaudio.errors import UserError
from slotaudio.matchers.checking import CostNotFinite
from slotaudio.objectives.costs import WAVE_COSTS, audible, check_cost_name, spectral_mse
from slotaudio.objectives.presence import presence_loss
from slotaudio.objectives.spectral import multi_resolution
from slotaudio.objectives.views import cut, exact, lay_out, magnitudes_of, magnitudes_of_waves
from slotaudio.separation.joining import take
from slotaudio.spec import Spec
from slotaudio.types import Batch, Prediction


class Supervised:
    """Pairwise cost of slots and sources, least assignment, mean over the matched pairs.

    AudioSlots, arXiv 2305.05591, section 3: Hungarian matching and the mean squared error of the matched
    compressed magnitudes. A clip longer than the model's window is cut into windows, the last filled up with
    silence; the model sees them as consecutive steps.

    Args:
        matcher: name, `Spec` or mapping; the model's own by default.
        cost: ``"spectral_mse"`` (the paper's), ``"snr"`` or ``"si_sdr"``, see `slotaudio.objectives.costs`.
        assignment: match each ``"window"`` by itself, or once for the whole ``"clip"``, which teaches slots to stay
            with their source. By default the clip where the model carries its slots over, else the window.
        silence_weight: weight of what the slots without a source cost, on average, against silence; the
            assignment counts it too. 0 leaves them free.
        spectral_weight: weight of the multi-resolution spectral distance of the matched pairs, beside a cost of waves
            (see `slotaudio.objectives.spectral.multi_resolution`). It has no say in the assignment, and is some 1 to 2
            where a cost in decibels is -10.
        level_weight: weight of the squared decibels by which all matched slots together are louder or softer than their
            sources, beside ``"si_sdr"``, which does not see it. For slots that need not add up to the mixture.
        presence_weight: weight of the binary cross-entropy of the presence logits, for models that have them.

    Raises:
        UserError: unknown cost, assignment or matcher, negative weights, or a spectral
            or level weight with a cost that it does not go with.
    """

    def __init__(
        self,
        matcher: Spec | str | Mapping[str, Any] | None = None,
        cost: Literal["spectral_mse", "snr", "si_sdr"] = "spectral_mse",
        assignment: Literal["clip", "window"] | None = None,
        silence_weight: float = 0.0,
        presence_weight: float = 0.1,
        spectral_weight: float = 0.0,
        level_weight: float = 0.0,
    ) -> None:
        check_cost_name(cost)
        if assignment not in ("clip", "window", None):
            raise UserError(f"supervised: assignment {assignment!r} is not known; choose 'clip' or 'window'")
        weights = (silence_weight, presence_weight, spectral_weight, level_weight)
        if min(weights) < 0:
            raise UserError(f"supervised: weights {weights} must not be negative")
        if spectral_weight and cost not in WAVE_COSTS:
            raise UserError(
                f"supervised: spectral_weight = {spectral_weight} goes with costs of waves ({', '.join(WAVE_COSTS)}); "
                f"{cost!r} compares spectra already"
            )
        if level_weight and cost != "si_sdr":
            raise UserError(
                f"supervised: level_weight = {level_weight} goes with 'si_sdr'; {cost!r} sees levels itself"
            )
        self.matcher = None if matcher is None else build("matcher", matcher)
        self.cost = cost
        self.assignment = assignment
        self.silence_weight = silence_weight
        self.presence_weight = presence_weight
        self.spectral_weight = spectral_weight
        self.level_weight = level_weight

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss``, the matched cost and, where they apply, ``silence``, ``spectral``, ``level``, ``presence``.

        Raises:
            UserError: more sources than slots, or a cost that the model's frontend cannot express.
            CostNotFinite: the batch holds NaN or training has diverged; names the batch item.
        """
        mixture = cut(batch.mixture[:, None], model.window_samples)
        sources = cut(batch.sources, model.window_samples)
        prediction = model(mixture[:, :, 0])
        # bfloat16 could tell neither close assignments nor good estimates apart
        with torch.autocast(mixture.device.type, enabled=False):
            return self._losses(model, prediction, mixture, sources)

    def _losses(
        self,
        model: Any,
        prediction: Prediction,
        mixture: Float[Tensor, "batch steps 1 channels time"],
        sources: Float[Tensor, "batch steps sources channels time"],
    ) -> dict[str, Tensor]:
        carried = prediction.slots.carried is not None
        whole = self.assignment == "clip" or (self.assignment is None and carried)
        # silence is one more source, but no slot is ever matched with it
        estimates, references = self._views(model, prediction, torch.cat([sources, 0 * mixture], dim=2), whole)
        heard = lay_out(mixture, whole)[:, 0]
        costs = self._costs(estimates, references, heard)
        cost, silence = costs[..., :-1], costs[..., -1]
        slots, count = cost.shape[1:]
        # a slot that takes a source saves what it would have cost without one
        saved = self.silence_weight * count / max(1, slots - count) * silence[..., None]
        chosen = self._match(model, cost - saved if slots > count else cost, rows_per_clip=len(cost) // len(mixture))
        losses: dict[str, Tensor] = {self.cost: cost.gather(1, chosen[:, None]).mean()}
        loss = losses[self.cost]
        if self.silence_weight and slots > count:
            surplus = torch.ones_like(silence).scatter(1, chosen, 0.0)
            losses["silence"] = (silence * surplus).sum() / surplus.sum()
            loss = loss + self.silence_weight * losses["silence"]
        if self.spectral_weight:
            losses["spectral"] = _spectral(estimates, chosen, references[:, :-1], heard)
            loss = loss + self.spectral_weight * losses["spectral"]
        if self.level_weight:
            losses["level"] = _level(estimates, chosen, references[:, :-1])
            loss = loss + self.level_weight * losses["level"]
        if prediction.slots.presence is not None:
            each_window = chosen.repeat_interleave(mixture.shape[1], dim=0) if whole else chosen
            losses["presence"] = presence_loss(prediction.slots.presence, each_window, mixture, sources)
            loss = loss + self.presence_weight * losses["presence"]
        return {"loss": loss, **losses}

    def _match(
        self, model: Any, cost: Float[Tensor, "rows slots sources"], rows_per_clip: int
    ) -> Int[Tensor, "rows sources"]:
        try:
            return (self.matcher or model.matcher)(cost)
        except CostNotFinite as error:
            if rows_per_clip == 1:
                raise
            raise CostNotFinite(f"{error}. (Items count windows here, {rows_per_clip} to a clip.)") from None

    def _views(
        self,
        model: Any,
        prediction: Prediction,
        sources: Float[Tensor, "batch steps sources channels time"],
        whole: bool,
    ) -> tuple[Float[Tensor, "rows slots *signal"], Float[Tensor, "rows sources *signal"]]:
        """Return estimates and sources per clip or per window, as what the cost compares: magnitudes or waves."""
        batch = len(sources)
        if self.cost != "spectral_mse":
            return lay_out(exact(model.sources(prediction, batch)), whole), lay_out(sources, whole)
        estimates = magnitudes_of(prediction.estimates, prediction.spectrum, model.frontend)
        references = magnitudes_of_waves(sources.flatten(0, 1), model.frontend)
        return lay_out(estimates.unflatten(0, (batch, -1)), whole), lay_out(references.unflatten(0, (batch, -1)), whole)

    def _costs(
        self,
        estimates: Float[Tensor, "rows slots *signal"],
        references: Float[Tensor, "rows sources *signal"],
        mixture: Float[Tensor, "rows channels time"],
    ) -> Float[Tensor, "rows slots sources"]:
        if self.cost == "spectral_mse":
            return spectral_mse(estimates, references)
        return WAVE_COSTS[self.cost](estimates, references, mixture)


def _level(
    estimates: Float[Tensor, "rows slots channels time"],
    chosen: Int[Tensor, "rows sources"],
    references: Float[Tensor, "rows sources channels time"],
) -> Float[Tensor, ""]:
    """Return the mean squared decibels between all sources and what of all matched slots lies along them."""
    found, wanted = take(estimates, chosen).sum(1), references.sum(1)
    power = wanted.square().sum((1, 2))
    along = (found * wanted).sum((1, 2)) / power.clamp_min(1e-8)
    off = torch.where(power > 1e-8, 20 * along.clamp_min(0.03).log10(), 0.0)  # -30 dB are enough to learn from
    return off.square().mean()


def _spectral(
    estimates: Float[Tensor, "rows slots channels time"],
    chosen: Int[Tensor, "rows sources"],
    references: Float[Tensor, "rows sources channels time"],
    mixture: Float[Tensor, "rows channels time"],
) -> Float[Tensor, ""]:
    """Return the mean spectral distance of the matched pairs whose source can be heard; 0 without any."""
    heard = audible(references.square().mean(dim=(2, 3)), mixture)
    distance = torch.where(heard, multi_resolution(take(estimates, chosen), references), 0.0)
    return distance.sum() / heard.sum().clamp_min(1)
