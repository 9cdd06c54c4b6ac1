"""One clean source in, the same source out: what the bottleneck can hold, apart from separation."""

from typing import Any, Literal

from einops import rearrange
from torch import Tensor

from slotaudio.objectives.supervised import Supervised
from slotaudio.types import Batch


class Autoencoder:
    """Reconstruct every clean source by itself (the ``n = 1`` variant of AudioSlots, arXiv 2305.05591, section 4).

    Compose the model with one slot; given more, the best one is trained. The distance from the oracle masks
    to this is what bottleneck and decoder lose; the distance from this to the separator is what separation costs.

    Args:
        cost: as of `slotaudio.objectives.supervised.Supervised`.

    Raises:
        UserError: unknown cost.
    """

    def __init__(self, cost: Literal["spectral_mse", "snr", "si_sdr"] = "spectral_mse") -> None:
        self.supervised = Supervised(cost=cost)

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss`` and the cost by its name, over all sources of all items."""
        clean = rearrange(batch.sources, "batch sources channels time -> (batch sources) channels time")
        return self.supervised(model, Batch(mixture=clean, sources=clean[:, None]))
