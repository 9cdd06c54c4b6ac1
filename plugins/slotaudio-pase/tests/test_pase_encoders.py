"""The published geometry: 10 ms frames, 148 ms reach, numbers of parameters."""

import pytest
import torch

from slotaudio import SlotModel, Spec, UserError, compose, export
from slotaudio.errors import IncompatibleStages
from slotaudio_pase.encoder import Pase
from slotaudio_pase.encoder_plus import PasePlus
from slotaudio_pase.qrnn import QRNN
from slotaudio_pase.trunk import HOP, MAPS, REACH, STRIDES, WIDTHS, reflected


def published(name):
    return compose(frontend="waveform", encoder=name, bottleneck=None, decoder=None, window=None).eval()


@pytest.mark.parametrize(("name", "dim", "parameters"), [("pase", 100, 5_818_020), ("pase_plus", 256, 7_832_896)])
def test_a_second_is_a_hundred_tokens(name, dim, parameters):
    model = published(name)
    features = model.encode(torch.randn(2, 1, 16000, generator=torch.Generator().manual_seed(0)))
    assert features.tokens.shape == (2, 1, 100, dim)
    assert features.positions.shape == (100, 1)
    assert sum(parameter.numel() for parameter in model.encoder.parameters()) == parameters
    with pytest.raises(UserError, match="without a bottleneck"):
        model(torch.zeros(1, 1, 1, 16000))


def test_strides_and_widths_give_hop_and_reach():
    hop, reach = 1, 251
    for width, stride in zip(WIDTHS, STRIDES, strict=True):
        reach += (width - 1) * hop
        hop *= stride
    assert (hop, reach) == (HOP, REACH)
    assert [64 * multiple for multiple in MAPS[1:]] == [64, 128, 128, 256, 256, 512, 512]


def test_margins_are_reflected_as_torch_does():
    maps = torch.randn(2, 3, 12)
    for margins in ((4, 5), (5, 5), (9, 10)):
        assert torch.equal(reflected(maps, *margins), torch.nn.functional.pad(maps, margins, mode="reflect"))


def test_the_reach_is_148_ms():
    encoder = Pase(dim=4, width=4).double().eval()
    wave = torch.randn(1, 1, 1, 8000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wave.requires_grad_()
    token = encoder(wave).tokens[0, 0, 25]
    (gradient,) = torch.autograd.grad(token.square().sum(), wave)
    seen = gradient.flatten().nonzero().flatten()
    first, last = int(seen[0]), int(seen[-1])
    assert last - first + 1 == REACH
    assert abs((first + last) / 2 - 25 * HOP) < HOP  # around the frame's own place
    for sample, moves in ((first - 1, False), (first, True), (25 * HOP, True), (last, True), (last + 1, False)):
        changed = wave.detach().clone()
        changed[..., sample] += 1.0
        assert bool((encoder(changed).tokens[0, 0, 25] != token).any()) == moves


@torch.no_grad()
@pytest.mark.parametrize("kind", [Pase, PasePlus])
@pytest.mark.parametrize("samples", [480, 500, 8000, 15999, 16001])
def test_any_length_gives_a_token_per_10_ms(kind, samples):
    tokens = kind(dim=4, width=4)(torch.randn(2, 1, 1, samples)).tokens
    assert abs(tokens.shape[2] - samples / HOP) <= 1


@torch.no_grad()
def test_pase_plus_remembers_the_past_and_only_that():
    encoder = PasePlus(dim=4, width=4, hidden=8).double().eval()
    wave = torch.randn(1, 1, 1, 16000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    changed = wave.clone()
    changed[..., 8000] += 1.0
    moved = (encoder(changed).tokens != encoder(wave).tokens).any(-1)[0, 0]
    assert not moved[: 50 - REACH // 2 // HOP - 1].any()
    assert moved[50 + REACH // 2 // HOP + 2 :].any()  # beyond the reach of the convolutions


@torch.no_grad()
def test_the_dense_skips_carry_fine_layers_past_a_silenced_memory():
    encoder = PasePlus(dim=4, width=4, hidden=8).eval()
    encoder.head.weight.zero_()
    waves = torch.randn(2, 1, 1, 4800, generator=torch.Generator().manual_seed(0))
    one, other = encoder(waves).tokens
    assert (one - other).abs().max() > 1e-3


@torch.no_grad()
def test_qrnn_is_its_recurrence():
    layer = QRNN(3, 5)
    maps = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    memory = torch.zeros(2, 5)
    for frame in range(7):
        now = maps[..., frame]
        before = maps[..., frame - 1] if frame else torch.zeros_like(now)
        gates = layer.gates(torch.stack([before, now], dim=-1))[..., 0]
        z, f, o = gates[:, :5].tanh(), gates[:, 5:10].sigmoid(), gates[:, 10:].sigmoid()
        memory = f * memory + (1 - f) * z
        assert torch.allclose(layer(maps)[..., frame], o * memory, atol=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(IncompatibleStages, match="reads one wave; the frontend takes 2 channels"):
        compose(frontend=Spec("waveform", channels=2), encoder="pase", bottleneck=None, decoder=None)
    with pytest.raises(UserError, match="too short; give at least 480"):
        Pase(width=4)(torch.zeros(1, 1, 1, 479))


@torch.no_grad()
@pytest.mark.parametrize("name", ["pase", "pase_plus"])
def test_it_reads_the_wave_of_any_slot_model(name, tmp_path):
    """The frontend is that of masks and synthesis; the encoder hears what it would hear alone."""
    torch.manual_seed(0)
    encoder = Spec(name, width=4, dim=8)
    stages = {
        "bottleneck": Spec("slot_attention", slot_dim=8),
        "decoder": Spec("spatial_broadcast", hidden=8, layers=1),
    }
    model = compose(Spec("stft", framing="centred"), encoder, **stages).eval()
    wave = torch.randn(2, 1, 8000)
    alone = compose("waveform", encoder, None, None).eval()
    alone.encoder.load_state_dict(model.encoder.state_dict())
    assert torch.equal(model.encode(wave).tokens, alone.encode(wave).tokens)
    assert model.sources(model(wave[:, None]), 2).shape == (2, 1, 2, 1, 8000)
    model.save_pretrained(tmp_path / "model")
    again = SlotModel.from_pretrained(tmp_path / "model")
    assert torch.equal(again(wave[:, None]).estimates.magnitudes, model(wave[:, None]).estimates.magnitudes)
    with pytest.raises(UserError, match=f"encoder '{name}' reads the wave, and what is exported gets its spectrum"):
        export(model, tmp_path / "model.onnx")


@torch.no_grad()
def test_its_tokens_make_slots():
    model = compose(frontend="waveform", encoder="pase", bottleneck="slot_attention", decoder=None, slots=3).eval()
    slots = model.bottleneck(model.encode(torch.randn(2, 1, 8000)), model.initial_slots(2))
    assert slots.vectors.shape == (2, 1, 3, 128)
    assert slots.attention.shape == (2, 1, 3, 50)
