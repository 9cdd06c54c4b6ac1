"""Mean and deviation of the targets: fitted on what is heard first, then kept with the weights."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Standardise(nn.Module):
    """Bring every dimension of a target to mean 0 and deviation 1, so that the losses of workers compare.

    The statistics are fitted in training, until `limit` frames were seen; they are buffers, saved with the weights.
    Before anything was seen, targets pass unchanged.

    Args:
        dim: of the target.
        limit: frames to fit on.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, dim: int, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(dim, dtype=torch.float64))

    @torch.no_grad()
    def fit(self, target: Float[Tensor, "batch dim frames"]) -> None:
        """Take more frames into account (the parallel update of Chan et al. 1983)."""
        target = target.double()
        count = target.shape[0] * target.shape[2]
        mean = target.mean(dim=(0, 2))
        total = self.count + count
        gap = mean - self.mean
        squares = (target - mean[:, None]).square().sum(dim=(0, 2))
        self.squares += squares + gap.square() * self.count * count / total
        self.mean += gap * count / total
        self.count.copy_(total)

    def forward(self, target: Float[Tensor, "batch dim frames"]) -> Float[Tensor, "batch dim frames"]:
        """Return the standardised target; in training, fit first."""
        if self.training and self.count < self.limit:
            self.fit(target)
        if self.count == 0:
            return target
        deviation = (self.squares / self.count).sqrt().clamp_min(1e-3)  # what never changes stays near 0
        return ((target - self.mean[:, None]) / deviation[:, None]).to(target.dtype)
