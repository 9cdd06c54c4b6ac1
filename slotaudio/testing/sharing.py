"""Layers shared by accident: one module under two names, or one normalisation used in two places."""

from collections import Counter
from typing import Any, ClassVar

import torch
from torch import nn

from slotaudio.testing.stages import StageConformance
from slotaudio.wildcards import fits

NORMS = (
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
    nn.modules.batchnorm._NormBase,  # every BatchNorm and InstanceNorm
)


class SharingChecks(StageConformance):
    """Checks that what looks like two layers is two layers.

    Attributes:
        shared: layers (wildcards) that are shared, or called repeatedly, on purpose.
    """

    shared: ClassVar[tuple[str, ...]] = ()

    def single_pass(self) -> Any:
        """Return a module that goes through its layers once: with one iteration, where it iterates."""
        return self.build(iterations=1).eval() if self.takes("iterations") else self.module()

    def test_no_layer_is_shared_by_accident(self) -> None:
        """No layer with weights has two names, and no normalisation is called twice in one pass."""
        module = self.single_pass()
        if not isinstance(module, nn.Module):
            return
        names: dict[nn.Module, str] = {}
        for name, layer in module.named_modules(remove_duplicate=False):
            if any(True for _ in layer.parameters()) and layer in names and not self._meant(name, names[layer]):
                self.broken(f"uses one layer, weights and all, as {names[layer]} and as {name}")
            names.setdefault(layer, name)
        calls: Counter[str] = Counter()
        hooks = [
            layer.register_forward_pre_hook(lambda *_, name=name: calls.update([name]))
            for layer, name in names.items()
            if isinstance(layer, NORMS) and not self._meant(name)
        ]
        sizes = self.largest()
        if "steps" in sizes:
            sizes["steps"] = 1  # one pass per step is no second use
        with torch.no_grad():
            self.call(module, *self.inputs(0, **sizes))
        for hook in hooks:
            hook.remove()
        for name, count in calls.items():
            self.require(count == 1, f"calls the normalisation {name} {count} times in one pass")

    def _meant(self, *names: str) -> bool:
        return any(fits(name, self.shared) for name in names)
