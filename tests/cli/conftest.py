"""What the command-line tests share: a model small enough to be made anew for every session.

Lets them import how commands are run, which lies beside them.
"""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A folder with a saved, untrained two-slot model at 16 kHz."""
    from slotaudio import Spec, compose
    from slotaudio.pretrained import save_pretrained

    torch.manual_seed(0)
    model = compose(
        frontend=Spec("stft", framing="centred"),
        encoder=Spec("resnet", depth=10, width=2),
        bottleneck=Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1, patch=(8, 8), output="softplus"),
    )
    return save_pretrained(model, tmp_path_factory.mktemp("models") / "tiny")
