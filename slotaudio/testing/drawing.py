"""Cases for the checks: hypothesis draws a seed and sizes, the tensors follow from the seed."""

import os
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

seeds: st.SearchStrategy[int] = st.integers(0, 2**31 - 1)
"""Seeds of `torch.Generator`."""


def sizes(smallest: int, largest: int) -> st.SearchStrategy[int]:
    """Sizes of one axis."""
    return st.integers(smallest, largest)


def for_all(check: Callable[..., None], examples: int, **strategies: st.SearchStrategy[Any]) -> None:
    """Run `check` on drawn cases; hypothesis shrinks and reports the case that fails.

    ``pytest --conformance-examples=100`` draws that many instead of `examples`.
    """
    examples = int(os.environ.get("SLOTAUDIO_CONFORMANCE_EXAMPLES") or examples)
    given(seed=seeds, **strategies)(
        settings(
            max_examples=examples,
            deadline=None,
            report_multiple_bugs=False,  # one broken contract is one sentence
            suppress_health_check=list(HealthCheck),
        )(lambda **case: check(**case))
    )()


def generator(seed: int) -> torch.Generator:
    """Return a generator of its own for one case."""
    return torch.Generator().manual_seed(seed)


def noise(seed: int, *shape: int) -> Float[Tensor, "*axes"]:
    """Return Gaussian noise of that shape."""
    return torch.randn(*shape, generator=generator(seed))


def wave(seed: int, *shape: int) -> Float[Tensor, "*axes"]:
    """Return noise within [-1, 1], as audio is."""
    return torch.rand(*shape, generator=generator(seed)) * 2 - 1
