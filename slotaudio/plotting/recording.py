"""The pictures of one separated recording: a close look at its beginning, and all of it at a glance."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from slotaudio import audio
from slotaudio.plotting.attention import attention_map
from slotaudio.plotting.saving import save
from slotaudio.plotting.separation import separation_figure
from slotaudio.plotting.summaries import PowerMap, SlotHistory
from slotaudio.plotting.timeline import timeline_figure
from slotaudio.plotting.trajectories import identity_figure
from slotaudio.separation.hindsight import HindsightOrder
from slotaudio.separation.observation import Observation

if TYPE_CHECKING:
    from slotaudio.separation.separator import Separator

CLOSE = 20.0
"""Seconds at the beginning of a recording that the close look shows."""


def picture_paths(recording: str | os.PathLike[str], folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Return the names of a recording's pictures: ``talk_slots.png``, ``talk_timeline.png``, ``talk_identity.png``."""
    return {kind: Path(folder) / f"{Path(recording).stem}_{kind}.png" for kind in ("slots", "timeline", "identity")}


class RecordingPictures:
    """An observer that draws what it saw; give it to a separator, one for each recording.

    Memory does not grow with the length of the recording.

    Args:
        separator: that will separate the recording.
    """

    def __init__(self, separator: "Separator") -> None:
        self.separator = separator
        self.window = separator.framing.window / separator.sample_rate
        self.history = SlotHistory()
        self._close: list[Observation] = []
        self._order: HindsightOrder | None = None

    def __call__(self, seen: Observation) -> None:
        """Take what was seen in the next window."""
        if seen.start < CLOSE:
            self._close.append(seen)
        self.history(seen)

    def put_into_order(self, order: HindsightOrder) -> None:
        """Take the order into which the outputs were put: presence follows them, and what is doubtful is hatched."""
        self._order = order

    def write(
        self,
        recording: str | os.PathLike[str],
        outputs: Sequence[str | os.PathLike[str]],
        slots: Sequence[int],
        folder: str | os.PathLike[str],
        force: bool = False,
    ) -> list[Path]:
        """Draw a recording and the files that became of it; return the pictures written.

        ``talk_slots.png`` is a close look at its first 20 s, ``talk_timeline.png`` says who is heard when in all of it,
        ``talk_identity.png`` how its slots kept their identity.

        Args:
            recording: that was separated.
            outputs: files of its sources, of the recording's length and rate.
            slots: of each output, its number among the model's outputs, from 0.
            folder: for the pictures.
            force: replace existing ones.

        Raises:
            AudioFileError: a file cannot be read.
            UserError: a picture exists, or cannot be written.
        """
        recording = Path(recording)
        all_names = self.separator.model.names or [f"slot {slot + 1}" for slot in range(self.separator.model.slots)]
        names = [all_names[slot] for slot in slots]
        rate = audio.info(outputs[0]).sample_rate
        stop = min(audio.info(outputs[0]).frames or 0, round(CLOSE * rate))
        attention = attention_map(self._close, self.window, stop / rate)
        close = separation_figure(
            audio.read(recording, 0, stop)[0],
            torch.stack([audio.read(name, 0, stop)[0] for name in outputs]),
            rate,
            attention=None if attention is None else attention[list(slots)],
            names=names,
            title=recording.name,
            colours=slots,
        )
        presence, times = self.history.presence, self.history.times(self.window)
        if presence is not None and self._order is not None:
            presence = presence.gather(1, self._order.at(times))
        timeline = timeline_figure(
            _power(recording),
            [_power(name) for name in outputs],
            presence=None if presence is None else presence[:, list(slots)],
            times=times,
            doubtful=[] if self._order is None else self._order.doubtful,
            names=names,
            colours=slots,
            title=recording.name,
        )
        identity = identity_figure(
            self.history.vectors,
            times,
            self.history.shares,
            weights=self.history.heard,
            names=all_names,
            title=recording.name,
        )
        figures = {"slots": close, "timeline": timeline, "identity": identity}
        return [save(figures[kind], path, force) for kind, path in picture_paths(recording, folder).items()]


def _power(path: str | os.PathLike[str]) -> PowerMap:
    with audio.AudioReader(path) as reader:
        power = PowerMap(reader.info.sample_rate)
        for block in reader:
            power.push(block)
    return power
