"""`slotaudio separate --list`: a corpus, by whoever comes."""

from running import recording, run

from slotaudio.model import SlotModel


def test_a_list_is_separated_by_whoever_comes_and_goes_on_where_it_was_left(tmp_path, capsys, monkeypatch):
    forward = SlotModel.forward
    monkeypatch.setattr(SlotModel, "forward", lambda *given, **more: print("a word") or forward(*given, **more))
    for name in ("one/a.wav", "two/a.wav", "two/b.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        recording(tmp_path / name, 0.6)
    (tmp_path / "two/b.wav").write_bytes(b"no audio")
    (tmp_path / "corpus.txt").write_text("one/a.wav\ntwo/a.wav\ntwo/b.wav\n")
    command = ("--list", tmp_path / "corpus.txt", "-o", tmp_path / "out")
    code, out, _ = run("separate", capsys, *command, "--shard", "2/3")
    assert (code, out.split()) == (0, [str(tmp_path / f"out/two/a_slot{slot}.wav") for slot in (1, 2)])
    code, out, err = run("separate", capsys, *command)
    assert (code, out.split()) == (2, [str(tmp_path / f"out/one/a_slot{slot}.wav") for slot in (1, 2)])
    assert "b.wav" in err
    assert err.startswith("a word\n")
    assert err.endswith("1 separated, 1 done before or by others, 1 failed\n")
    recording(tmp_path / "two/b.wav", 0.6)
    assert run("separate", capsys, *command)[0] == 0
    assert len(list((tmp_path / "out").glob("*/*.wav"))) == 6
    assert "was begun with other options" in run("separate", capsys, *command, "--mask", "binary")[2]


def test_what_stands_in_the_way_is_told_before_a_recording_is_listened_to(tmp_path, capsys, monkeypatch):
    heard = []
    monkeypatch.setattr("slotaudio.separation.counting.count", lambda *given, **more: heard.append(given) or 2)
    recording(tmp_path / "a.wav", 0.6)
    (tmp_path / "corpus.txt").write_text("a.wav\n")
    (tmp_path / "out/a_slot1.wav").mkdir(parents=True)
    command = ("--list", tmp_path / "corpus.txt", "-o", tmp_path / "out", "--sources", "unknown")
    code, _, err = run("separate", capsys, *command)
    assert code == 2
    assert "a_slot1.wav is a folder" in err
    assert not heard
    (tmp_path / "out/a_slot1.wav").rmdir()
    assert run("separate", capsys, *command)[0] == 0
    assert len(heard) == 1


def test_lists_and_recordings_exclude_each_other(tmp_path, capsys):
    for arguments, complaint in [
        ([], "name the recordings, or give a --list of them"),
        (["a.wav", "--list", "b.txt"], "a.wav and --list b.txt were given: name recordings, or"),
        (["a.wav", "--shard", "1/2"], "--shard is a part of a --list"),
        (["--list", "b.txt", "--force"], "goes with neither --force nor --plot"),
    ]:
        code, _, err = run("separate", capsys, *arguments, "-o", tmp_path)
        assert code == 2
        assert complaint in err
