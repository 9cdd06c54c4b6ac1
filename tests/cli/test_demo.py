"""`slotaudio demo`: sounds, a picture and honest figures."""

import re
import warnings

import numpy as np
import pytest
import soundfile

from slotaudio.cli import main


def test_the_demo_writes_sounds_and_a_picture_and_prints_the_improvement(tiny_model, tmp_path, capsys):
    for _ in range(2):  # a second demo replaces the first
        with pytest.raises(SystemExit) as ended:
            main(["demo", "-o", str(tmp_path / "demo"), "-m", str(tiny_model)])
        assert not ended.value.code
    out, err = capsys.readouterr()
    assert err == ""
    assert len(re.findall(r"source \d: SI-SDRi [+-]\d+\.\d dB", out)) == 4
    assert "Picture: " in out
    sounds = {path.stem: soundfile.read(path)[0] for path in (tmp_path / "demo").glob("*.wav")}
    kinds = [f"source{n}_{kind}" for n in (1, 2) for kind in ("separated", "true")]
    assert sorted(sounds) == sorted(["mixture", *kinds])
    for kind in ("separated", "true"):
        total = sum(sounds[f"source{n}_{kind}"] for n in (1, 2))
        np.testing.assert_allclose(total, sounds["mixture"], atol=3 / 32768)
    assert (tmp_path / "demo" / "demo.png").stat().st_size > 50_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--number", "99"], "there is no mixture 99"),
        (["-o", "{file}"], "cannot be made"),
        (["--host", "0.0.0.0", "--port", "80"], "--host and --port would change nothing: there is no page without"),
        (["--longest", "0"], "--longest would"),
        (["--no-browser"], "--browser/--no-browser would"),
        (["--web", "--no-browser", "--number", "2"], "--output and --number would change nothing: the page"),
    ],
)
def test_what_the_demo_cannot_do(tiny_model, tmp_path, capsys, arguments, message):
    (tmp_path / "file").write_text("")
    arguments = [argument.format(file=tmp_path / "file") for argument in arguments]
    with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
        main(["demo", "-o", str(tmp_path / "demo"), "-m", str(tiny_model), *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mixture.wav", "source1_separated.wav", "source2_true.wav", "demo.png"])
def test_a_folder_in_the_way_is_told_before_anything_is_separated(tiny_model, tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr("slotaudio.separation.separator.Separator.__call__", None)
    (tmp_path / "demo" / name).mkdir(parents=True)
    with pytest.raises(SystemExit) as ended:
        main(["demo", "-o", str(tmp_path / "demo"), "-m", str(tiny_model)])
    assert ended.value.code == 2
    assert f"{name} is a folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "demo").iterdir()] == [name]


def test_the_number_chooses_the_mixture(tiny_model, tmp_path):
    for number in (1, 2):
        with pytest.raises(SystemExit) as ended:
            main(["demo", "-o", str(tmp_path / str(number)), "-m", str(tiny_model), "--number", str(number)])
        assert not ended.value.code
    first, second = (soundfile.read(tmp_path / name / "mixture.wav")[0] for name in ("1", "2"))
    assert first.shape != second.shape or not np.array_equal(first, second)
