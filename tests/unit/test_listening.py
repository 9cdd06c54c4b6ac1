"""Players carry the very waves that they were given."""

import base64
import io
import re

import pytest
import soundfile
import torch

from slotaudio.errors import UserError
from slotaudio.listening import players
from slotaudio.plotting import SLOT_COLOURS


def test_what_a_player_plays_is_the_wave():
    waves = torch.rand(2, 1, 800) - 0.5
    page = players(waves, 16000, mixture=waves.sum(0))._repr_html_()
    sounds = [base64.b64decode(sound) for sound in re.findall(r"base64,([^\"]+)", page)]
    heard = [torch.as_tensor(soundfile.read(io.BytesIO(sound), dtype="float32")[0]) for sound in sounds]
    assert len(heard) == 3
    torch.testing.assert_close(torch.stack(heard[1:]), waves[:, 0], atol=2**-14, rtol=0)
    assert page.index("mixture") < page.index("slot 1") < page.index("slot 2")
    assert SLOT_COLOURS[1] in page


def test_names_cannot_break_out_of_the_page():
    page = players({"<script>": torch.zeros(10)}, 8000)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_what_cannot_be_played_is_said():
    with pytest.raises(UserError, match=r"one: a player takes .* \(1, 1, 9\)"):
        players({"one": torch.zeros(1, 1, 9)}, 16000)
    with pytest.raises(UserError, match="0 Hz"):
        players({"one": torch.zeros(9)}, 0)
