"""From a core to a `torch.export` program whose batch and, where the model takes any length, time are free."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.exporting.core import Core


def trace(core: Core, arguments: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """Return the program; sizes that the code of a component fixes stay fixed.

    Args:
        core: what to trace.
        arguments: of two windows or more, since a size of one would be taken for a constant.

    Raises:
        UserError: a component does what cannot be traced, such as choosing by the values of a tensor.
    """
    anything = torch.export.Dim.AUTO
    free: list[dict[int, Any]] = [{0: anything} for _ in arguments]
    if core.model.window is None:
        free[0][3] = anything
    try:
        with torch.no_grad(), tracing():
            return torch.export.export(
                core, arguments, dynamic_shapes=dict(zip(core.inputs, free, strict=True)), strict=False
            )
    except Exception as error:  # the compiler's errors have no base of their own
        raise UserError(f"this model cannot be traced: {type(error).__name__}: {_first_line(error)}") from error


@contextmanager
def tracing() -> Iterator[None]:
    """Keep LSTMs as one operation of any length, and PyTorch's remarks about its own inside to itself.

    Their shapes are otherwise found by unrolling them, step by step, which fixes the length and takes minutes.
    """
    from torch._decomp import decomposition_table

    lstm = torch.ops.aten.lstm.input
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch._export", "torch.export")]
    levels = [logger.level for logger in loggers]
    with (
        mock.patch.dict(lstm.py_kernels, dict.fromkeys(lstm.py_kernels, _lstm_shapes)),
        mock.patch.dict(decomposition_table, {lstm: _lstm_shapes}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        lstm._dispatch_cache.clear()
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
    lstm._dispatch_cache.clear()


def _lstm_shapes(
    sequence: Tensor,
    states: list[Tensor],
    weights: list[Tensor],
    has_biases: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what ``aten::lstm.input`` returns, by shape."""
    hidden, cell = states
    shape = (*sequence.shape[:-1], (1 + bidirectional) * hidden.shape[-1])
    return sequence.new_empty(shape), torch.empty_like(hidden), torch.empty_like(cell)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
