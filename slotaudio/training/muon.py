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

    One by one, 128 small matrices keep a GPU waiting for the launches of thousands of kernels (79 ms on an H200); of
    stacks it still waits (15 ms), so that a CUDA graph launches them all at once. The learning rate is
    adjusted to the size of AdamW's steps, whatever `adjust_lr_fn` says.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._graphs: dict[int, tuple[Any, ...]] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; return what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for number, group in enumerate(self.param_groups):
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._step(number, weights, group)
        return loss

    def _step(self, number: int, weights: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        momenta = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = list(torch._foreach_lerp(gradients, momenta, group["momentum"])) if group["nesterov"] else momenta
        steps = self._directions(number, ahead, group)
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(weights, steps, alpha=-group["lr"])

    def _directions(self, number: int, matrices: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Return the steps along orthogonal matrices, of the size that a learning rate of 1 would have."""
        options = (group["ns_coefficients"], group["ns_steps"], group["eps"])
        if not matrices[0].is_cuda:
            return _steps(matrices, *options)
        shapes = [matrix.shape for matrix in matrices]
        if number not in self._graphs or self._graphs[number][0] != (shapes, options):
            given = [torch.empty_like(matrix) for matrix in matrices]
            torch._foreach_copy_(given, matrices)
            graph = torch.cuda.CUDAGraph()
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                _steps(given, *options)  # once outside, so that libraries get their workspaces
            torch.cuda.current_stream().wait_stream(aside)
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # others pin memory meanwhile
                made = _steps(given, *options)
            self._graphs[number] = ((shapes, options), graph, given, made)
        _, graph, given, made = self._graphs[number]
        torch._foreach_copy_(given, matrices)
        graph.replay()
        return made


def _steps(matrices: Sequence[Tensor], coefficients: Sequence[float], steps: int, eps: float) -> list[Tensor]:
    """Return the steps of matrices of any shapes, those of one shape orthogonalised together."""
    alike: dict[Any, list[int]] = defaultdict(list)
    for place, matrix in enumerate(matrices):
        alike[matrix.shape, matrix.device, matrix.dtype].append(place)
    found: list[Tensor] = list(matrices)
    for (shape, _, kind), places in alike.items():
        stack = orthogonal(torch.stack([matrices[place] for place in places]), coefficients, steps, eps)
        sized = 0.2 * max(shape) ** 0.5 * stack.to(kind)  # arXiv 2502.16982, equation 4
        for place, step in zip(places, sized.unbind(), strict=True):
            found[place] = step
    return found


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
