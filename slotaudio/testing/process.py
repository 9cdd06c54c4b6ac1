"""What everybody in a process shares: generators of random numbers, and the settings of torch and numpy."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators that everybody shares, and put them back afterwards."""
    numpy, python = np.random.get_state(), random.getstate()  # noqa: NPY002 (the hidden one is meant)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        seed_others(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy)  # noqa: NPY002
            random.setstate(python)


def seed_others(seed: int) -> None:
    """Seed the shared generators of numpy and of Python, and not that of torch."""
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


def global_randomness() -> tuple[bytes, bytes]:
    """Return the states of the shared generators of torch and numpy.

    That of `random` is left out: runtime type checkers draw from it. Whether a result depends on it shows
    when it is `seeded` otherwise.
    """
    states = generators()
    return states["torch.manual_seed"], states["numpy.random.seed"]


def generators() -> dict[str, bytes]:
    """Return the state of every shared generator, by the function that seeds it."""
    _, keys, position, *_ = np.random.get_state()  # noqa: NPY002
    return {
        "torch.manual_seed": torch.get_rng_state().numpy().tobytes(),
        "numpy.random.seed": np.asarray(keys).tobytes() + str(position).encode(),
        "random.seed": repr(random.getstate()).encode(),
    }


def settings() -> dict[str, Any]:
    """Return the settings that one component could change for all others, by what changes them."""
    return {
        "torch.set_grad_enabled": torch.is_grad_enabled(),
        "torch.set_default_dtype": torch.get_default_dtype(),
        "torch.set_default_device": torch.get_default_device(),
        "torch.use_deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch.set_num_threads": torch.get_num_threads(),
        "torch.set_float32_matmul_precision": torch.get_float32_matmul_precision(),
        "torch.autograd.set_detect_anomaly": torch.is_anomaly_enabled(),
        "torch.backends.cudnn.benchmark": torch.backends.cudnn.benchmark,
        "torch.backends.cudnn.deterministic": torch.backends.cudnn.deterministic,
        "numpy.seterr": np.geterr(),
        "os.chdir": os.getcwd(),
    }


@contextmanager
def settings_kept() -> Iterator[None]:
    """Put the settings back afterwards, whatever was done to them: other checks must not suffer from it."""
    before = settings()
    try:
        yield
    finally:
        after = settings()
        for name, change in _CHANGES.items():
            if after[name] != before[name]:
                change(before[name])


_CHANGES: dict[str, Callable[[Any], Any]] = {
    "torch.set_grad_enabled": torch.set_grad_enabled,
    "torch.set_default_dtype": torch.set_default_dtype,
    "torch.set_default_device": torch.set_default_device,
    "torch.use_deterministic_algorithms": torch.use_deterministic_algorithms,
    "torch.set_num_threads": torch.set_num_threads,
    "torch.set_float32_matmul_precision": torch.set_float32_matmul_precision,
    "torch.autograd.set_detect_anomaly": torch.autograd.set_detect_anomaly,
    "torch.backends.cudnn.benchmark": lambda value: setattr(torch.backends.cudnn, "benchmark", value),
    "torch.backends.cudnn.deterministic": lambda value: setattr(torch.backends.cudnn, "deterministic", value),
    "numpy.seterr": lambda value: np.seterr(**value),
    "os.chdir": os.chdir,
}
"""What sets each of the `settings`."""
