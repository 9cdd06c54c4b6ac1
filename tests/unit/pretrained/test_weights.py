"""Weights fit the model, all or those that are wanted, or one sentence says what differs; damage is never unpickled."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from saved_models import edit, tiny

from slotaudio import Spec
from slotaudio import pretrained as module
from slotaudio.errors import PretrainedError, UserError
from slotaudio.pretrained import from_pretrained, load_weights, save_pretrained


def test_weights_of_another_shape(saved):
    weights = load_file(saved / "model.safetensors")
    weights["bottleneck.queries"] = torch.zeros(5, 8)
    del weights["decoder.from_slot.weight"]
    save_file(weights, saved / "model.safetensors")
    edit(saved, sha256=module.sha256(saved / "model.safetensors"))
    message = r"2 tensors differ, first bottleneck.queries: \(5, 8\) in the file, \(2, 8\) in the model"
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(saved)


def test_a_model_takes_the_weights_of_a_saved_one_or_says_what_differs(saved):
    model = tiny(seed=1)
    load_weights(model, saved)
    for name, tensor in tiny().state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    with pytest.raises(PretrainedError, match="do not fit the model to be trained: 1 tensors differ"):
        load_weights(tiny(slots=3), saved)


def test_weights_that_are_to_be_fresh_stay_and_the_others_are_taken(saved):
    model, saved_weights = tiny(seed=1, slots=3), tiny().state_dict()
    queries = model.bottleneck.queries.clone()
    load_weights(model, saved, fresh=["*.queries"])
    assert torch.equal(model.bottleneck.queries, queries)
    assert all(torch.equal(model.state_dict()[n], t) for n, t in saved_weights.items() if "queries" not in n)
    with pytest.raises(UserError, match=r"fresh: no weight .* is named 'bottleneck.query'"):
        load_weights(model, saved, fresh=["bottleneck.query"])


def test_a_carried_bottleneck_takes_the_weights_of_the_one_it_wraps(saved):
    inner = tiny().specs["bottleneck"].to_dict()
    carried = Spec("carry_over", bottleneck=inner, heads=2)
    model = tiny(seed=1, bottleneck=carried)
    with pytest.raises(PretrainedError, match=r"first bottleneck.predictor\S+: missing in the file"):
        load_weights(model, saved)
    load_weights(model, saved, fresh=["bottleneck.predictor.*"])
    for name, tensor in tiny().bottleneck.state_dict().items():
        assert torch.equal(tensor, model.bottleneck.corrector.state_dict()[name]), name
    # and a saved model that carries already has them where they are
    again = tiny(seed=2, bottleneck=carried)
    load_weights(again, save_pretrained(model, saved.parent / "carried"))
    assert torch.equal(again.bottleneck.corrector.queries, model.bottleneck.corrector.queries)


@pytest.mark.parametrize("content", [b"", b"\x80\x04garbage", b"cut"])
def test_damaged_weights_are_never_unpickled(saved, content):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100] if content == b"cut" else content)
    with pytest.raises(PretrainedError, match=r"model.safetensors cannot be read"):
        from_pretrained(saved)


def test_damaged_or_missing_parts(saved, tmp_path):
    (saved / "model.safetensors").unlink()
    with pytest.raises(PretrainedError, match=r"model\.safetensors cannot be read"):
        from_pretrained(saved)
    (saved / "config.json").write_text("{")
    with pytest.raises(PretrainedError, match=r"config.json cannot be read"):
        from_pretrained(saved)
    with pytest.raises(PretrainedError, match=r"holds no saved model: there is no config.json"):
        from_pretrained(tmp_path)
    with pytest.raises(PretrainedError, match="is a file; a saved model is a folder"):
        from_pretrained(saved / "config.json")
