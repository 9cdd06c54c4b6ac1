"""Pictures say the right thing in the right place, without any global state."""

import matplotlib
import pytest
import torch

from slotaudio.errors import UserError
from slotaudio.plotting import SLOT_COLOURS, attention_map, save, separation_figure, spectrogram
from slotaudio.positions import grid
from slotaudio.separation.observation import Observation
from slotaudio.types import Slots


def observation(start: float, attention: torch.Tensor, positions: torch.Tensor) -> Observation:
    steps, slots = attention.shape[:2]
    return Observation(
        start, Slots(torch.zeros(1, steps, slots, 3), attention[None]), positions, torch.zeros(1, slots).long()
    )


def test_attention_lies_where_the_slot_looked():
    positions = grid(4, 2)  # 4 rows, 2 columns: windows of 1 s
    looks = torch.zeros(1, 2, 8)
    looks[0, 0, 0 * 2 + 0] = 1  # slot 1: lowest row, first column
    looks[0, 1, 3 * 2 + 1] = 1  # slot 2: highest row, second column
    windows = [observation(start, looks, positions) for start in (-0.5, 0.5, 1.5)]
    seen = attention_map(windows, 1.0, 2.0)
    assert seen.shape == (2, 4, 4)
    assert seen[0].nonzero().tolist() == [[0, 1], [0, 3]]
    assert seen[1].nonzero().tolist() == [[3, 0], [3, 2]]


def test_overlapping_windows_are_averaged_and_frames_are_steps():
    positions = torch.zeros(1, 1)  # one token per step: attention over nothing but time
    looks = torch.tensor([[[1.0]], [[3.0]]])  # two steps
    windows = [observation(0.0, looks, positions), observation(0.5, looks, positions)]
    torch.testing.assert_close(attention_map(windows, 1.0, 1.5), torch.tensor([[[1.0, 2.0, 3.0]]]))


def test_models_without_attention_have_no_map():
    bare = Observation(0.0, Slots(torch.zeros(1, 1, 2, 3)), torch.zeros(1, 2), torch.zeros(1, 2).long())
    assert attention_map([bare], 1.0, 1.0) is None
    assert attention_map([], 1.0, 1.0) is None


@pytest.mark.parametrize("slots", [1, 2, 5])
@pytest.mark.parametrize("length", [1, 24000])
def test_every_slot_has_a_column(slots, length):
    waves = torch.randn(slots, 1, length)
    attention = torch.rand(slots, 3, 4)
    figure = separation_figure(waves.sum(0), waves, 16000, waves[:2], attention, ["SI-SDRi +3.0 dB"], "title")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0] == "mixture"
    assert sum("attention" in title for title in titles) == slots
    assert sum("estimate" in title for title in titles) == slots
    assert sum("true source" in title for title in titles) == min(2, slots)
    assert "slot 1: estimate  SI-SDRi +3.0 dB" in titles
    assert len(set(SLOT_COLOURS)) == len(SLOT_COLOURS)


def test_a_tone_is_drawn_at_its_frequency_and_silence_is_dark():
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    spectrogram(axes, torch.sin(torch.arange(16000) * 2 * torch.pi * 2000 / 16000)[None], 16000)
    image = axes.images[0]
    rows = image.get_array().mean(axis=1)
    assert image.get_extent() == [0, 1.0, 0, 8.0]
    assert rows.argmax() == pytest.approx(2 / 8 * len(rows), abs=2)
    assert spectrogram(axes, torch.zeros(1, 8000), 16000) == pytest.approx(-140)


def test_figures_are_saved_whole_and_touch_no_global_state(tmp_path):
    backend = matplotlib.rcParams._get_backend_or_none()
    figure = separation_figure(torch.zeros(1, 800), torch.zeros(2, 1, 800), 16000)
    assert save(figure, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(UserError, match="exists already"):
        save(figure, tmp_path / "a.png")
    with pytest.raises(UserError, match="cannot write"):
        save(figure, tmp_path / "missing" / "a.png")
    assert matplotlib.rcParams._get_backend_or_none() == backend
