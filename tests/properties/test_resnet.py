"""ResNet: geometry, initial state, independence of the items."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from slotaudio.encoders.resnet import BLOCKS, Block, ResNet
from slotaudio.errors import UserError

seeds = st.integers(0, 2**31 - 1)


def spectra(seed: int, batch: int = 2, freq: int = 24, frames: int = 16) -> torch.Tensor:
    return torch.rand(batch, 1, freq, frames, generator=torch.Generator().manual_seed(seed))


def narrow(seed: int = 0, **options: object) -> ResNet:
    torch.manual_seed(seed)
    return ResNet(1, **{"depth": 10, "width": 4, **options})


def test_the_papers_grid_is_32_by_8_of_512():
    with torch.device("meta"):
        encoder = ResNet(1)
    assert encoder.out_dim == 512
    assert sum(isinstance(module, Block) for module in encoder.modules()) == 3 + 4 + 6 + 3
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in encoder.modules()) == 33  # and a head
    features = narrow()(spectra(0, freq=256, frames=64))
    assert features.tokens.shape == (2, 1, 32 * 8, narrow().out_dim)
    assert features.positions.shape == (32 * 8, 2)


def test_tokens_run_along_time_first():
    positions = narrow()(spectra(0, freq=256, frames=64)).positions
    torch.testing.assert_close(positions[:8, 1], torch.linspace(-1, 1, 8))
    assert (positions[:8, 0] == -1).all()
    assert positions[-1].tolist() == [1, 1]


@given(seeds, st.integers(1, 40), st.integers(1, 40), st.sampled_from([2, 4, 6, 10]), st.sampled_from(sorted(BLOCKS)))
def test_any_size_is_rounded_up(seed, freq, frames, width, depth):
    encoder = narrow(seed, width=width, depth=depth, skips=True)
    features = encoder(spectra(seed, freq=freq, frames=frames))
    tokens = -(-freq // 8) * -(-frames // 8)
    assert features.tokens.shape == (2, 1, tokens, 8 * width)
    assert features.positions.shape == (tokens, 2)
    assert features.positions.abs().max() <= 1
    assert [skip.shape[1] for skip in features.skips] == [width, 2 * width, 4 * width, 8 * width]
    assert features.skips[0].shape[-2:] == (freq, frames)
    torch.testing.assert_close(features.skips[-1].flatten(2).mT, features.tokens[:, 0])


@given(seeds, st.sampled_from(sorted(BLOCKS)))
def test_every_block_starts_as_its_shortcut(seed, depth):
    encoder = narrow(seed, depth=depth)
    maps = torch.randn(2, 4, 6, 5)
    blocks = [module for module in encoder.modules() if isinstance(module, Block)]
    assert len(blocks) == sum(BLOCKS[depth])
    for block in blocks:
        maps, shortcut = block(maps), block.shortcut(maps)
        torch.testing.assert_close(maps, shortcut.relu())


def test_no_norm_is_shared():
    norms = [module for module in narrow(depth=34).modules() if isinstance(module, nn.GroupNorm)]
    assert len(norms) == 1 + 2 * 16 + 3  # root, two per block, one per projecting shortcut
    assert len({id(norm.weight) for norm in norms}) == len(norms)


@pytest.mark.parametrize(("width", "groups"), [(64, 32), (16, 8), (24, 12), (6, 3), (2, 1)])
def test_groups_hold_at_least_two_channels(width, groups):
    norm = narrow(width=width).root_norm
    assert norm.num_groups == groups


@given(seeds)
def test_items_do_not_see_each_other(seed):
    encoder, images = narrow(seed), spectra(seed, batch=3)
    whole = encoder(images).tokens
    torch.testing.assert_close(encoder(images[1:2]).tokens, whole[1:2], atol=1e-5, rtol=1e-5)


@given(seeds)
def test_channels_last_changes_nothing(seed):
    encoder, images = narrow(seed), spectra(seed)
    expected = encoder(images).tokens
    torch.testing.assert_close(
        encoder.to(memory_format=torch.channels_last)(images).tokens, expected, atol=1e-4, rtol=1e-4
    )


@given(seeds)
def test_silence_gives_finite_tokens_and_gradients(seed):
    encoder = narrow(seed)
    encoder(torch.zeros(1, 1, 24, 16)).tokens.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in encoder.parameters())


@pytest.mark.parametrize(("options", "complaint"), [({"depth": 50}, "10, 18, 34"), ({"width": 5}, "even")])
def test_wrong_options_are_explained(options, complaint):
    with pytest.raises(UserError, match=complaint):
        ResNet(1, **options)


def test_convolutions_begin_as_the_paper_says():
    torch.manual_seed(0)
    kernel = ResNet(1, depth=18, width=32).stages[3][0].main[0].weight.detach()  # 128 to 256
    assert float(kernel.std()) == pytest.approx((2 / (9 * kernel.shape[0])) ** 0.5, rel=0.03)


def test_thirty_four_layers_are_those_of_the_paper():
    assert [len(stage) for stage in ResNet(1, depth=34, width=4).stages] == [3, 4, 6, 3]
