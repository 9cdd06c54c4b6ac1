"""The separator's border: what it refuses, and what it says."""

import inspect
import re
import warnings

import numpy as np
import pytest
import torch
from tiny_models import RATE, one_wave, tiny

from slotaudio import Separator, UserError, audio
from slotaudio.errors import AudioFileError
from slotaudio.separation.channels import channel_map
from slotaudio.separation.intake import SeparationWarning, as_batch
from slotaudio.separation.presence import PresenceMeter


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        ([0.0, 0.1], "a numpy array or a tensor, not list"),
        (b"RIFF", r"not bytes \(of bytes: numpy.frombuffer makes an array of raw samples, soundfile.read of a file"),
        (np.array(["a"]), "<U1; give floats"),
        (np.zeros(100, np.int16), "int16; give floats .* wave / 32768"),
        (torch.zeros(()), "this one has 0 axes"),
        (torch.zeros(1, 1, 1, 9), "this one has 4 axes"),
        (np.zeros((5000, 2), np.float32), "look transposed .* use wave.T"),
        (np.zeros((0, 5000), np.float32), "no channels"),
    ],
)
def test_waves_that_are_none(wave, message):
    with pytest.raises(UserError, match=message):
        as_batch(wave, RATE)


def test_samples_that_are_no_sound(separator):
    wave = torch.zeros(2, 1, 5000)
    wave[1, 0, 4000] = torch.nan
    with pytest.raises(AudioFileError, match=r"the first at 2\.000 s"):
        separator(wave)
    with pytest.raises(UserError, match="holds no samples"):
        separator(torch.zeros(0))


@pytest.mark.parametrize("rate", [0, -16000, 10**9])
def test_impossible_rates(separator, rate):
    with pytest.raises(UserError, match="sample rate of"):
        separator(torch.zeros(100), rate)
    with pytest.raises(UserError, match="sample rate of"):
        next(separator.stream(torch.zeros(100), rate))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows_at_once": -3}, "give 1 or more"),
        ({"windows_at_once": 0}, "give 1 or more"),
        ({"long_window": -1.0}, "outside 0.1 to 600"),
        ({"joining": "telepathy"}, "choose 'auto', 'overlap' or 'given'"),
        ({"overlap": 0.95}, "outside 0 to 0.9"),
        ({"ahead": -1.0}, "outside 0 to 60"),
        ({"ahead": 60.5}, "outside 0 to 60"),
        ({"mask": "gauss"}, "choose 'binary' or 'wiener'"),
        ({"threads": 0}, "0 threads"),
        ({"precision": "fp16"}, "precision 'fp16' is not known; choose 'fp32' or 'bf16'"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(UserError, match=message):
        Separator(tiny(), **options)


def test_the_ends_of_ranges_are_possible():
    framing = Separator(tiny(), overlap=0.9, ahead=60.0).framing
    assert framing.hop == pytest.approx(framing.window / 10, abs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "band-split"}, "'band-split' is not a SlotModel; Separator.from_pretrained loads"),
        ({"overlap": "0.5"}, r"overlap = '0\.5' is not float"),
        ({"keep_noise": "no"}, "keep_noise = 'no' is not bool"),
        ({"seed": None}, "seed = None is not int"),
    ],
)
def test_arguments_of_the_wrong_type(options, message):
    without_beartype = inspect.unwrap(Separator.__init__)  # which is there in tests only
    with pytest.raises(UserError, match=message):
        without_beartype(object.__new__(Separator), **{"model": tiny(), **options})


def test_a_separator_says_what_it_is(separator):
    assert repr(separator) == (
        "<Separator of 2 slots at 2000 Hz, windows of 0.128 s every 0.064 s, joining 'auto', sources 2>"
    )


def test_channels_are_mixed_down_with_a_word(separator):
    wave = torch.randn(2, 1500, generator=torch.Generator().manual_seed(0)) * 0.1
    with pytest.warns(SeparationWarning, match="the wave has 2 channels; they are mixed down"):
        separated = separator(wave)
    assert separated.sources.shape == (2, 1, 1500)
    torch.testing.assert_close(separated.sources.sum(dim=0), wave.mean(dim=0, keepdim=True), rtol=0, atol=1e-5)


