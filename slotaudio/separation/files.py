"""Separating audio files into audio files, block by block."""

import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from slotaudio.audio import AudioReader, AudioWriter
from slotaudio.errors import AudioFileError, UserError
from slotaudio.separation.intake import SeparationWarning, channel_map
from slotaudio.separation.observation import Observation

if TYPE_CHECKING:
    from slotaudio.separation.separator import Separator

FORMATS = ("wav", "flac")


def output_paths(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    slots: int,
    format: str,
    names: Sequence[str] | None = None,
) -> list[Path]:
    """Return the names of a recording's outputs, in the order of the slots.

    ``talk.mp3`` gives ``talk_slot1.wav``, ``talk_slot2.wav``, ..., or, where slots have names, ``talk_vocals.wav``.
    """
    endings = names or [f"slot{slot}" for slot in range(1, slots + 1)]
    return [Path(folder) / f"{Path(path).stem}_{ending}.{format}" for ending in endings]


def separate_file(
    separator: "Separator",
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    format: str = "wav",
    subtype: str | None = None,
    sources: int | None = None,
    force: bool = False,
    progress: Callable[[float], None] | None = None,
    observer: Callable[[Observation], None] | None = None,
) -> list[Path]:
    """Separate one file in one pass and constant memory; outputs get their names when all are complete.

    Outputs have the recording's length, sample rate and level, and its resolution (16 bit, 24 bit or float)
    unless `subtype` says otherwise; see `slotaudio.audio.AudioWriter` for what happens to samples beyond full scale.

    Args:
        path: WAV, FLAC, OGG or MP3.
        folder: made if missing; see `output_paths` for the names.
        format: ``"wav"`` or ``"flac"``.
        subtype: ``"PCM_16"``, ``"PCM_24"`` or ``"FLOAT"``.
        sources: write only so many outputs, those with most energy; all by default.
        force: replace existing outputs.
        progress: called with the share that is done, 0 to 1.
        observer: called with what the model saw in each window.

    Returns:
        The files written, loudest first if `sources` is given.

    Raises:
        UserError: an impossible option.
        AudioFileError: the recording cannot be read, or the outputs not written; nothing is left of them.
    """
    if format not in FORMATS:
        raise UserError(f"format {format!r} is not known; choose {' or '.join(FORMATS)}")
    slots = separator.model.slots
    if sources is not None and not 1 <= sources <= slots:
        raise UserError(f"{sources} sources cannot be written: the model predicts {slots}")
    targets = output_paths(path, folder, slots, format, separator.model.names)
    with AudioReader(path) as reader, ExitStack() as undo:
        info = reader.info
        if any(target.exists() and target.samefile(info.path) for target in targets):
            raise AudioFileError(f"{path} would be overwritten by an output of its own name; choose another folder")
        fit = channel_map(info.channels, separator.model.frontend.channels, str(path))
        _make_folder(Path(folder))
        chosen = subtype or _subtype(info.depth, format)
        channels = separator.model.frontend.channels
        writers = []
        for target in targets:
            writer = AudioWriter(target, info.sample_rate, channels, chosen, force, widen=subtype is None)
            undo.callback(writer.discard)  # does nothing to a file that has its name already
            writers.append(writer)
        stream = separator.open(info.sample_rate, observer=observer)
        energy = torch.zeros(slots, dtype=torch.float64)
        for block in reader:
            energy += _write(writers, stream.push(fit(block[None]))[0])
            if progress is not None and info.frames:
                progress(min(1.0, stream.received / info.frames))
        energy += _write(writers, stream.finish()[0])
        kept = energy.argsort(descending=True)[:sources].tolist() if sources else range(slots)
        for slot in kept:
            writers[slot].close()
        for slot in kept:
            writers[slot].commit()
        _notes(writers, float(energy.sum()), str(path))
        return [targets[slot] for slot in kept]


def _write(writers: Sequence[AudioWriter], piece: torch.Tensor) -> torch.Tensor:
    """Write a piece ``slots channels time`` and return the energy of each slot."""
    for writer, wave in zip(writers, piece, strict=True):
        writer.write(wave)
    return piece.double().square().sum(dim=(1, 2))


def _subtype(depth: str, format: str) -> str:
    return "PCM_24" if depth == "FLOAT" and format == "flac" else depth


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioFileError(f"the folder {folder} cannot be made: {error.strerror}") from None


def _notes(writers: Sequence[AudioWriter], energy: float, name: str) -> None:
    """Say what happened to a recording that its owner would not expect."""
    if energy == 0:
        warnings.warn(f"{name} is silent, and so are its sources", SeparationWarning, stacklevel=3)
    for writer in writers:
        if writer.limited:
            warnings.warn(
                f"{writer.path}: {writer.limited} samples beyond full scale were limited; write float WAV to keep them",
                SeparationWarning,
                stacklevel=3,
            )
        elif writer.widened:
            warnings.warn(
                f"{writer.path} holds samples beyond full scale and was written as 32-bit float to keep them",
                SeparationWarning,
                stacklevel=3,
            )
