"""`slotaudio stems-sdr`: the table of a model that knows the answer, and of a saved one."""

import pytest
import torch

from slotaudio import Separator, Spec, UserError, compose
from slotaudio.cli import main
from slotaudio.pretrained import save_pretrained
from slotaudio_music.evaluation import SYSTEMS, Scores, evaluate
from slotaudio_music.metrics import track_sdr
from slotaudio_music.musdb import STEMS, Musdb


def small(names=STEMS, channels=2):
    torch.manual_seed(0)
    return compose(
        frontend=Spec("waveform", sample_rate=8000, channels=channels),
        encoder=Spec("music_unet", width=4, strides=[4, 2], kernel=4),
        bottleneck=Spec("dual_path_transformer", slot_dim=8, dim=8, blocks=1, heads=2, hidden=4, segment=4),
        decoder="music_unet",
        matcher="fixed",
        slots=len(names),
        window=None,
        names=names,
    )


def test_baselines_are_the_mixture_and_its_share(musdb):
    tracks = Musdb(musdb, seconds=None, rate=8000, split="test")
    scores = evaluate(Separator(small()), tracks)
    mixture, sources, _ = tracks[0]
    copies = mixture.expand_as(sources)
    assert scores.track.shape == scores.median.shape == (1, len(SYSTEMS), 4)
    torch.testing.assert_close(scores.track[0, 1], track_sdr(copies, sources))
    torch.testing.assert_close(scores.track[0, 2], track_sdr(copies / 4, sources))


def test_tables_have_means_and_medians_over_the_tracks():
    track = torch.tensor([1.0, 2.0, 6.0])[:, None, None] + torch.tensor([0.0, 10.0])  # tracks systems stems
    scores = Scores(("a", "b"), track.expand(3, 3, 2), torch.cat([track[:2], torch.nan * track[:1]]).expand(3, 3, 2))
    lines = [line.split(",")[1].split() for line in str(scores).splitlines()[2:]]
    assert [line[-3:] for line in lines] == 3 * [["3.00", "13.00", "8.00"]] + 3 * [["1.50", "11.50", "6.50"]]


def test_slots_and_stems_are_as_many(musdb):
    with pytest.raises(UserError, match="the model has 2 slots; the tracks have 4 stems"):
        evaluate(Separator(small(("a", "b"))), Musdb(musdb, seconds=None, rate=8000, split="test"))


def test_the_command_prints_a_table(musdb, tmp_path, capsys):
    save_pretrained(small(), tmp_path / "model")
    with pytest.raises(SystemExit) as stop:
        main(["stems-sdr", str(tmp_path / "model"), str(musdb), "--split", "all"])
    assert not stop.value.code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 tracks"
    assert lines[1].split() == ["SDR", "in", "dB", *STEMS, "mean"]
    assert [line.strip().partition("  ")[0] for line in lines[2:]] == [
        f"{how}, {system}" for how in ("track", "median") for system in SYSTEMS
    ]
