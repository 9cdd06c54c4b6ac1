"""The examples run as they are, and so does the code for services."""

import io
import re
import runpy
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slotaudio import UserError

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVICE = Path(__file__).parents[2] / "docs" / "howto" / "service.md"


def test_the_plain_loop_learns(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plain_pytorch.py", "4"])
    runpy.run_path(str(EXAMPLES / "plain_pytorch.py"), run_name="__main__")
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 4
    assert losses[-1] < losses[0]


def test_the_readme_of_the_examples_names_each():
    text = (EXAMPLES / "README.md").read_text()
    assert all(f"`{path.name}`" in text for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb"))


@pytest.fixture(scope="module")
def service():
    code = "\n".join(re.findall(r"```python\n(.*?)```", SERVICE.read_text(), re.DOTALL))
    names = {}
    with warnings.catch_warnings():
        exec(compile(code, SERVICE, "exec"), names)
        yield names
    names["logging"].captureWarnings(False)


@pytest.fixture(scope="module")
def wave():
    return (np.random.default_rng(0).standard_normal(6 * 16000) * 0.1).astype(np.float32)


def test_uploads_are_separated_refused_and_given_up(service, wave):
    upload = io.BytesIO()
    soundfile.write(upload, wave, 16000, format="WAV", subtype="FLOAT")
    files = service["separate"](upload.getvalue(), ".wav")
    found = np.stack([soundfile.read(io.BytesIO(file), dtype="float32")[0] for file in files])
    np.testing.assert_array_equal(found, service["separator"](wave).sources)
    for options, error in (({"longest": 5.0}, UserError), ({"patience": 0.0}, TimeoutError)):
        with pytest.raises(error):
            service["separate"](upload.getvalue(), ".wav", **options)
    with pytest.raises(UserError, match="no audio file"):
        service["separate"](b"not a sound", ".wav")


def test_a_microphone_is_heard_and_damage_is_silence(service, wave):
    wave = wave.copy()
    wave[5000] = np.nan
    given = list(service["voices"]((block.tobytes() for block in np.array_split(wave, 37)), 16000))
    times = [0.0, *np.cumsum([piece.shape[-1] for _, piece in given])[:-1] / 16000]
    assert [start for start, _ in given] == times
    found = np.concatenate([piece[:, 0].numpy() for _, piece in given], axis=-1)
    np.testing.assert_allclose(found, service["live"](np.nan_to_num(wave)).sources, atol=1e-6)


def test_parts_are_the_whole(service, wave, tmp_path):
    parts = np.array_split(wave, 3)
    state = tmp_path / "upload.state"
    given = [service["next_part"](part, 16000, state, number == 2)[0, :, 0] for number, part in enumerate(parts)]
    np.testing.assert_allclose(np.concatenate(given, axis=-1), service["separator"](wave).sources, atol=1e-6)


def test_the_page_for_services_tells_how_long_samples_wait(service):
    rows = re.findall(r"^\| (?:none|`(.*?)`) \| ([\d.]+) \|$", SERVICE.read_text(), re.MULTILINE)
    assert len(rows) == 4
    for options, seconds in rows:
        separator = eval(f"Separator(separator.model, {options})", service)
        assert f"{separator.open(16000).latency:.1f}" == seconds
