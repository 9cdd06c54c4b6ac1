"""What depletion does, beyond the contract of every bottleneck."""

import pytest
import torch

from slotaudio import Spec, UserError, compose
from slotaudio.types import Features
from slotaudio_evidence.bottleneck import EvidenceSlotAttention


def attention_module(**options):
    torch.manual_seed(0)
    return EvidenceSlotAttention(**{"in_dim": 6, "slots": 2, "slot_dim": 16, "positions": False, **options}).eval()


def features(seed=0, tokens=24):
    generator = torch.Generator().manual_seed(seed)
    return Features(torch.randn(3, 1, tokens, 6, generator=generator), torch.zeros(tokens, 2))


def overlap(attention):
    """Share of their attention that two slots spend on the same tokens."""
    return attention[:, :, 0].minimum(attention[:, :, 1]).sum(-1).mean().item()


def near_twins(seed, apart=0.05):
    generator = torch.Generator().manual_seed(seed)
    slot = torch.randn(3, 1, 16, generator=generator)
    return torch.cat([slot, slot + apart * torch.randn(3, 1, 16, generator=generator)], dim=1)


@torch.no_grad()
def test_without_depletion_a_slot_knows_nothing_of_the_others():
    first = torch.randn(3, 2, 16, generator=torch.Generator().manual_seed(1))
    second = torch.cat([first[:, :1], -first[:, 1:]], dim=1)
    memoryless, depleting = attention_module(depletion=0.0), attention_module()
    left, right = (memoryless(features(), initial).vectors[:, :, 0] for initial in (first, second))
    assert torch.equal(left, right)
    left, right = (depleting(features(), initial).vectors[:, :, 0] for initial in (first, second))
    assert (left - right).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("seed", range(5))
def test_depletion_drives_near_equal_slots_apart(seed):
    initial = near_twins(seed)
    overlaps = {}
    for gamma in (0.0, 1.0):
        module = attention_module(depletion=gamma, iterations=6, temperature=0.5)
        overlaps[gamma] = overlap(module(features(seed), initial).attention)
    assert overlaps[1.0] < overlaps[0.0] - 0.05


def alternation(seed, damping):
    """Mean cosine of the attention's changes from one iteration to the next: negative where it swings."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(3, 1, 24, 6, generator=generator)
    tokens[:, :, :16] = tokens[:, :, :1] + 0.1 * tokens[:, :, :16]  # one source owns most of them
    slot = torch.randn(3, 1, 16, generator=generator)
    initial = slot + 0.3 * torch.randn(3, 2, 16, generator=generator)
    torch.manual_seed(seed)
    module = EvidenceSlotAttention(6, 2, slot_dim=16, positions=False, temperature=0.5, damping=damping).eval()
    attentions = []
    for module.iterations in range(1, 8):
        attentions.append(module(Features(tokens, torch.zeros(24, 2)), initial).attention.flatten())
    changes = torch.stack(attentions).diff(dim=0)
    return torch.cosine_similarity(changes[1:], changes[:-1]).mean().item()


@torch.no_grad()
def test_damping_keeps_the_slots_from_swinging():
    swings = {damping: sum(alternation(seed, damping) for seed in range(8)) / 8 for damping in (1.0, 0.5)}
    assert swings[1.0] < -0.1  # all flee from the loudest source, and return
    assert swings[0.5] > 0.1


@torch.no_grad()
def test_slots_that_start_equal_stay_equal():
    vectors = attention_module()(features(), near_twins(0, apart=0.0)).vectors
    assert torch.allclose(vectors[:, :, 0], vectors[:, :, 1], atol=1e-6)


@torch.no_grad()
def test_evidence_is_what_the_others_transmit():
    module = attention_module(depletion=0.7, floor=0.1)
    depth = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0))
    found = module.evidence(depth)
    for slot in range(3):
        transmitted = torch.ones(2, 5)
        for other in {0, 1, 2} - {slot}:
            transmitted = transmitted * (-0.7 * depth[:, other]).exp()
        assert torch.allclose(found[:, slot], 0.1 + 0.9 * transmitted, atol=1e-6)
    assert torch.equal(module.evidence(torch.zeros(1, 2, 4)), torch.ones(1, 2, 4))
    assert module.evidence(torch.full((1, 2, 4), 1e4)).min() == pytest.approx(0.1)


@torch.no_grad()
def test_one_iteration_depletes_nothing():
    initial = near_twins(2)
    once = [attention_module(depletion=gamma, iterations=1)(features(), initial) for gamma in (0.0, 5.0)]
    assert torch.equal(once[0].vectors, once[1].vectors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "at least 1"),
        ({"depletion": -1.0}, "negative"),
        ({"bias": -0.1}, "negative"),
        ({"damping": 0.0}, "at most 1"),
        ({"floor": 1.5}, "at most 1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        attention_module(**options)


@torch.no_grad()
def test_it_serves_in_a_model_and_under_carry_over():
    wrapped = Spec("carry_over", bottleneck=Spec("evidence", slot_dim=16))
    for bottleneck in (Spec("evidence", slot_dim=16), wrapped):
        model = compose(
            encoder=Spec("resnet", depth=10, width=4),
            bottleneck=bottleneck,
            decoder=Spec("spatial_broadcast", hidden=8, layers=1),
            slots=3,
        ).eval()
        prediction = model(torch.zeros(1, 2, 1, 8000))
        assert model.sources(prediction).shape == (1, 2, 3, 1, 8000)
