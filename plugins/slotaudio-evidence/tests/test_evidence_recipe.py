"""The recipe trains on the bundled speech."""

import pytest

from slotaudio.cli import main
from slotaudio.pretrained import from_pretrained

SMALL = [
    "encoder.width=4",
    "bottleneck.slot_dim=16",
    "decoder.hidden=16",
    "data.train.size=4",
    "data.validation.size=1",
    "data.validation.seconds=1.0",
    "train.steps=2",
    "train.batch_size=2",
    "train.validate_every=2",
]


def test_the_recipe_trains_two_steps(tmp_path):
    changes = [argument for change in SMALL for argument in ("--set", change)]
    with pytest.raises(SystemExit) as ended:
        main(["train", "evidence-small", "-o", str(tmp_path / "run"), *changes])
    assert ended.value.code == 0
    assert from_pretrained(tmp_path / "run/model").specs["bottleneck"].name == "evidence"
