"""Pictures say the right thing in the right place, without any global state."""

from pathlib import Path

import matplotlib
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from slotaudio.errors import UserError
from slotaudio.plotting import (
    SLOT_COLOURS,
    PowerMap,
    assignment_figure,
    attention_map,
    identity_figure,
    pixels,
    project,
    save,
    separation_figure,
    spectrogram,
    timeline_figure,
)
from slotaudio.plotting.colours import blend
from slotaudio.positions import grid
from slotaudio.rttm import Turn
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
    assert "below the loudest" in figure.axes[0].get_title(loc="right")
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


def power(wave: torch.Tensor, rate: int = 8000) -> PowerMap:
    made = PowerMap(rate)
    made.push(wave)
    return made


def test_a_cell_has_the_colour_of_the_slot_that_owns_it():
    shares = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
    cells = blend(shares, torch.tensor([1.0, 1.0, 0.0]), SLOT_COLOURS[:2])
    torch.testing.assert_close(cells[:2], torch.tensor([to_rgb(colour) for colour in SLOT_COLOURS[:2]]))
    torch.testing.assert_close(cells[2], torch.ones(3))  # silence is white


@pytest.mark.parametrize(("seconds", "unit"), [(2, "time (s)"), (200, "time (min)")])
def test_a_timeline_has_a_lane_for_each_slot_and_true_turns_below(seconds, unit):
    loud, silent = (power(wave, 800) for wave in (0.1 * torch.randn(1, seconds * 800), torch.zeros(1, seconds * 800)))
    turns = [Turn(0.0, 1.0, "ann"), Turn(1.0, 1.0, "bob")]
    figure = timeline_figure(loud, [loud, silent], turns=turns, names=["a", "b"])
    assert len(figure.axes) == 4
    assert [axes.get_ylabel() for axes in figure.axes[:2]] == ["frequency (kHz)", "level\n(dB)"]
    assert "loudest moment" in figure.axes[1].get_title(loc="left")
    assert figure.axes[-1].get_xlabel() == unit
    picture = figure.axes[0].images[0].get_array()
    inked = (picture < 0.9).any(axis=2)
    assert inked.any()
    blue, vermillion = picture[..., 2][inked].mean(), picture[..., 0][inked].mean()
    assert blue > vermillion  # all of it is the first slot's
    levels = [axes.collections[0].get_paths()[0].vertices[:, 1] for axes in figure.axes[1:3]]
    assert levels[0].max() == 0
    assert levels[1].max() == -40
    assert [label.get_text() for label in figure.axes[3].get_yticklabels()] == ["bob", "ann"]


def test_lanes_show_presence_where_a_model_tells_it():
    wave = torch.randn(1, 8000)
    presence = torch.tensor([[0.2], [0.9]])
    figure = timeline_figure(power(wave), [power(wave)], presence=presence, times=torch.tensor([0.25, 0.75]))
    lane = figure.axes[1]
    assert lane.get_ylabel() == "presence"
    assert "probability" in lane.get_title(loc="left")
    drawn = lane.collections[0].get_paths()[0].vertices
    assert drawn[:, 1].max() == pytest.approx(0.9)
    assert (drawn[:, 0].min(), drawn[:, 0].max()) == pytest.approx((0, power(wave).seconds))  # to both ends


@pytest.mark.parametrize(("seconds", "scale"), [(10, 1.0), (200, 1 / 60)])
def test_doubtful_stretches_are_hatched_and_explained(seconds, scale):
    track, turns = power(torch.randn(1, seconds * 800), 800), [Turn(0.0, 1.0, "ann")]
    figure = timeline_figure(track, [track, track], turns=turns, doubtful=[(2.0, 3.5), (6.0, 6.5)])
    hatched = [[patch.get_extents() for patch in axes.patches if patch.get_hatch()] for axes in figure.axes]
    drawn = [
        [
            (box.transformed(axes.transData.inverted()).x0, box.transformed(axes.transData.inverted()).x1)
            for box in boxes
        ]
        for axes, boxes in zip(figure.axes, hatched, strict=True)
    ]
    for found in drawn[:3]:
        assert found == [pytest.approx((2.0 * scale, 3.5 * scale)), pytest.approx((6.0 * scale, 6.5 * scale))]
    assert drawn[3] == []  # the truth is beyond doubt
    (text,) = figure.axes[1].get_legend().get_texts()
    assert "may have changed places" in text.get_text()
    sure = timeline_figure(track, [track, track])
    assert sure.axes[1].get_legend() is None


