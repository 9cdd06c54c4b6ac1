"""`slotaudio separate --keep-noise`: what a model leaves out of all slots, and what it may not leave out."""

import numpy as np
import pytest
import soundfile
import torch

from slotaudio import Spec, compose
from slotaudio.cli import main


def test_noise_is_left_out_and_kept_if_asked(tmp_path, capsys):
    model = compose(
        Spec("stft", window=256, hop=128, framing="centred", features="complex"),
        Spec("band_split", dim=8, hidden=4, layout=[[8000.0, 4000.0]]),
        Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
        Spec("mask", hidden=4, rest=True),
        window=None,
    )
    for band in model.decoder.rest:
        torch.nn.init.constant_(band.bias, 0.5)
    model.save_pretrained(tmp_path / "model")
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(57330) * 0.05, 44100)
    mixture = soundfile.read(path)[0]
    for folder, options in (("out", []), ("kept", ["--keep-noise"])):
        with pytest.raises(SystemExit) as ended:
            main(["separate", str(path), "-o", str(tmp_path / folder), "-m", str(tmp_path / "model"), *options])
        assert not ended.value.code
        missing = mixture - sum(soundfile.read(written)[0] for written in capsys.readouterr().out.split())
        spectrum = np.abs(np.fft.rfft(missing))
        heard, above = np.split(spectrum, [round(len(spectrum) * 8500 / 22050)])
        assert above.max() < 0.01 * np.abs(np.fft.rfft(mixture)).max()
        if options:
            np.testing.assert_allclose(missing, 0, atol=2 / 32768)
        else:
            assert heard.max() > 0.3 * np.abs(np.fft.rfft(mixture)).max()
