"""Saving: what is restored from a state dict or a safetensors file computes the same, bit by bit."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import nn

from slotaudio.testing.process import seeded
from slotaudio.testing.stages import StageConformance


class SavingChecks(StageConformance):
    """Checks of the round trip through files."""

    def test_state_dict_restores_it_exactly(self) -> None:
        """Weights loaded into a newly built component give identical outputs."""
        module = self._trained()
        if isinstance(module, nn.Module):
            rebuilt = self._rebuilt()
            rebuilt.load_state_dict(module.state_dict())
            self._require_same(module, rebuilt, "after load_state_dict")

    def test_safetensors_restore_it_exactly(self) -> None:
        """The same through a safetensors file, which takes tensors only."""
        module = self._trained()
        if isinstance(module, nn.Module):
            rebuilt = self._rebuilt()
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "weights.safetensors")
                save_model(module, str(path))
                load_model(rebuilt, str(path))
            self._require_same(module, rebuilt, "after a round trip through safetensors")

    def _trained(self) -> Any:
        """Return a module that has been called in training: what that left in it has to be saved, too."""
        module = self.module()
        if isinstance(module, nn.Module):
            with seeded(1), torch.no_grad():
                self.call(module.train(), *self.inputs(1, **self.largest()))
            module.eval()
        return module

    def _rebuilt(self) -> Any:
        """Build once more, from other random numbers than the first time."""
        with seeded(99):
            return self.build().eval()

    def _require_same(self, module: Any, rebuilt: Any, when: str) -> None:
        inputs = self.inputs(0, **self.largest())
        with torch.no_grad():
            found, expected = self.call(rebuilt, *inputs), self.call(module, *inputs)
        how = f"does not compute the same {when}: something it needs is not in the state dict"
        self.require_close(found, expected, 0.0, how)
