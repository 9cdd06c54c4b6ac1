"""A model small enough to be saved in every test, and what changes the description of one."""

import json
from pathlib import Path

import torch

from slotaudio import SlotModel, Spec, compose


def tiny(seed: int = 0, **options: object) -> SlotModel:
    torch.manual_seed(seed)
    return compose(
        **{
            "encoder": Spec("resnet", depth=10, width=2),
            "bottleneck": Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
            "decoder": Spec("spatial_broadcast", hidden=8, layers=1, patch=(4, 4)),
            "mask": {"name": "wiener", "exponent": 1.5},
            **options,
        }
    )


def edit(folder: Path, **changes: object) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder
