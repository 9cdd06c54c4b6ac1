"""A page to try it: a recording goes in, its sources come out, in a browser and offline (needs gradio)."""

import os
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio

from slotaudio import audio
from slotaudio.data.bundled import demo_list, speech
from slotaudio.data.folder import FolderMixtures
from slotaudio.errors import SlotaudioError
from slotaudio.plotting import RecordingPictures
from slotaudio.pretrained import bundled
from slotaudio.separation.channels import ChannelWarning
from slotaudio.separation.counting import Separators
from slotaudio.separation.files import output_paths
from slotaudio.separation.intake import SeparationWarning

NUMBERS = {"as many as the model has": None, "find out": "unknown", "1": "1", "2": "2", "3": "3", "4": "4"}
"""What the page offers as the number of sources, and what a `Separator` calls it."""

PICTURES = {"timeline": "Who is heard when", "slots": "What each slot took"}
"""Endings of the names of the pictures, and their labels."""

_FORGET = 3600
_SIZE = "200mb"


class Page:
    """The page's state: the models that have been loaded, and the limits.

    Args:
        models: names to choose from, see `slotaudio.from_pretrained`; the first is the default.
        longest: minutes that a recording may have.
        folder: for the outputs on their way to the browser.
    """

    def __init__(self, models: Sequence[str], longest: float, folder: Path) -> None:
        self.models = list(models)
        self.longest = longest
        self.folder = folder
        self._separators: dict[tuple[str, str], Separators] = {}
        numbers = ("as many as the model has", "find out")  # for which "default" is two different models
        self.slots = max(
            self.separators(model, number).first.model.slots for model in self.models for number in numbers
        )

    def separators(self, model: str, number: str) -> Separators:
        """Return the separators of a model, which are made once; "default" is the best one for the number."""
        key = (model, number)
        if key not in self._separators:
            self._separators[key] = Separators(model, NUMBERS[number])
        return self._separators[key]

    def separate(
        self,
        recording: str | None,
        model: str,
        number: str,
        progress: Any = gradio.Progress(),  # noqa: B008
    ) -> list[Any]:
        """Return what the page shows: a sentence, a player for each slot, two pictures; warnings appear above it.

        Raises:
            gradio.Error: a sentence for the user.
        """
        if recording is None:
            raise gradio.Error("Choose or record something first.")
        path = Path(recording)
        try:
            with warnings.catch_warnings(record=True) as caught:  # of one visitor: see the limit of `page`
                warnings.simplefilter("always", SeparationWarning)
                shown = self._separate(path, model, number, progress)
        except SlotaudioError as error:
            raise gradio.Error(str(error).replace(str(path.parent) + os.sep, "")) from None
        for warning in caught:
            if isinstance(warning.message, SeparationWarning):
                gradio.Warning(self._told(warning.message, path))
            else:
                warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
        return shown

    def _told(self, warning: SeparationWarning, path: Path) -> str:
        """Return what a visitor can make use of: no folders, and no option that the page has not."""
        told = warning.found if isinstance(warning, ChannelWarning) else str(warning)
        folder = re.escape(str(self.folder) + os.sep) + rf"[^{re.escape(os.sep)}]+" + re.escape(os.sep)
        return re.sub(folder, "", told.replace(str(path.parent) + os.sep, ""))

    def _separate(self, path: Path, model: str, number: str, progress: Any) -> list[Any]:
        seconds = _seconds(path)
        if seconds > 60 * self.longest:
            raise gradio.Error(
                f"The recording has {seconds / 60:.1f} minutes; this page takes {self.longest:g}. "
                "For longer ones: slotaudio separate, which has no limit."
            )
        self._sweep()
        separator, folder = self.separators(model, number).of(path), Path(tempfile.mkdtemp(dir=self.folder))
        pictures = RecordingPictures(separator)
        written = separator.separate_file(
            path,
            folder,
            progress=lambda share: progress(share, desc="separating"),
            observer=pictures,
            ordered=pictures.put_into_order,
        )
        names = output_paths(path, folder, separator.model.slots, "wav", separator.model.names)
        drawn = pictures.write(path, written, [names.index(name) for name in written], folder, True) if written else []
        players: list[Any] = [gradio.Audio(str(file), label=file.stem, visible=True) for file in written]
        players += [gradio.Audio(None, visible=False)] * (self.slots - len(players))
        found = f"**{len(written)} of {separator.model.slots} slots** hold a source; {seconds:.1f} s, model `{model}`."
        shown = {ending: str(file) for file in drawn for ending in PICTURES if file.stem.endswith(ending)}
        images = [gradio.Image(shown.get(ending), visible=ending in shown) for ending in PICTURES]
        return [found, *players, *images]

    def _sweep(self) -> None:
        """Remove outputs that gradio, which takes copies of its own, has served long ago."""
        for old in self.folder.iterdir():
            if old.is_dir() and time.time() - old.stat().st_mtime > _FORGET:
                shutil.rmtree(old, ignore_errors=True)


