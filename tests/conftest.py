"""Hypothesis profiles; one thread per process, so that timings and sums repeat; a model that many tests use."""

import os
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import Phase, settings

if TYPE_CHECKING:
    from slotaudio import SlotModel

# explaining a failure traces every line of torch that it ran: minutes for a hint that a seed gives as well
PHASES = [phase for phase in Phase if phase is not Phase.explain]
settings.register_profile("dev", max_examples=15, deadline=None, phases=PHASES)
settings.register_profile("ci", max_examples=40, deadline=None, derandomize=True, phases=PHASES)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

torch.set_num_threads(1)


@pytest.fixture
def any_length() -> "SlotModel":
    """A small model of two slots at 16 kHz that takes any length at full resolution."""
    from slotaudio import Spec, compose  # not before pytest has put its checks of shapes in

    torch.manual_seed(0)
    return compose(
        Spec("stft", window=256, hop=128, framing="centred", features="complex"),
        Spec("band_split", dim=8, hidden=8, blocks=1),
        Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=8, mlp_dim=8),
        Spec("mask", hidden=8, blocks=1),
        "exhaustive",
        slots=2,
        window=None,
    )
