"""`slotaudio embed`: what is written, and what is left behind."""

import numpy as np
import pytest
import soundfile
from running import recording, run

from slotaudio import hookimpl
from slotaudio.separation.channels import ChannelWarning


def test_slots_of_recordings(tiny_model, tmp_path, capsys):
    good, bad = recording(tmp_path / "a.flac", 2.0, 44100), tmp_path / "missing.wav"
    code, out, err = run("embed", capsys, bad, good, "-o", tmp_path / "out", "-m", tiny_model)
    assert code == 2
    assert "missing.wav does not exist" in err
    assert out == f"{tmp_path / 'out' / 'a.npz'}: 8 steps\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.npz"]
    arrays = np.load(tmp_path / "out" / "a.npz")
    assert set(arrays) == {"times", "vectors", "level", "window", "duration", "recording", "model", "features"}
    assert arrays["vectors"].shape == (8, 2, 8)
    assert str(arrays["features"]) == "slots"
    assert float(arrays["duration"]) == 2.0
    assert run("embed", capsys, good, "-o", tmp_path / "out", "-m", tiny_model)[0] == 2
    assert run("embed", capsys, good, "-o", tmp_path / "out", "-m", tiny_model, "--skip-existing")[0] == 0
    assert run("embed", capsys, good, "-o", tmp_path / "out", "-m", tiny_model, "-f", "-q") == (0, "", "")


def test_other_features_and_options(tiny_model, tmp_path, capsys):
    path = recording(tmp_path / "a.wav")
    options = ["--features", "log_mel", "--set", "bands=13"]
    assert run("embed", capsys, path, "-o", tmp_path / "mel", "-q", *options)[0] == 0
    assert np.load(tmp_path / "mel" / "a.npz")["vectors"].shape == (100, 1, 13)
    assert run("embed", capsys, path, "-o", tmp_path / "tokens", "-q", "-m", tiny_model, "--features", "tokens")[0] == 0
    assert np.load(tmp_path / "tokens" / "a.npz")["vectors"].shape[1] == 1


@pytest.mark.filterwarnings("ignore:.*mixed down:UserWarning")
def test_one_channel_is_taken_where_it_is_asked_for(tmp_path, capsys):
    path, options = recording(tmp_path / "a.wav", channels=2), ["-q", "--features", "mfcc"]
    soundfile.write(tmp_path / "b.wav", soundfile.read(path)[0][:, 1], 16000)
    assert run("embed", capsys, path, "-o", tmp_path / "one", *options, "--channel", "2")[0] == 0
    assert run("embed", capsys, path, tmp_path / "b.wav", "-o", tmp_path / "out", *options)[0] == 0
    taken, mixed, alone = (np.load(tmp_path / name)["vectors"] for name in ("one/a.npz", "out/a.npz", "out/b.npz"))
    np.testing.assert_array_equal(taken, alone)
    assert np.abs(mixed - alone).max() > 0.1
    code, _, err = run("embed", capsys, path, "-o", tmp_path / "one", *options, "--channel", "3", "-f")
    assert (code, "a.wav has no channel 3; choose from 1 to 2" in err) == (2, True)


@pytest.mark.parametrize("features", ["mfcc", "slots"])
def test_warnings_say_which_recording_is_meant(tiny_model, tmp_path, capsys, features):
    paths = [recording(tmp_path / name, channels=2) for name in ("a.wav", "b.wav")]
    with pytest.warns(ChannelWarning, match="mixed down") as told:
        run("embed", capsys, *paths, "-o", tmp_path, "-m", tiny_model, "--features", features)
    found = [str(warning.message) for warning in told]
    assert all(sum(one.startswith(f"{path} has 2 channels") for one in found) == 1 for path in paths)


def test_features_of_a_plugin(tmp_path, capsys, monkeypatch):
    import types

    from slotaudio.pluginmanager import plugin_manager

    class Loudness:
        """Twice per block, how loud it is."""

        def __call__(self, blocks, sample_rate):
            from slotaudio.representation import Embedding

            for number, block in enumerate(blocks):
                level = np.float32(block.std()).reshape(1, 1, 1)
                yield Embedding(np.array([float(number)]), level, window=1.0)

    @hookimpl
    def slotaudio_embedders():
        return {"loudness": Loudness}

    plugin = types.SimpleNamespace(slotaudio_embedders=slotaudio_embedders)
    plugin_manager().register(plugin, name="loud")
    try:
        path = recording(tmp_path / "a.wav")
        assert run("embed", capsys, path, "-o", tmp_path / "out", "--features", "loudness", "-q")[0] == 0
        assert np.load(tmp_path / "out" / "a.npz")["vectors"] == pytest.approx(0.05, abs=0.001)
    finally:
        plugin_manager().unregister(plugin)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--features", "mfc"], "Did you mean 'mfcc'?"),
        (["--features", "mfcc", "--set", "bans=3"], "embedder 'mfcc' has no option 'bans'"),
        (["--model", "audioslots-huge"], "no model named 'audioslots-huge'"),
        (["--threads", "0"], "0 threads"),
        (["--channel", "left"], "--channel 'left': give a number from 1, or 'mix'"),
        (["--features", "mfcc", "--attention"], "--attention is where slots looked, and 'mfcc' has none"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
    ],
)
def test_impossible_options(tmp_path, capsys, arguments, message):
    code, _, err = run("embed", capsys, recording(tmp_path / "a.wav", 0.2), "-o", tmp_path / "out", *arguments)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()


def test_recordings_of_one_name_do_not_overwrite_each_other(tmp_path, capsys):
    first, second = recording(tmp_path / "a.wav"), recording(tmp_path / "A.flac", 1.0)
    code, _, err = run("embed", capsys, first, second, "-o", tmp_path / "out", "--features", "mfcc", "-f")
    assert code == 2
    assert f"{first} and {second} would have outputs of one name" in err
