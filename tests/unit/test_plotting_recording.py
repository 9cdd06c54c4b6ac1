"""Pictures of a recording: they show its outputs as the files hold them."""

from types import SimpleNamespace

import torch

from slotaudio import Separator, audio
from slotaudio.plotting import recording as module
from slotaudio.plotting.recording import RecordingPictures
from slotaudio.separation.hindsight import HindsightOrder
from slotaudio.separation.observation import Observation
from slotaudio.types import Slots

RATE = 16000


def test_presence_follows_outputs_that_hindsight_moved(tmp_path, monkeypatch):
    drawn = {}
    real = module.timeline_figure
    monkeypatch.setattr(module, "timeline_figure", lambda *args, **said: (drawn.update(said), real(*args, **said))[1])
    framing = SimpleNamespace(window=RATE)
    pictures = RecordingPictures(
        SimpleNamespace(model=Separator.from_pretrained().model, framing=framing, sample_rate=RATE)
    )
    for start in range(4):
        presence = torch.tensor([[[100.0, -100.0]]])  # logits
        slots = Slots(torch.zeros(1, 1, 2, 3), presence=presence)
        pictures(Observation(float(start), slots, torch.zeros(1, 2), torch.tensor([[0, 1]])))
    pictures.put_into_order(
        HindsightOrder(RATE, torch.tensor([2 * RATE]), torch.tensor([[0, 1], [1, 0]]), [(1.5, 2.5)])
    )
    files = [tmp_path / name for name in ("talk.wav", "talk_slot1.wav", "talk_slot2.wav")]
    for file in files:
        audio.write(file, torch.rand(1, 4 * RATE) - 0.5, RATE)
    pictures.write(files[0], files[1:], [0, 1], tmp_path)
    assert drawn["presence"].tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert drawn["doubtful"] == [(1.5, 2.5)]
