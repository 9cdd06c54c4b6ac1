"""Separating audio files, and what comes through a pipe, into audio files, block by block."""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from slotaudio.audio import AudioReader
from slotaudio.audio.pcm import PcmReader
from slotaudio.audio.writing import subtype_for
from slotaudio.errors import AudioFileError, UserError
from slotaudio.separation.doubt import WORTH_TELLING, told
from slotaudio.separation.hindsight import HindsightOrder
from slotaudio.separation.intake import SeparationWarning, UpToDamage
from slotaudio.separation.observation import Observation
from slotaudio.separation.outputs import Outputs
from slotaudio.separation.whole import WholeRecording
from slotaudio.writing import make_folder

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
    force: bool = False,
    progress: Callable[[float], None] | None = None,
    observer: Callable[[Observation], None] | None = None,
    ordered: Callable[[HindsightOrder], None] | None = None,
) -> list[Path]:
    """Separate one file in one pass and constant memory; outputs get their names when all are complete.

    Outputs have the recording's length, sample rate and level, and its resolution (16 bit, 24 bit or float)
    unless `subtype` says otherwise; see `slotaudio.audio.AudioWriter` for what happens to samples beyond full scale.
    Surplus outputs are not written, if the separator knows how many `sources` there are or is to find out.

    Whatever ends the work early, be it damage in the recording, a full disk or Ctrl-C: what is separated by then
    stays, playable, as ``talk_slot1.part.wav``, and a warning says how much it is.

    When all is separated, voices that changed places are brought back (`slotaudio.separation.hindsight`), for which the
    files are written anew, beside the first ones. Where voices may be in the wrong place even so, if in a twentieth of
    the recording or more, a warning says when.

    Args:
        path: WAV, FLAC, OGG or MP3.
        folder: made if missing; see `output_paths` for the names.
        format: ``"wav"`` or ``"flac"``.
        subtype: ``"PCM_16"``, ``"PCM_24"`` or ``"FLOAT"``.
        force: replace existing outputs.
        progress: called with the share that is done, 0 to 1.
        observer: called with what the model saw in each window.
        ordered: called at the end with the order into which the outputs were put, and where it is doubtful.

    Returns:
        The files written, in the order of the slots.

    Raises:
        UserError: an impossible option, or an output that exists.
        AudioFileError: the recording cannot be read, or the outputs not written.
    """
    if format not in FORMATS:
        raise UserError(f"format {format!r} is not known; choose {' or '.join(FORMATS)}")
    targets = output_paths(path, folder, separator.model.slots, format, separator.model.names)
    with AudioReader(path) as reader:
        if any(target.exists() and target.samefile(reader.info.path) for target in targets):
            raise AudioFileError(f"{path} would be overwritten by an output of its own name; choose another folder")
        return separate_into(
            separator,
            reader,
            targets,
            subtype=subtype,
            force=force,
            progress=progress,
            observer=observer,
            ordered=ordered,
        )


def separate_into(
    separator: "Separator",
    reader: AudioReader | PcmReader,
    targets: Sequence[Path],
    *,
    subtype: str | None = None,
    force: bool = False,
    progress: Callable[[float], None] | None = None,
    observer: Callable[[Observation], None] | None = None,
    listener: Callable[[Float[Tensor, "slots channels time"]], None] | None = None,
    ordered: Callable[[HindsightOrder], None] | None = None,
) -> list[Path]:
    """Separate what a reader gives, a file or a pipe, into one file for each slot; see `separate_file`.

    Args:
        targets: names of the files, in the order of the slots.
        listener: called with each finished piece of the sources, whose order is then decided about while they come,
            and not when all is separated.
        ordered: as for `separate_file`; with a listener nothing moves, and nothing is doubtful.
    """
    info = reader.info
    order = HindsightOrder.unchanged(info.sample_rate, separator.model.slots)  # of nothing, if nothing comes
    fit = separator.channel_map(info.channels, info.sample_rate, str(info.path))
    whole = WholeRecording(separator, info.sample_rate, observer=observer, follow=listener is not None)
    for target in targets:
        make_folder(target.parent)
    with Outputs(
        targets,
        info.sample_rate,
        separator.model.frontend.channels,
        subtype or subtype_for(targets[0], info.depth),
        force=force,
        widen=subtype is None,
        name=str(info.path),
        choose=lambda: whole.meter.chosen(*separator.sources)[0],
    ) as outputs:

        def write(piece: Float[Tensor, "slots channels time"]) -> None:
            outputs.write(piece)
            if listener is not None:
                listener(piece)

        recording = UpToDamage(reader)
        for block in recording:
            write(whole.push(fit(block[None]))[0])
            if progress is not None and info.frames:
                progress(min(1.0, whole.received / info.frames))
        if whole.received:
            write(whole.finish()[0])
            order = whole.order()
            outputs.put_into_order(order)
        if recording.damage is not None:
            raise recording.damage
        written = outputs.commit()
    if ordered is not None:
        ordered(order)
    if sum(end - start for start, end in order.doubtful) > WORTH_TELLING * whole.received / info.sample_rate:
        warnings.warn(f"{info.path}: {told(order.doubtful)}", SeparationWarning, stacklevel=4)
    return written
