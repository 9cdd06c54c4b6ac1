"""`MovingAverage`: the exponential moving average of the weights, kept where they are."""

from typing import Any

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(WeightAveraging):
    """Average all weights after each step, in a few kernels, on the device of the training.

    Lightning's own EMA callback keeps the average on the CPU unless it is told a device, and moves weight after weight
    there, each of which waits for the GPU.

    Args:
        decay: share of the average that a step leaves as it is.
        device: of the training: ``"auto"``, ``"cpu"`` or ``"gpu"``.
    """

    def __init__(self, decay: float, device: str) -> None:
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        place = torch.device("cpu") if device == "cpu" or found is None else found
        super().__init__(device=place, multi_avg_fn=get_ema_multi_avg_fn(decay))

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Make the average, and count its updates on the CPU: to look at a GPU's counter is to wait for the GPU."""
        super().setup(*args, **kwargs)
        if self._average_model is not None:
            self._average_model.n_averaged = torch.tensor(0)
