"""Weights saved in 8 bits: those that are named, a quarter as large, hardly another model."""

import pytest
import torch
from safetensors.torch import load_file

from slotaudio import Spec, compose
from slotaudio.errors import PretrainedError, UserError
from slotaudio.pretrained import from_pretrained, save_pretrained


@pytest.fixture
def model():
    torch.manual_seed(0)
    return compose(
        encoder=Spec("resnet", depth=10, width=4),
        bottleneck=Spec("transformer", slot_dim=64, layers=2, heads=2, qkv_dim=32, mlp_dim=128),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1, patch=(4, 4)),
    ).eval()


def test_matrices_and_kernels_that_are_named_take_a_quarter(model, tmp_path):
    before = model.state_dict()
    folder = save_pretrained(model, tmp_path, eight_bits=["encoder.*", "bottleneck.layers.*"])
    stored = load_file(folder / "model.safetensors")
    for name, weight in stored.items():
        small = name.startswith(("encoder.", "bottleneck.layers.")) and weight.ndim > 1
        assert weight.dtype == (torch.float8_e4m3fn if small else before[name].dtype), name
    again = from_pretrained(folder)
    for name, weight in again.state_dict().items():
        assert weight.dtype == before[name].dtype  # nobody computes in 8 bits
        error = (weight - before[name]).abs()
        assert (error <= (before[name].abs() / 16).clamp(min=2**-10)).all(), name
    windows = torch.randn(1, 1, 1, 8000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact, sources = (one.sources(one(windows)) for one in (model, again))
    assert 0 < (sources - exact).square().mean() < 0.01 * exact.square().mean()
    assert save_pretrained(
        again, tmp_path / "again", eight_bits=["*"]
    ).exists()  # and what is in 8 bits stays what it is
    twice = load_file(tmp_path / "again" / "model.safetensors")
    for name, weight in stored.items():
        if weight.dtype == torch.float8_e4m3fn:
            assert torch.equal(weight.float(), twice[name].float())


def test_half_precision_and_eight_bits_go_together(model, tmp_path):
    folder = save_pretrained(model.half(), tmp_path, eight_bits=["encoder.*"])
    kinds = {weight.dtype for weight in load_file(folder / "model.safetensors").values()}
    assert kinds >= {torch.float16, torch.float8_e4m3fn}
    assert torch.float32 not in kinds


def test_names_that_fit_nothing_and_weights_that_do_not_fit_leave_no_file(model, tmp_path):
    with pytest.raises(UserError, match=r"eight_bits: no weight of the model is named 'enc\.\*'; near it are"):
        save_pretrained(model, tmp_path / "model", eight_bits=["enc.*"])
    with torch.no_grad():
        model.bottleneck.queries.fill_(500.0)
    with pytest.raises(PretrainedError, match=r"bottleneck\.queries is not between -448 and 448, .*: leave it out"):
        save_pretrained(model, tmp_path / "model", eight_bits=["bottleneck.*"])
    assert not (tmp_path / "model").exists()