def page(models: Sequence[str] = (), longest: float = 10.0, folder: str | Path | None = None) -> gradio.Blocks:
    """Build the page; its `launch` serves it.

    Args:
        models: names to choose from, see `slotaudio.from_pretrained`: all bundled ones by default.
        longest: minutes that a recording may have.
        folder: for outputs on their way; a temporary one by default.

    Raises:
        PretrainedError: a model that cannot be loaded.
    """
    state = Page(models or ["default"], longest, Path(folder or tempfile.mkdtemp(prefix="slotaudio-")))
    with gradio.Blocks(title="slotaudio", analytics_enabled=False, delete_cache=(_FORGET, _FORGET)) as blocks:
        gradio.Markdown(
            "# slotaudio\nA mixture becomes a set of slots, and every slot one source. Upload or record people who "
            f"talk at once (up to {longest:g} minutes); nothing leaves this computer."
        )
        with gradio.Row():
            with gradio.Column():
                recording = gradio.Audio(sources=["upload", "microphone"], type="filepath", label="Recording")
                model = gradio.Dropdown(state.models, value=state.models[0], label="Model")
                number = gradio.Dropdown(list(NUMBERS), value=next(iter(NUMBERS)), label="Number of sources")
                button = gradio.Button("Separate", variant="primary", elem_id="separate")
                gradio.Examples([[str(path)] for path in _examples(state.folder)], [recording], label="Examples")
            with gradio.Column():
                found = gradio.Markdown("The sources will be here.", elem_id="found")
                players = [gradio.Audio(visible=False, interactive=False) for _ in range(state.slots)]
        images = [gradio.Image(visible=False, label=label, interactive=False) for label in PICTURES.values()]
        button.click(state.separate, [recording, model, number], [found, *players, *images], api_name="separate")
    return blocks.queue(default_concurrency_limit=1)


def serve(models: Sequence[str], host: str, port: int | None, longest: float, browser: bool) -> None:
    """Serve the page until Ctrl-C.

    Args:
        models: see `page`.
        host: ``127.0.0.1`` for this computer only.
        port: the first free one from 7860 by default.
        longest: minutes that a recording may have.
        browser: open one.
    """
    with tempfile.TemporaryDirectory(prefix="slotaudio-") as folder:
        blocks = page(models or bundled_first(), longest, folder)
        _, address, _ = blocks.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,  # gradio would offer a public address here
            prevent_thread_lock=True,
            inbrowser=browser,
            max_file_size=_SIZE,
            allowed_paths=[folder],
            theme=gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        )
        print(f"The page: {address} (Ctrl-C ends it)", flush=True)
        blocks.block_thread()


def bundled_first() -> list[str]:
    """Return the bundled models, the default one first."""
    return ["default", *bundled()]


def _seconds(path: Path) -> float:
    with audio.AudioReader(path) as reader:
        return reader.count() / reader.info.sample_rate


def _examples(folder: Path) -> list[Path]:
    """Write the bundled mixtures."""
    mixtures = FolderMixtures(speech("dev"), seconds=None, mixtures=demo_list())
    paths = [folder / f"two voices {number}.wav" for number in range(1, len(mixtures) + 1)]
    for path, index in zip(paths, range(len(mixtures)), strict=True):
        audio.write(path, mixtures[index][0], 16000, force=True)
    return paths
