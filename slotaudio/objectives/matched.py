"""Slots of known sources: what auxiliary objectives read beside another one that trains the model."""

from typing import Any

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from slotaudio.errors import UserError
from slotaudio.objectives.costs import WAVE_COSTS, audible
from slotaudio.objectives.views import cut, exact, lay_out
from slotaudio.types import Batch, Prediction


class _Overheard:
    """A model to everybody who uses it; keeps what it predicted last."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.prediction: Prediction | None = None

    def __call__(self, *arguments: Any, **options: Any) -> Prediction:
        self.prediction = self._model(*arguments, **options)
        return self.prediction

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def overheard(asking: str, objective: Any, model: Any, batch: Batch) -> tuple[dict[str, Tensor], Prediction]:
    """Return another objective's losses, and what it made the model predict.

    Raises:
        UserError: it looks at no slots of this batch; `asking` is the name of the objective that wants them.
    """
    listening = _Overheard(model)
    losses = dict(objective(listening, batch))
    prediction = listening.prediction
    if prediction is None or len(prediction.slots.vectors) != len(batch.mixture):
        raise UserError(
            f"{asking}: objective {type(objective).__name__} does not make the model find the slots of the mixtures; "
            "choose another one, such as 'supervised'"
        )
    return losses, prediction


def matched_slots(
    model: Any, prediction: Prediction, batch: Batch, whole: bool = False
) -> tuple[Float[Tensor, "batch sources steps dim"], Bool[Tensor, "batch sources steps"]]:
    """Return the slot of every source at every time, and whether the source can be heard meanwhile.

    Sources are matched by the model's matcher, on the signal-to-noise ratio of what became of the slots.

    Args:
        model: that made the prediction.
        prediction: for the mixtures of the batch, cut into the model's windows.
        batch: the mixtures and their sources.
        whole: match once for each clip, not window by window.
    """
    sources = cut(batch.sources, model.window_samples)
    mixture = cut(batch.mixture[:, None], model.window_samples)
    slots = prediction.slots.vectors
    with torch.no_grad(), torch.autocast(slots.device.type, enabled=False):
        estimates = model.sources(prediction, len(sources)).to(sources)
        waves, truth, mixed = (lay_out(part, whole) for part in (estimates, sources, mixture))
        cost = WAVE_COSTS["snr"](waves, truth, mixed[:, 0])
        chosen: Int[Tensor, "rows sources"] = model.matcher(cost)
        power = reduce(sources**2, "batch windows sources channels time -> batch sources windows time", "mean")
        level = nn.functional.adaptive_avg_pool1d(power.flatten(2), slots.shape[1])
        heard = audible(level, rearrange(mixture, "batch windows 1 channels time -> batch channels (windows time)"))
    each = chosen.repeat_interleave(sources.shape[1], dim=0) if whole else chosen
    steps = rearrange(each, "(batch windows) sources -> batch windows sources", batch=len(sources))
    parts = slots.shape[1] // sources.shape[1]
    index = steps.repeat_interleave(parts, dim=1)[..., None].expand(-1, -1, -1, slots.shape[-1])
    return exact(rearrange(slots.gather(2, index), "batch steps sources dim -> batch sources steps dim")), heard
