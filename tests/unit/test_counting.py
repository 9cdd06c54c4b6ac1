"""How many speak: the best model for the number that was counted, or told."""

import threading
import warnings

import numpy as np
import pytest
import soundfile
import torch

from slotaudio import audio, preset
from slotaudio.data.bundled import speech
from slotaudio.data.folder import FolderMixtures
from slotaudio.errors import AudioFileError, UserError
from slotaudio.separation import counting
from slotaudio.separation.counting import Separators, count
from slotaudio.separation.separator import Separator


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Files of one and two bundled voices, by their number."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = {}
    for voices in (1, 2):
        mixture, _, _ = FolderMixtures(speech("dev"), 6.0, voices, size=1, seed=3, fixed=True)[0]
        paths[voices] = folder / f"{voices}.wav"
        audio.write(paths[voices], mixture, 16000)
    return paths


@pytest.fixture(scope="module")
def open_number():
    return Separators(sources="unknown")


@pytest.mark.parametrize("voices", [1, 2])
def test_the_default_is_the_best_model_for_the_number_that_is_heard(voices, recordings, open_number):
    shares = []
    separator = open_number.of(recordings[voices], progress=shares.append)
    assert separator.sources == (voices, voices)
    assert separator.model.slots == Separator.from_pretrained(sources=voices).model.slots
    assert shares[-1] == 6.0
    assert open_number.of(recordings[voices]) is separator  # loaded once


def test_each_model_is_loaded_once(monkeypatch, open_number):
    found = {}
    for number in (1, 2, 3):
        monkeypatch.setattr(counting, "count", lambda *_, number=number, **__: number)
        found[number] = open_number.of("is not even opened.wav")
        assert found[number].sources == (number, number)
    assert found[3].model is open_number.first.model
    assert found[1].model is found[2].model


@pytest.mark.parametrize(("model", "sources"), [("default", 2), ("default", None), ("band-split-three", "unknown")])
def test_nothing_is_counted_where_the_number_or_the_model_was_told(model, sources):
    separators = Separators(model, sources)
    assert separators.of("is not even opened.wav") is separators.first


def test_a_number_is_one_of_those_that_were_asked_for(recordings):
    assert Separator.from_pretrained("band-split-three", sources="2-3").count(recordings[1]) == 2


def test_of_a_damaged_recording_what_comes_before_the_damage_is_counted(recordings, open_number):
    wave, rate = soundfile.read(recordings[1], dtype="float32")

    def broken():
        yield wave
        raise OSError("the cable is loose")

    assert count(open_number.first, broken(), rate) == 1


def test_what_cannot_be_counted(tmp_path, open_number):
    with pytest.raises(AudioFileError, match=r"nowhere.wav"):
        open_number.of(tmp_path / "nowhere.wav")
    with pytest.raises(UserError, match="the stream holds no samples"):
        count(open_number.first, iter(()))


def test_counting_warns_of_nothing_and_leaves_the_filters_of_threads_alone(open_number, recwarn):
    stereo = torch.randn(2, 16000, generator=torch.Generator().manual_seed(0)) * 0.1
    before, begun, over = list(warnings.filters), threading.Event(), threading.Event()

    def second():
        open_number.of(stereo, progress=lambda seconds: (begun.set(), over.wait(60)))

    other = threading.Thread(target=second)
    open_number.of(stereo, progress=lambda seconds: other.is_alive() or (other.start(), begun.wait(60)))
    over.set()
    other.join()
    assert warnings.filters == before
    assert not recwarn.list


def test_one_voice_is_not_split_between_slots_and_loses_noise():
    mixture, _, _ = FolderMixtures(speech("dev"), 10.0, 1, size=1, seed=0, fixed=True)[0]
    separator = Separator.from_pretrained(sources=1)
    noise = 0.3 * float(mixture.std()) * torch.randn(mixture.shape, generator=torch.Generator().manual_seed(0))

    def distance(wave):
        separated = separator(wave)
        assert separated.slots.tolist() == [0]
        assert len(separated.sources) == 1
        error = (separated.sources[0] - mixture).square().sum() / mixture.square().sum()
        return float(10 * error.log10())

    assert distance(mixture) < -20
    assert distance(mixture + noise) < 20 * np.log10(0.3) - 3


def test_slots_with_names_are_not_merged():
    assert Separator(preset("audioslots-small"), sources=1).merged
    assert not Separator(preset("audioslots-small"), sources=2).merged
    assert not Separator(preset("audioslots-small", names=["first", "second"]), sources=1).merged
