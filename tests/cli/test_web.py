"""The page to try it, started by its command and asked as a browser would ask."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slotaudio.data.bundled import speech

ASK = """
import json, sys, gradio_client
client = gradio_client.Client(sys.argv[1], verbose=False)
for path in sys.argv[2:]:
    asked = gradio_client.handle_file(path), "default", "as many as the model has"
    try:
        print(json.dumps(client.predict(*asked, api_name="/separate")))
    except Exception as error:
        print(json.dumps(str(error)))
"""


def wait_for(address: str, server: subprocess.Popen) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, "the server has ended"
            time.sleep(0.2)
    raise AssertionError("the page does not answer")


def test_a_mixture_gives_what_separate_gives_and_bad_uploads_a_sentence(tmp_path):
    from slotaudio import Separator, audio
    from slotaudio.data.bundled import demo_list, speech
    from slotaudio.data.folder import FolderMixtures

    mixture, text, long = (tmp_path / name for name in ("mixture.wav", "letter.wav", "long.wav"))
    audio.write(mixture, FolderMixtures(speech("dev"), seconds=None, mixtures=demo_list())[0][0], 16000)
    text.write_text("Dear all")
    soundfile.write(long, [0.0] * 16000 * 13, 16000)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = [sys.executable, "-m", "slotaudio", "demo", "--web", "--no-browser", "--longest", "0.2"]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path / "cache"), "GRADIO_ANALYTICS_ENABLED": "False"}
    with subprocess.Popen([*page, "--port", str(port)], env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}", server)
            command = [sys.executable, "-W", "ignore", "-c", ASK, f"http://127.0.0.1:{port}"]
            asked = subprocess.run([*command, mixture, text, long], env=environment, capture_output=True, check=True)
        finally:
            server.terminate()
        assert server.stdout.readline() == f"The page: http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
        assert "share" not in server.stdout.read()  # gradio's hint, how to make the page public
    answer, unreadable, too_long = (json.loads(line) for line in asked.stdout.splitlines())
    assert answer[0].startswith("**2 of 2 slots**")
    for player, file in zip(answer[1:3], Separator.from_pretrained().separate_file(mixture, tmp_path), strict=True):
        path = player["value"] if isinstance(player, dict) else player
        assert soundfile.read(path)[0] == pytest.approx(soundfile.read(file)[0], abs=1e-3)
    assert unreadable.startswith("letter.wav cannot be read")  # no folder of the server
    assert "this page takes 0.2" in too_long


def test_outputs_do_not_pile_up(tmp_path: Path):
    code = """
import sys, pathlib
from slotaudio.web import Page
state = Page(["default"], 1.0, pathlib.Path(sys.argv[1]))
state._sweep()
"""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "old", (0, 0))
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, tmp_path], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_warnings_are_for_the_visitor(tmp_path: Path):
    code = """
import gradio, sys, pathlib
gradio.Warning = print
from slotaudio.web import Page
state = Page(["band-split-fast"], 1.0, pathlib.Path(sys.argv[1]))
for _ in range(2):
    state.separate(sys.argv[2], state.models[0], "as many as the model has")
"""
    voice = soundfile.read(min(speech("dev").rglob("*.flac")), frames=32000)[0]
    call = (20 * np.stack([voice, voice], axis=1)).clip(-1, 1)
    outputs, uploads = tmp_path / "outputs", tmp_path / "uploads"
    outputs.mkdir()
    uploads.mkdir()
    soundfile.write(uploads / "call.wav", call, 16000)
    command = [sys.executable, "-c", code, outputs, uploads / "call.wav"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert told[0] == "call.wav has 2 channels; they are mixed down to the one that the model takes"
    assert told.count(told[0]) == 2  # the second visitor is told, too
    assert "samples beyond full scale were found: to keep them, call_slot" in told[-1]
    assert not [one for one in told if str(tmp_path) in one or "channel=" in one]


def test_the_default_is_the_model_that_knows_about_the_number(tmp_path: Path):
    code = """
import sys, pathlib
from slotaudio.web import Page
state = Page(["default"], 1.0, pathlib.Path(sys.argv[1]))
print(state.slots, *(state.separators("default", number).first.model.slots for number in ("find out", "3", "2")))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, tmp_path], check=True, capture_output=True)
    assert done.stdout.split() == [b"3", b"3", b"3", b"2"]
