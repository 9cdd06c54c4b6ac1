"""The moving average of the weights, step by step."""

from types import SimpleNamespace

import lightning
import torch
from torch import nn

from slotaudio.training.moving_average import MovingAverage


class Line(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)


def test_each_step_moves_the_average_by_what_the_decay_leaves() -> None:
    torch.manual_seed(0)
    module, average = Line(), MovingAverage(0.75, "cpu")
    average.setup(SimpleNamespace(), module, "fit")
    wanted = None
    for step in range(1, 4):
        with torch.no_grad():
            module.layer.weight.copy_(torch.randn(2, 3))
        average.on_train_batch_end(SimpleNamespace(global_step=step), module, None, None, step - 1)
        weight = module.layer.weight.detach()
        wanted = weight.clone() if wanted is None else 0.75 * wanted + 0.25 * weight
    kept = average._average_model.module.layer.weight
    torch.testing.assert_close(kept, wanted)
    average.on_train_batch_end(SimpleNamespace(global_step=3), module, None, None, 3)  # a batch that ended no step
    torch.testing.assert_close(kept, wanted)
    average.on_train_end(SimpleNamespace(), module)
    torch.testing.assert_close(module.layer.weight.detach(), wanted)


def test_it_lies_where_the_training_computes(monkeypatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("meta"))
    for device, place in (("auto", "meta"), ("gpu", "meta"), ("cpu", "cpu")):
        average = MovingAverage(0.9, device)
        average.setup(SimpleNamespace(), Line(), "fit")
        assert next(average._average_model.module.parameters()).device.type == place
        assert average._average_model.n_averaged.device.type == "cpu"  # where nobody waits for it
