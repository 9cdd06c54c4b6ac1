"""The command `slotaudio collapse`."""

import pytest
import torch

from slotaudio import Spec, compose
from slotaudio.cli import main


def test_the_command_measures_a_saved_model(tmp_path, capsys):
    torch.manual_seed(0)
    model = compose(
        encoder=Spec("resnet", depth=10, width=4),
        bottleneck=Spec("evidence", slot_dim=8),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1),
    )
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(SystemExit) as ended:
        main(["collapse", str(tmp_path / "model"), "--mixtures", "2", "--seconds", "1.0"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    # an untrained model gives every slot nearly the same mask: both hold the mixture, most of it the loudest
    assert "windows" in printed
    share = float(printed.split(": ")[1].split("%")[0])
    assert 50 <= share <= 100
    assert -1 <= float(printed.split("similarity ")[1].split(";")[0]) <= 1
    assert 0 <= float(printed.split("overlap ")[1]) <= 1
