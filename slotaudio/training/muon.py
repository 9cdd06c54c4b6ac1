"""`Muon`: orthogonalised steps for matrices, AdamW for everything else, as one optimiser."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


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
                torch.optim.Muon(matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
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
