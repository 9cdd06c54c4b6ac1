"""`averaged`: the weighted mean of saved models, and what cannot be averaged."""

import pytest
import torch

from slotaudio import SlotModel, Spec, compose
from slotaudio.averaging import averaged
from slotaudio.errors import PretrainedError, UserError


def saved(folder, seed: int, width: int = 2) -> tuple[str, SlotModel]:
    torch.manual_seed(seed)
    model = compose(
        encoder=Spec("resnet", depth=10, width=width),
        bottleneck=Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1, patch=(4, 4)),
    )
    return str(model.save_pretrained(folder / f"model-{seed}")), model


def test_every_weight_is_the_mean_by_shares(tmp_path):
    (one, first), (two, second) = saved(tmp_path, 0), saved(tmp_path, 1)
    before, after = first.state_dict(), second.state_dict()
    mean = averaged({one: 1.0, two: 3.0})
    assert not mean.training
    for name, tensor in mean.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (before[name] + 3 * after[name]) / 4)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    for name, tensor in averaged({two: 2.0}).state_dict().items():
        assert torch.equal(tensor, after[name])


@pytest.mark.parametrize("shares", [{}, {"a": -1.0, "b": 2.0}, {"a": 0.0}])
def test_shares_that_are_none(shares):
    with pytest.raises(UserError, match="must not be negative, nor all zero"):
        averaged(shares)


def test_models_of_other_shapes_are_refused(tmp_path):
    one, other = saved(tmp_path, 0)[0], saved(tmp_path, 1, width=4)[0]
    with pytest.raises(PretrainedError):
        averaged({one: 0.5, other: 0.5})
