"""Every frontend, encoder, bottleneck and decoder that is offered, in every combination: it trains, or says why not.

Plug-ins that are installed take part with what they offer. A model without a decoder trains by its slots.
"""

import copy
from itertools import product

import pytest
import torch
from torch import Tensor

from slotaudio import SlotModel, Spec, compose
from slotaudio.errors import IncompatibleStages
from slotaudio.objectives.supervised import Supervised
from slotaudio.registry import bottlenecks, decoders, encoders, frontends
from slotaudio.testing.drawing import wave
from slotaudio.types import Batch

SMALL = {
    ("frontend", "stft"): {"window": 64, "hop": 16, "framing": "centred", "features": "complex"},
    ("frontend", "sinc"): {"filters": 8, "width": 31},
    ("encoder", "resnet"): {"depth": 10, "width": 2},
    ("encoder", "band_split"): {"dim": 4, "hidden": 2},
    ("encoder", "music_unet"): {"width": 4, "strides": [4, 2], "kernel": 4},
    ("encoder", "pase"): {"width": 2, "dim": 4},
    ("encoder", "pase_plus"): {"width": 2, "dim": 4, "hidden": 4},
    ("bottleneck", "transformer"): {"slot_dim": 8, "layers": 1, "heads": 2, "qkv_dim": 4, "mlp_dim": 4},
    ("bottleneck", "slot_attention"): {"slot_dim": 8, "iterations": 1},
    ("bottleneck", "carry_over"): {
        "bottleneck": {"name": "slot_attention", "slot_dim": 8, "iterations": 1},
        "heads": 2,
    },
    ("bottleneck", "dual_path_transformer"): {
        "slot_dim": 8,
        "dim": 8,
        "blocks": 1,
        "heads": 2,
        "hidden": 4,
        "segment": 8,
    },
    ("bottleneck", "evidence"): {"slot_dim": 8, "iterations": 1},
    ("decoder", "spatial_broadcast"): {"hidden": 8, "layers": 1, "waves": [2, 2], "output": "softplus"},
    ("decoder", "mask"): {"hidden": 2},
}
"""Small options, also of the plug-ins in plugins/; what is not in the table is tried with its defaults."""

FAMILIES = ("frontend", "encoder", "bottleneck", "decoder")
SAMPLES = 640
COMBINATIONS = list(product(frontends, encoders, bottlenecks, [*decoders, None]))


def small(family: str, name: str | None) -> Spec | None:
    return None if name is None else Spec(name, **copy.deepcopy(SMALL.get((family, name), {})))


def batch() -> Batch:
    sources = wave(0, 2, 2, 1, SAMPLES) / 2
    return Batch(sources.sum(1), sources)


def composed(*names: str | None) -> tuple[SlotModel | None, str]:
    """Return the model, or why its stages do not fit; whatever else is wrong is an error of the test's."""
    try:
        return compose(*map(small, FAMILIES, names), window=None), ""
    except IncompatibleStages as reason:
        return None, str(reason)


def loss_of(model: SlotModel) -> Tensor:
    if model.decoder is not None:
        return Supervised(cost="snr")(model, batch())["loss"]
    features = model.encode(batch().mixture)
    return model.bottleneck(features, model.initial_slots(2)).vectors.square().mean()


@pytest.mark.parametrize(("frontend", "encoder", "bottleneck", "decoder"), COMBINATIONS)
def test_a_combination_trains_or_says_why_not_before_any_compute(frontend, encoder, bottleneck, decoder):
    torch.manual_seed(0)
    model, reason = composed(frontend, encoder, bottleneck, decoder)
    if model is None:
        assert any(name in reason for name in (frontend, encoder, bottleneck, decoder) if name), reason
        return
    before = [parameter.clone() for parameter in model.parameters()]
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = loss_of(model)
    loss.backward()
    optimiser.step()
    assert torch.isfinite(loss)
    after = list(model.parameters())
    assert all(parameter.isfinite().all() for parameter in after)
    assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_every_component_fits_somewhere():
    """Or the test above would pass for a component that is always refused."""
    fitting = [names for names in COMBINATIONS if composed(*names)[0] is not None]
    for place, family in enumerate(FAMILIES):
        assert {names[place] for names in fitting} == {names[place] for names in COMBINATIONS}, family


def test_the_systems_of_the_documentation_are_among_those_that_train():
    for encoder, decoder in (("resnet", "spatial_broadcast"), ("band_split", "mask")):
        model, reason = composed("stft", encoder, "carry_over", decoder)
        assert model is not None, reason


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ({"decoder": "mask"}, r"decoder 'mask' needs bands, which .* do not offer \(they offer .*in_dim, sample_rate"),
        (
            {"frontend": "waveform", "decoder": "spatial_broadcast"},
            "decoder 'spatial_broadcast' needs a frontend that has compress and expand; frontend 'waveform' has not",
        ),
        ({"bottleneck": None}, "decoder 'spatial_broadcast' needs slot_dim"),
    ],
)
def test_what_does_not_fit_says_why(stages, message):
    wanted = {"frontend": "stft", "encoder": "resnet", "bottleneck": "slot_attention", "decoder": "spatial_broadcast"}
    wanted = {family: name and small(family, name) for family, name in {**wanted, **stages}.items()}
    with pytest.raises(IncompatibleStages, match=message):
        compose(**wanted)


def test_stages_can_offer_and_require_what_the_core_does_not_know(tmp_path):
    """An encoder and a decoder of a third party agree on a value of their own, also through a saved model."""
    from torch import nn

    from slotaudio.pretrained import from_pretrained, save_pretrained
    from slotaudio.types import Estimates, Features

    @encoders.register("pooling_test")
    class Pooling(nn.Module):
        """Mean over the frequencies."""

        out_dim = 4

        def __init__(self, freq: int) -> None:
            super().__init__()
            self.project = nn.Linear(freq, 4)
            self.offers = {"secret_dim": 5}

        def forward(self, features):
            tokens = self.project(features.mean(dim=1).transpose(1, 2))[:, None]
            return Features(tokens, torch.linspace(-1, 1, tokens.shape[2])[:, None])

    @decoders.register("secretive_test")
    class Secretive(nn.Module):
        """One mask value per slot."""

        def __init__(self, slot_dim: int, secret_dim: int | None = None) -> None:
            super().__init__()
            self.inner = nn.Linear(slot_dim, secret_dim)

        def forward(self, vectors, features, spectrum):
            share = self.inner(vectors).mean(-1).transpose(1, 2)[:, :, :, None, None].softmax(1)
            return Estimates(masks=share.expand(-1, -1, *spectrum.values.shape[1:]).contiguous())

    stages = small("frontend", "stft"), "pooling_test", small("bottleneck", "slot_attention"), "secretive_test"
    model = compose(*stages, window=None)
    assert model.decoder.inner.out_features == 5
    save_pretrained(model, tmp_path / "model")
    assert from_pretrained(tmp_path / "model").decoder.inner.out_features == 5
