"""Transformer bottleneck: a set in, a set out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from slotaudio.bottlenecks.attention import Attention
from slotaudio.bottlenecks.transformer import TransformerBottleneck
from slotaudio.errors import UserError
from slotaudio.types import Features

seeds = st.integers(0, 2**31 - 1)


def tokens(seed: int, batch: int = 2, steps: int = 3, count: int = 7, axes: int = 2) -> Features:
    generator = torch.Generator().manual_seed(seed)
    positions = torch.rand(count, axes, generator=generator) * 2 - 1
    return Features(torch.randn(batch, steps, count, 6, generator=generator), positions)


def as_double(features: Features) -> Features:
    return Features(features.tokens.double(), features.positions.double())


def bottleneck(seed: int = 0, **options: object) -> TransformerBottleneck:
    torch.manual_seed(seed)
    defaults = {"slots": 4, "slot_dim": 8, "layers": 2, "heads": 2, "qkv_dim": 12, "mlp_dim": 16, "presence": True}
    return TransformerBottleneck(**{"in_dim": 6, **defaults, **options}).eval()


@given(seeds, st.integers(1, 5), st.booleans())
def test_permuting_the_queries_permutes_the_slots(seed, slots, pre_norm):
    module = bottleneck(seed, slots=slots, pre_norm=pre_norm)
    order = torch.randperm(slots, generator=torch.Generator().manual_seed(seed))
    for double, tolerance in ((False, 1e-5), (True, 1e-12)):
        features = as_double(tokens(seed)) if double else tokens(seed)
        module = module.double() if double else module
        initial = module.initial_slots(2)
        here, there = module(features, initial), module(features, initial[:, order])
        for found, expected in (
            (there.vectors, here.vectors[:, :, order]),
            (there.attention, here.attention[:, :, order]),
            (there.presence, here.presence[:, :, order]),
        ):
            torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


@given(seeds, st.booleans(), st.integers(0, 2))
def test_attention_is_shared_out_over_the_tokens(seed, pre_norm, heads_power):
    module = bottleneck(seed, pre_norm=pre_norm, heads=2**heads_power)
    found = module(tokens(seed), module.initial_slots(2))
    assert found.attention.shape == (2, 3, 4, 7)
    assert (found.attention >= 0).all()
    torch.testing.assert_close(found.attention.sum(-1), torch.ones(2, 3, 4))


@given(seeds, st.booleans())
def test_steps_and_batch_items_do_not_see_each_other(seed, pre_norm):
    module, features = bottleneck(seed, pre_norm=pre_norm), tokens(seed)
    initial = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(seed))
    whole = module(features, initial).vectors
    for item in range(2):
        for step in range(3):
            alone = Features(features.tokens[item : item + 1, step : step + 1], features.positions)
            found = module(alone, initial[item : item + 1]).vectors
            torch.testing.assert_close(found[0, 0], whole[item, step], atol=1e-5, rtol=1e-5)


@given(seeds, st.integers(1, 2))
def test_order_of_tokens_does_not_matter_when_their_positions_go_along(seed, axes):
    module, features = bottleneck(seed), tokens(seed, axes=axes)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    shuffled = Features(features.tokens[:, :, order], features.positions[order])
    initial = module.initial_slots(2)
    found, expected = module(shuffled, initial), module(features, initial)
    torch.testing.assert_close(found.vectors, expected.vectors, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.attention, expected.attention[..., order], atol=1e-5, rtol=1e-5)


def test_positions_matter_unless_they_are_left_out():
    features = tokens(0)
    moved = Features(features.tokens, -features.positions)
    for positions in (True, False):
        module = bottleneck(positions=positions)
        initial = module.initial_slots(2)
        same = torch.equal(module(features, initial).vectors, module(moved, initial).vectors)
        assert same != positions


@given(seeds, st.integers(1, 6))
def test_any_number_of_initial_slots_may_be_given(seed, slots):
    module = bottleneck(seed)
    initial = torch.randn(2, slots, 8, generator=torch.Generator().manual_seed(seed))
    assert module(tokens(seed), initial).vectors.shape == (2, 3, slots, 8)


@given(seeds, st.booleans())
def test_every_weight_gets_a_finite_gradient_also_from_silence(seed, pre_norm):
    module, features = bottleneck(seed, pre_norm=pre_norm), tokens(seed)
    silent = Features(torch.zeros_like(features.tokens), features.positions)
    for given_ in (features, silent):
        module.zero_grad()
        found = module(given_, module.initial_slots(2))
        (found.vectors * torch.randn(8)).sum().add(found.presence.sum()).backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@given(seeds)
def test_looking_changes_nothing_but_what_is_shown(seed):
    torch.manual_seed(seed)
    attention = Attention(8, 6, 12, 3)
    queries, context = torch.randn(2, 4, 8), torch.randn(2, 7, 6)
    blind, nothing = attention(queries, context)
    seeing, weights = attention(queries, context, look=True)
    assert nothing is None
    torch.testing.assert_close(seeing, blind, atol=1e-5, rtol=1e-5)
    # one head: the output is the attention-weighted mean of the values
    single = Attention(8, 6, 12, 1)
    read, weights = single(queries, context, look=True)
    torch.testing.assert_close(read, single.merge(weights @ single.to_values(context)), atol=1e-5, rtol=1e-5)


@given(seeds, st.booleans())
def test_layers_are_pytorchs_decoder_layers(seed, pre_norm):
    module = bottleneck(seed, in_dim=8, layers=1, qkv_dim=8, pre_norm=pre_norm)
    features = Features(torch.randn(2, 1, 7, 8), torch.rand(7, 2) * 2 - 1)
    ours = module.layers[0]
    theirs = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=pre_norm).eval()
    with torch.no_grad():
        for own, other in ((ours.among, theirs.self_attn), (ours.across, theirs.multihead_attn)):
            parts = (own.to_queries, own.to_keys, own.to_values)
            other.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
            other.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
            other.out_proj.load_state_dict(own.merge.state_dict())
        theirs.linear1.load_state_dict(ours.mlp[0].state_dict())
        theirs.linear2.load_state_dict(ours.mlp[2].state_dict())
    heard = nn.functional.layer_norm(features.tokens[:, 0] + module.position_code(features.positions), (8,))
    expected = theirs(module.initial_slots(2), heard)
    expected = nn.functional.layer_norm(expected, (8,)) if pre_norm else expected
    torch.testing.assert_close(module(features, module.initial_slots(2)).vectors[:, 0], expected, atol=1e-5, rtol=1e-4)


def test_attention_is_exact_under_bfloat16():
    module = bottleneck()
    with torch.autocast("cpu", torch.bfloat16):
        attention = module(tokens(1), module.initial_slots(2)).attention
    assert attention.dtype == torch.float32
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 3, 4), atol=1e-6, rtol=0)


def test_narrow_inner_widths_keep_the_papers_size_affordable():
    with torch.device("meta"):
        module = TransformerBottleneck(512, slots=2, slot_dim=4096)
    assert 40e6 < sum(parameter.numel() for parameter in module.parameters()) < 80e6


def test_wrong_heads_are_explained():
    with pytest.raises(UserError, match="5 heads do not divide a qkv_dim of 12"):
        bottleneck(heads=5)