def test_outputs_of_another_length_are_refused():
    with pytest.raises(UserError, match="as long as the mixture"):
        timeline_figure(power(torch.randn(1, 8000)), [power(torch.randn(1, 4000))])
    with pytest.raises(UserError, match="0 outputs"):
        timeline_figure(power(torch.randn(1, 8000)), [])


@given(seed=st.integers(0, 999), dim=st.integers(1, 5), entries=st.integers(1, 6))
@settings(max_examples=20)
def test_projection_keeps_distances_in_the_plane_and_permutes_with_the_slots(seed, dim, entries):
    vectors = torch.randn(entries, 3, dim, generator=torch.Generator().manual_seed(seed))
    points, shares = project(vectors)
    assert points.shape == (entries, 3, 2)
    assert 0 <= float(shares[1]) <= float(shares[0]) <= 1 + 1e-6
    if dim <= 2:  # nothing is lost
        torch.testing.assert_close(
            torch.cdist(points.flatten(0, 1), points.flatten(0, 1)),
            torch.cdist(vectors.flatten(0, 1), vectors.flatten(0, 1)),
            atol=1e-4,
            rtol=1e-4,
        )
    torch.testing.assert_close(project(vectors.flip(1))[0].flip(1), points, atol=1e-4, rtol=1e-4)


def test_an_assignment_shows_its_numbers_and_frames_the_chosen_pairs():
    values = torch.tensor([[1.2, 7.9], [9.3, -2.5], [float("nan"), -12.0]])
    axes = assignment_figure(values, torch.tensor([1, 0]), label="SI-SDR (dB)").axes[0]
    assert [text.get_text() for text in axes.texts] == ["1.2", "7.9", "9.3", "−2.5", "–", "−12.0"]
    corners = {tuple(round(part + 0.45) for part in frame.get_xy()) for frame in axes.patches}
    assert corners == {(0, 1), (1, 0)}  # source, slot


def test_identity_says_what_its_axes_are():
    vectors, times = torch.randn(9, 2, 4), torch.arange(9.0)
    figure = identity_figure(vectors, times, torch.eye(2), torch.rand(9, 2), ["ann", "bob"])
    left, right = figure.axes[:2]
    assert left.get_xlabel().startswith("component 1 (")
    assert left.get_xlabel().endswith("% of variance)")
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["ann", "bob", "0:00 min", "0:08 min"]
    assert (right.get_xlabel(), right.get_ylabel()) == ("slot of the model", "output")
    assert "near dots are alike" in figure.get_supxlabel()
    assert pixels(figure).ndim == 3


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


def test_bars_have_the_colour_of_the_output_that_should_hold_the_voice():
    track = power(torch.randn(1, 32000))
    turns = [Turn(0.0, 1.0, "ann"), Turn(1.0, 1.0, "bob"), Turn(2.0, 1.0, "eve")]
    figure = timeline_figure(track, [track, track], turns=turns, assignment={"ann": 1, "bob": 0, "eve": -1})
    colours = {box.get_paths()[0].get_extents().x0: box.get_facecolor()[0] for box in figure.axes[-1].collections}
    for start, colour in zip((0.0, 1.0, 2.0), (SLOT_COLOURS[1], SLOT_COLOURS[0], "#4D4D4D"), strict=True):
        assert tuple(colours[start][:3]) == pytest.approx(to_rgb(colour))


def test_numbers_stand_in_their_cells():
    from slotaudio.plotting import assignment_figure

    axes = assignment_figure(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).axes[0]
    assert {text.get_position(): text.get_text() for text in axes.texts}[(1, 0)] == "2.0"
