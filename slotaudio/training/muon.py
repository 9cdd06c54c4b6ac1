"""`Muon`: orthogonalised steps for matrices, AdamW for everything else, as one optimiser."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """PyTorch's Muon for the weights that are matrices, its AdamW for the others.

    Muon (Jordan 2024; `torch.optim.Muon`) steps along the nearest orthogonal matrix to the momentum. It is
    defined for matrices only, while Lightning and learning-rate schedules expect one optimiser of all weights:
    this joins the two. Its steps have the size of AdamW's (Liu et al. 2025, arXiv 2502.16982, equation 4), so both take
    one learning rate.

    Args:
        weights: to train.
        learning_rate: of both.
        betas, weight_decay: of AdamW; Muon has the same decay.
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        weights = list(weights)
        matrices = [weight for weight in weights if weight.ndim == 2]
        others = [weight for weight in weights if weight.ndim != 2]
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            self._parts.append(
                StackedMuon(matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            )
        if others:
            self._parts.append(torch.optim.AdamW(others, learning_rate, betas, weight_decay=weight_decay))
        super().__init__(weights, {"lr": learning_rate})
        # the very groups of the parts: a schedule that changes them changes what the parts do
        self.param_groups = [group for part in self._parts for group in part.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; return what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both parts."""
        return {"parts": [part.state_dict() for part in self._parts], "state": {}, "param_groups": []}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the states of both parts."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self._parts for group in part.param_groups]


class StackedMuon(torch.optim.Muon):
    """PyTorch's Muon with matrices of one shape orthogonalised together.

    One by one, 128 small matrices keep a GPU waiting for the launches of thousands of kernels (79 ms on an H200).
    The learning rate is adjusted to the size of AdamW's steps, whatever `adjust_lr_fn` says.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; return what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[Any, list[Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    alike[weight.shape, weight.device, weight.dtype].append(weight)
            for weights in alike.values():
                self._step(weights, group)
        return loss

    def _step(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        momenta = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"]) if group["nesterov"] else momenta
        steps = orthogonal(torch.stack(ahead), group["ns_coefficients"], group["ns_steps"], group["eps"])
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        rate = 0.2 * max(weights[0].shape) ** 0.5 * group["lr"]  # arXiv 2502.16982, equation 4
        torch._foreach_add_(weights, list(steps.to(weights[0].dtype).unbind()), alpha=-rate)


def orthogonal(
    matrices: Float[Tensor, "batch rows columns"], coefficients: Sequence[float], steps: int, eps: float
) -> Float[Tensor, "batch rows columns"]:
    """Return about the nearest orthogonal matrix to each, by a Newton-Schulz iteration (Jordan 2024) in bfloat16."""
    first, second, third = coefficients
    wide = matrices.bfloat16()
    tall = wide.shape[-2] > wide.shape[-1]
    wide = wide.mT if tall else wide
    wide = wide / wide.norm(dim=(-2, -1), keepdim=True).clamp_min(eps)
    for _ in range(steps):
        gram = wide @ wide.mT
        update = torch.baddbmm(gram, gram, gram, beta=second, alpha=third)
        wide = torch.baddbmm(wide, update, wide, beta=first)
    return wide.mT if tall else wide
