"""The U-Net and the dual path: geometry, gain, and what a stem can be told by."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from slotaudio import Spec, UserError, compose
from slotaudio.errors import IncompatibleStages
from slotaudio_music.bottleneck import DualPathTransformer
from slotaudio_music.channel_attention import SkipAttention
from slotaudio_music.encoder import MusicUNetEncoder
from slotaudio_music.segments import cut, overlap_add

ENCODER = Spec("music_unet", width=4, strides=[4, 2], kernel=4, depthwise=3)
BOTTLENECK = Spec("dual_path_transformer", slot_dim=8, dim=8, blocks=1, heads=2, hidden=4, segment=4)


def small(**changes):
    torch.manual_seed(0)
    stages = {"frontend": Spec("waveform", sample_rate=8000, channels=2), "encoder": ENCODER, "bottleneck": BOTTLENECK}
    return compose(
        **{**stages, "decoder": "music_unet", "matcher": "fixed", "slots": 4, "window": None, **changes}
    ).eval()


def test_widths_frames_and_skips_are_the_papers():
    encoder = MusicUNetEncoder(in_channels=2)
    assert [level.conv.out_channels // 2 for level in encoder.levels] == [32, 64, 128, 256, 512, 1024]
    assert encoder.levels[0].conv.in_channels == 2
    assert encoder.out_dim == 1024
    assert encoder.total_stride == math.prod(encoder.strides) == 512
    features = encoder.eval()(torch.randn(1, 2, 1, 1025))
    assert features.tokens.shape == (1, 3, 1, 1024)
    assert [skip.shape[1:] for skip in features.skips] == [
        (32, 384), (64, 96), (128, 24), (256, 12), (512, 6), (1024, 3)
    ]  # fmt: skip


def test_only_waves_are_not_normalised():
    for norm, kinds in ((True, [nn.GroupNorm, nn.Identity]), (False, [nn.Identity, nn.Identity])):
        levels = small(decoder=Spec("music_unet", norm=norm)).decoder.levels
        assert [type(level.norm_conv) for level in levels] == kinds
        assert {type(level.norm_up) for level in levels} == {kinds[0]}


def test_the_receptive_field_is_what_a_gradient_reaches(monkeypatch):
    # what sees the whole wave must not hide what is local
    monkeypatch.setattr("slotaudio_music.encoder.loudness", lambda features: torch.ones(1, 1, 1))
    encoder = MusicUNetEncoder(2, width=4, strides=(4, 2), kernel=4, depthwise=3, dense=False, norm=False)
    torch.nn.init.zeros_(encoder.levels[0].attention.gate[2].weight)
    torch.nn.init.zeros_(encoder.levels[1].attention.gate[2].weight)
    samples = torch.randn(1, 2, 1, 800, requires_grad=True)
    middle = encoder(samples).tokens[0, 50, 0] @ torch.randn(encoder.out_dim)
    reached = torch.autograd.grad(middle, samples)[0].abs().sum(dim=(0, 1, 2)).nonzero()
    assert reached.max() - reached.min() + 1 == encoder.receptive_field


def test_dense_connections_reach_past_a_level_that_is_cut():
    encoder = MusicUNetEncoder(2, width=4, strides=(2, 2, 2), kernel=2, depthwise=1).eval()
    torch.nn.init.zeros_(encoder.levels[1].pointwise.weight)
    torch.nn.init.zeros_(encoder.levels[1].pointwise.bias)
    waves = torch.randn(2, 1, 2, 1, 64)
    first, second = (encoder(wave).tokens for wave in waves)
    assert not torch.allclose(first, second)
    for across in encoder.across:
        for project in across.projections:
            torch.nn.init.zeros_(project.weight)
    first, second = (encoder(wave).tokens for wave in waves)
    torch.testing.assert_close(first, second)


@given(st.floats(0.01, 10), st.integers(1, 200))
def test_estimates_follow_any_gain(gain, samples):
    model = small()
    mixture = torch.randn(1, 1, 2, samples) * 0.3
    with torch.no_grad():
        plain, louder = (model(wave).estimates.waves for wave in (mixture, gain * mixture))
    assert plain.shape == (1, 4, 2, samples)
    torch.testing.assert_close(louder, gain * plain, rtol=1e-2, atol=1e-3 * gain)


def test_silence_comes_back_as_near_silence():
    with torch.no_grad():
        waves = small()(torch.zeros(1, 1, 2, 500)).estimates.waves
    assert waves.abs().max() < 1e-3


def test_stems_differ_from_the_start_and_by_their_queries_alone():
    model = small()
    with torch.no_grad():
        mixture = torch.randn(1, 1, 2, 320)
        queries = model.initial_slots(1)
        waves = model(mixture).estimates.waves
        torch.testing.assert_close(model(mixture, queries.flip(1)).estimates.waves, waves.flip(1))
        same = model(mixture, queries[:, :1].expand(-1, 4, -1)).estimates.waves
    assert not torch.allclose(waves[:, 0], waves[:, 1])
    torch.testing.assert_close(same[:, 0], same[:, 3])


def test_each_slot_takes_what_it_needs_of_the_shared_skip():
    attention = SkipAttention(4)
    maps, skip = torch.randn(6, 4, 5), torch.randn(2, 4, 5)
    taken = attention(maps, skip) - maps
    share = taken / skip.repeat_interleave(3, dim=0)
    assert ((share > 0) & (share < 1)).all()
    assert not torch.allclose(share[0], share[1])
    torch.testing.assert_close(share, share[..., :1].expand_as(share), rtol=1e-3, atol=1e-4)


@given(st.integers(1, 30), st.integers(1, 9), st.data())
def test_overlap_add_undoes_cut(frames, segment, data):
    hop = data.draw(st.integers(1, segment))
    sequence = torch.randn(2, frames, 3)
    rows = cut(sequence, segment, hop)
    assert rows.shape[2] == segment
    torch.testing.assert_close(overlap_add(rows, hop, frames), sequence)


def test_both_paths_are_needed_to_reach_everywhere():
    """Within a segment by the intra transformer, from the first segment to the last by the inter one."""
    torch.manual_seed(0)
    bottleneck = DualPathTransformer(
        in_dim=4, slots=2, slot_dim=8, dim=8, blocks=1, heads=2, hidden=4, segment=4, hop=4
    )
    features = MusicUNetEncoder(2, width=4, strides=(4,), kernel=4).eval()(torch.randn(1, 2, 1, 64))
    tokens = features.tokens.detach().requires_grad_()
    slots = bottleneck(type(features)(tokens, features.positions), bottleneck.initial_slots(1))
    slots.vectors[0, 0].sum().backward()
    assert (tokens.grad.abs().amax(dim=(0, 2, 3)) > 0).all()


@pytest.mark.parametrize(
    ("stages", "error", "message"),
    [
        ({"frontend": "stft"}, IncompatibleStages, "reads a wave; the frontend gives 256 frequencies"),
        ({"encoder": Spec("music_unet", strides=[16], kernel=8)}, UserError, "a kernel that covers the largest"),
        ({"encoder": Spec("music_unet", depthwise=4)}, UserError, "an odd depthwise kernel"),
        ({"encoder": Spec("music_unet", strides=[])}, UserError, "strides"),
        ({"bottleneck": BOTTLENECK.updated(heads=3)}, UserError, "3 heads do not divide a width of 8"),
        ({"bottleneck": BOTTLENECK.updated(hop=5)}, UserError, "a hop of 5 is outside 1 to the segment's 4 frames"),
        (
            {"frontend": "stft", "encoder": "resnet"},
            IncompatibleStages,
            "decoder 'music_unet' needs skip_dims, strides",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_any_compute(stages, error, message):
    with pytest.raises(error, match=message):
        small(**stages)


@pytest.mark.parametrize("bottleneck", ["transformer", "slot_attention", "carry_over"])
def test_built_in_bottlenecks_fit_between(bottleneck):
    inner = {"bottleneck": {"name": "slot_attention", "slot_dim": 8}, "heads": 2}
    options = inner if bottleneck == "carry_over" else {"slot_dim": 8}
    waves = small(bottleneck=Spec(bottleneck, **options))(torch.randn(2, 1, 2, 80)).estimates.waves
    assert waves.shape == (2, 4, 2, 80)
    waves.square().mean().backward()


def test_the_bottleneck_fits_the_core():
    model = small(
        frontend=Spec("stft", window=64, hop=16, framing="centred"),
        encoder=Spec("resnet", depth=10, width=4),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1, waves=[2, 2]),
    )
    assert model(torch.randn(1, 1, 1, 320)).estimates.magnitudes.shape[1] == 4


def test_slots_without_a_frame_each_are_refused():
    model = small()
    mixture = torch.randn(1, 2, 80)
    spectrum = model.frontend(mixture)
    features = model.encoder(spectrum.values)
    with pytest.raises(UserError, match="a set of slots for each of 10 frames; it got 1"):
        model.decoder(torch.randn(1, 1, 4, 8), features, spectrum)
