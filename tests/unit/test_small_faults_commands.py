"""Commands, pictures: each test fails with one small fault in the code that no other test noticed."""

import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.figure import Figure

from slotaudio import Spec, compose
from slotaudio.cli import diarise as diarise_command
from slotaudio.cli import main
from slotaudio.cli import separate as separate_command
from slotaudio.cli.stream import _ends_at_interrupt
from slotaudio.data.bundled import speech
from slotaudio.data.conversations import Conversations
from slotaudio.data.speakers import Meeting
from slotaudio.plotting import SLOT_COLOURS, PowerMap, project, save, separation_figure, spectrogram, timeline_figure
from slotaudio.pretrained import save_pretrained
from slotaudio.rttm import Turn


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    torch.manual_seed(0)
    model = compose(
        Spec("stft", framing="centred"),
        Spec("resnet", depth=10, width=2),
        Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
        Spec("spatial_broadcast", hidden=8, layers=1, patch=(8, 8), output="softplus"),
    )
    return save_pretrained(model, tmp_path_factory.mktemp("models") / "tiny")


def recording(path, seconds=0.5):
    soundfile.write(path, np.random.default_rng(0).standard_normal(round(seconds * 16000)) * 0.05, 16000)
    return path


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code or 0


def test_the_precision_reaches_the_separator(tiny_model, tmp_path, monkeypatch):
    given, make = {}, separate_command._separator
    monkeypatch.setattr(
        separate_command, "_separator", lambda name, **options: given.update(options) or make(name, **options)
    )
    assert (
        run(
            "separate",
            recording(tmp_path / "a.wav"),
            "-o",
            tmp_path / "out",
            "-m",
            tiny_model,
            "--precision",
            "bf16",
            "-q",
        )
        == 0
    )
    assert given["precision"] == "bf16"


def test_the_collar_counts():
    true, found = [Turn(0.0, 10.0, "ann")], [Turn(0.0, 9.9, "slot1")]
    assert diarise_command._compared(true, found, 0.25).startswith("diarisation error rate 0.0%")
    assert diarise_command._compared(true, found, 0.0).startswith("diarisation error rate 1.0%")