@pytest.mark.parametrize("cut", [100, 3000])
def test_channels_of_a_call_are_told_of_and_either_may_be_taken(recwarn, cut):
    warnings.simplefilter("always")
    voices = torch.randn(2, 4 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    voices[0, : 2 * RATE] = voices[1, 2 * RATE :] = 0.0  # they take turns
    call = voices + 0.02 * voices.flip(0) + 0.3
    list(Separator(tiny()).stream(call.split(cut, dim=-1)))
    assert len([warning for warning in recwarn if "may hold different voices already" in str(warning.message)]) == 1
    recwarn.clear()
    alike = voices.sum(dim=0) * torch.tensor([[1.0], [0.3]])
    list(Separator(tiny()).stream(alike.split(cut, dim=-1)))
    assert ["mixed down" in str(warning.message) for warning in recwarn] == [True]
    recwarn.clear()
    taken = torch.cat(list(Separator(tiny(), channel=2).stream(call.split(cut, dim=-1))), dim=-1)
    torch.testing.assert_close(taken.sum(dim=0), call[1:], rtol=0, atol=1e-4)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("gains", "told"),
    [
        ([0.0, 1.0], "of the 2 channels of the stream 1 holds nothing, and no share in the mix$"),
        ([0.0, 0.0, 1.0], "of the 3 channels of the stream 2 hold nothing, and no share in the mix$"),
        (
            [1e-4, 1.0],
            "1 holds next to nothing, which makes the mix 6 dB softer; channel=2 takes the loudest alone$",
        ),
        ([1e-4, 0.0, 1.0], "2 hold next to nothing, which makes the mix 6 dB softer; channel=3 takes the loudest"),
        ([1.0, -1.0], "cancel each other, as those of opposite polarity do; channel=1 takes the first alone$"),
    ],
)
def test_dead_channels_and_those_that_cancel_each_other_are_told_of(gains, told):
    voice = torch.randn(1, 4 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    with pytest.warns(SeparationWarning) as warned:
        list(Separator(tiny()).stream((torch.tensor(gains)[:, None] * voice).split(1000, dim=-1)))
    (found,) = [str(warning.message) for warning in warned if "mixed down" not in str(warning.message)]
    assert re.search(told, found), found


@pytest.mark.filterwarnings("ignore:.*mixed down")
@pytest.mark.parametrize("dead", [0, 1])
def test_outputs_are_as_loud_as_what_is_heard_beside_a_dead_channel(dead):
    wave = torch.randn(2, 4 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    wave[:, :100] = 0.0
    wave[dead] = 0.0
    with pytest.warns(SeparationWarning, match="no share in the mix"):
        sources = Separator(tiny())(wave).sources
    begun = 100 + round(0.04 * RATE)
    torch.testing.assert_close(sources.sum(dim=0)[:, begun:], wave[[1 - dead], begun:], rtol=0, atol=1e-4)


def test_a_channel_that_begins_a_moment_later_has_its_share_from_the_start():
    wave = torch.randn(1, 2, RATE, generator=torch.Generator().manual_seed(0))
    wave[:, 1, : round(0.015 * RATE)] = 0.0
    mix = channel_map(2, 1, "talk", RATE, quiet=True)
    mixed = torch.cat([mix(block) for block in wave.split(7, dim=-1)], dim=-1)
    torch.testing.assert_close(mixed, wave.mean(dim=1, keepdim=True))


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_channel_that_was_silent_comes_into_the_mix_without_a_jump(cut):
    late, fade = 2 * RATE, round(0.02 * RATE)
    wave = torch.full((2, 3, 3 * RATE), 0.5)  # a batch, whose second recording has all channels from the start
    wave[0, 1:, :late] = 0.0
    wave[0, 2] = 0.0
    wave[1, 1:] = 0.2
    blocks = [wave[..., :0], *wave.split(cut, dim=-1)]
    mix = channel_map(3, 1, "talk", RATE, quiet=True)
    mixed = torch.cat([mix(block) for block in blocks], dim=-1)
    assert mixed.shape == (2, 1, 3 * RATE)
    torch.testing.assert_close(mixed[1], torch.full((1, 3 * RATE), 0.3))
    # equal channels: their mean, whoever is in
    torch.testing.assert_close(mixed[0, :, 2 * fade :], torch.full((1, 3 * RATE - 2 * fade), 0.5))
    assert mixed.diff(dim=-1).abs().max() < 2 * 0.5 / fade
    wave[0, 1] *= -1
    mix = channel_map(3, 1, "talk", RATE, quiet=True)
    mixed = torch.cat([mix(block) for block in wave.split(cut, dim=-1)], dim=-1)[0, 0]
    torch.testing.assert_close(mixed[2 * fade : late], torch.full((late - 2 * fade,), 0.5))
    torch.testing.assert_close(mixed[late + fade :], torch.zeros(RATE - fade))
    assert mixed[late : late + fade - 1].min() > 0
    assert mixed.diff().abs().max() < 2 * 0.5 / fade


@pytest.mark.parametrize(("channel", "message"), [(3, "no channel 3; choose from 1 to 2"), (0, "count from 1")])
def test_channels_that_are_none(channel, message):
    with pytest.raises(UserError, match=message):
        Separator(tiny(), channel=channel)(torch.zeros(2, 1500))


def test_without_consistency_a_model_has_its_own_say():
    model = one_wave(0.5)
    wave = torch.randn(1500, generator=torch.Generator().manual_seed(0)).diff() * 0.1  # next to nothing below 10 Hz
    own = Separator(model, consistent=False)(wave).sources
    torch.testing.assert_close(own[0], wave / 2, rtol=0, atol=1e-4)
    shared = Separator(model)(wave).sources
    torch.testing.assert_close(shared[0], wave, rtol=0, atol=1e-4)  # all of the rest to whom it belongs
    assert shared[1].abs().max() < 1e-4


def test_a_mask_for_a_model_that_leaves_no_choice_is_refused():
    with pytest.raises(UserError, match="mask 'binary' was asked for, but the model's decoder leaves no choice"):
        Separator(one_wave(0.5), mask="binary")(torch.zeros(500))


@pytest.mark.parametrize("mask", ["winer", {"name": "binary", "exponent": 2}, {"name": "wiener", "power": 2}])
def test_masks_that_are_none_are_refused_at_once(mask):
    with pytest.raises(UserError, match=r"is not known; choose 'binary' or 'wiener' \(option: exponent\)"):
        tiny(mask=mask)


def test_a_model_without_all_stages_cannot_separate():
    with pytest.raises(UserError, match="composed without a bottleneck"):
        Separator(tiny(bottleneck=None, decoder=None))(torch.zeros(500))


def test_progress_ends_at_one_and_never_goes_back(separator):
    shares: list[float] = []
    separator(torch.zeros(5 * RATE), progress=shares.append)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert len(shares) > 1


def test_a_file_knows_its_rate(separator, tmp_path):
    audio.write(tmp_path / "a.wav", torch.zeros(1, 100), 4000)
    with pytest.raises(UserError, match="at 4000 Hz, not at 2000 Hz"):
        next(separator.stream(tmp_path / "a.wav", RATE))
    assert separator(tmp_path / "a.wav").sample_rate == 4000
    with pytest.raises(UserError, match="at 4000 Hz, not at 2000 Hz"):
        separator(tmp_path / "a.wav", RATE)


def test_references_need_the_axes_of_the_wave(separator):
    with pytest.raises(UserError, match="needs the axes of the wave and `sources`"):
        separator(torch.zeros(1, 500), reference=torch.zeros(2, 500))


def test_a_batch_of_unequal_numbers_is_refused(separator, monkeypatch):
    wave = torch.randn(2, 1, 1500, generator=torch.Generator().manual_seed(0)) * 0.1
    model = one_wave(0.5, slots=2)
    assert Separator(model, sources=1)(wave).sources.shape == (2, 1, 1, 1500)
    assert Separator(model, sources="unknown")(wave).slots.tolist() == [[0], [0]]
    monkeypatch.setattr(PresenceMeter, "chosen", lambda *_: [[0], [0, 1]])
    with pytest.raises(UserError, match=r"of this batch hold 1, 2 sources: .* say how many sources you want"):
        separator(wave)
