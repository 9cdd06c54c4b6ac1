"""`torch.compile` and `torch.export`, where a component promises them."""

import sys
from typing import ClassVar

import torch

from slotaudio.testing.stages import StageConformance


class CompilingChecks(StageConformance):
    """Checks of the two compilers' front ends; generating code is torch's own affair.

    They cannot trace through runtime type checks: with ``--jaxtyping-packages=...`` nothing is checked here, so run
    these two without it.

    Attributes:
        compiles: promises `torch.compile` without a graph break.
        exports: promises `torch.export`.
    """

    compiles: ClassVar[bool] = False
    exports: ClassVar[bool] = False

    def test_it_compiles_where_promised(self) -> None:
        """`torch.compile` traces it as one graph, which computes the same."""
        if self.compiles and not checked_at_runtime():
            module, inputs = self.module(), self.inputs(0, **self.largest())
            torch.compiler.reset()
            with torch.no_grad():
                traced = torch.compile(module, backend="eager", fullgraph=True)
                self.require_close(traced(*inputs), module(*inputs), 1e-5, "after torch.compile")

    def test_it_exports_where_promised(self) -> None:
        """`torch.export` makes a program of it, which computes the same."""
        if self.exports and not checked_at_runtime():
            module, inputs = self.module(), self.inputs(0, **self.largest())
            with torch.no_grad():
                program = torch.export.export(module, inputs).module()
                self.require_close(program(*inputs), module(*inputs), 1e-5, "after torch.export")


def checked_at_runtime() -> bool:
    """Whether jaxtyping instruments what is imported in this process."""
    return any(type(finder).__module__.startswith("jaxtyping") for finder in sys.meta_path)