def test_a_full_disk_leaves_no_half_of_the_turns(tmp_path, monkeypatch):
    def full(path, turns):
        Path(path).write_text("SPEAKER a 1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("slotaudio.rttm.write_rttm", full)
    with pytest.raises(OSError, match="No space"):
        diarise_command._write(tmp_path / "a.rttm", [])
    assert not (tmp_path / "a.rttm").exists()


def test_the_second_interruption_interrupts():
    before, ended = signal.getsignal(signal.SIGINT), []

    class Reader:
        def end(self):
            ended.append(signal.getsignal(signal.SIGINT))

    with _ends_at_interrupt(Reader()):
        signal.getsignal(signal.SIGINT)()
    assert ended == [before]


def test_recordings_of_one_name_do_not_overwrite_each_other(tmp_path, capsys):
    first, second = recording(tmp_path / "a.wav"), recording(tmp_path / "A.flac", 1.0)
    assert run("embed", first, second, "-o", tmp_path / "out", "--features", "mfcc", "-f") == 2
    assert f"{second}: its output would get the name of that of {first}" in capsys.readouterr().err


def test_the_options_of_a_probe_reach_it(monkeypatch):
    given = {}

    def probe(folder, embedders, spans, **options):
        given.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("slotaudio.evaluation.probe.probe", probe)
    options = ["--mixed", "--window", 0.5, "--folds", 3, "--utterances", 4, "--examples", 50, "--seed", 6]
    run("probe", "bundled", "--features", "mfcc", "-q", *options)
    del given["progress"]
    assert given == {"mixed": True, "window": 0.5, "folds": 3, "utterances": 4, "most": 50, "seed": 6}


def test_the_number_chooses_the_mixture(tiny_model, tmp_path):
    for number in (1, 2):
        assert run("demo", "-o", tmp_path / str(number), "-m", tiny_model, "--number", number) == 0
    first, second = (soundfile.read(tmp_path / name / "mixture.wav")[0] for name in ("1", "2"))
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_what_an_interrupted_evaluation_measured_is_kept(tmp_path, monkeypatch):
    from slotaudio.evaluation import results

    evaluate = results.evaluate

    def interrupted(*arguments):
        yield next(evaluate(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "evaluate", interrupted)
    command = ["evaluate", "oracle", "bundled", "--mixtures", 2, "--seconds", 0.5, "--oracle", "ibm", "-q"]
    assert run(*command, "-o", tmp_path / "found") == 130
    assert len((tmp_path / "found/scores.csv").read_text().splitlines()) == 2


def test_the_options_of_a_stream_reach_the_separator(tmp_path, monkeypatch):
    from slotaudio.separation.separator import Separator

    given = {}

    def stop(name, **options):
        given.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Separator, "from_pretrained", stop)
    (tmp_path / "pipe").write_bytes(bytes(100))
    with open(tmp_path / "pipe", "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        run("stream", "-o", tmp_path / "out", "--window", 2.5, "--ahead", 1.5, "--keep-noise", "-q")
    assert (given["long_window"], given["ahead"], given["keep_noise"]) == (2.5, 1.5, True)


def test_a_recording_that_fails_stops_nobody_and_is_not_forgotten(tiny_model, tmp_path, capsys):
    good = recording(tmp_path / "b.wav", 1.0)
    assert run("diarise", tmp_path / "missing.wav", good, "-o", tmp_path / "out", "-m", tiny_model, "-q") == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.rttm"]
    assert "missing.wav does not exist" in capsys.readouterr().err


def test_large_groups_come_by_the_root_of_their_size():
    meeting = Meeting([f"a-{n}" for n in range(16)] + ["b-0", "c-0"], 2, {"a": 0.0})
    rng = np.random.default_rng(0)
    found = [name[0] for _ in range(600) for name in meeting._weighted(rng, ["a", "b", "c"], 1)]
    assert found.count("a") / 600 == pytest.approx(4 / 6, abs=0.06)


def test_the_words_are_the_same_with_noise_and_rooms_and_without():
    plain, noisy = (
        Conversations(speech("dev"), seconds=4.0, size=1, **options).conversation(0)
        for options in ({}, {"noise": "synthetic", "rooms": "synthetic", "reverberant": 1.0})
    )
    assert plain.turns == noisy.turns
    assert plain.pieces == noisy.pieces


def test_the_plane_is_laid_through_the_middle():
    vectors = 0.1 * torch.randn(9, 2, 3, generator=torch.Generator().manual_seed(0))
    points, shares = project(vectors)
    far, same = project(vectors + 100.0)
    torch.testing.assert_close(far, points, rtol=0, atol=1e-3)
    torch.testing.assert_close(same, shares, rtol=0, atol=1e-3)


def test_a_picture_that_cannot_be_drawn_leaves_the_one_before(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_text("before")

    def full(figure, path, **options):
        Path(path).write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(Exception, match="cannot write"):
        save(Figure(), tmp_path / "a.png", force=True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.png", "before")]


def test_frames_lie_around_their_numbers():
    from slotaudio.plotting import assignment_figure

    axes = assignment_figure(torch.rand(3, 2), torch.tensor([2, 0])).axes[0]
    corners = {tuple(round(part + 0.45) for part in frame.get_xy()) for frame in axes.patches}
    assert corners == {(0, 2), (1, 0)}  # source, slot: not a symmetrical choice


def test_low_frequencies_are_below():
    axes = Figure().add_subplot()
    spectrogram(axes, torch.sin(torch.arange(16000) * 0.5)[None], 16000)
    assert axes.images[0].origin == "lower"


def test_columns_have_the_colours_that_are_asked_for():
    waves = torch.randn(2, 1, 4000)
    figure = separation_figure(waves.sum(0), waves, 16000, colours=[3, 1])
    titles = {axes.title.get_text() or axes.get_title(loc="left"): axes._left_title.get_color() for axes in figure.axes}
    assert titles["slot 1: estimate"] == SLOT_COLOURS[3]


def test_bars_are_as_long_as_turns():
    power = PowerMap(8000)
    power.push(torch.randn(1, 32000))
    figure = timeline_figure(power, [power], turns=[Turn(1.0, 2.0, "ann")])
    box = figure.axes[-1].collections[0].get_paths()[0].get_extents()
    assert (box.x0, box.x1) == pytest.approx((1.0, 3.0))


def test_numbers_stand_in_their_cells():
    from slotaudio.plotting import assignment_figure

    axes = assignment_figure(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).axes[0]
    assert {text.get_position(): text.get_text() for text in axes.texts}[(1, 0)] == "2.0"
