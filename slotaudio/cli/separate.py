"""`slotaudio separate`: recordings of any length into one file per slot."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slotaudio.cli.counting import counted
from slotaudio.cli.options import Channel, Device, Force, Model, Quiet, SkipExisting, Threads, channel_number
from slotaudio.cli.recordings import for_each, recordings_in
from slotaudio.cli.reporting import progress_bar, waiting
from slotaudio.cli.separate_list import separate_list
from slotaudio.errors import UserError
from slotaudio.writing import check_free

if TYPE_CHECKING:
    from slotaudio.plotting import RecordingPictures
    from slotaudio.separation.counting import Separators
    from slotaudio.separation.separator import Separator


def separate(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the sources; made if missing.")
    ],
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IN...", help="Recordings, or folders of them: WAV, FLAC, OGG or MP3 of any length, rate and level."
        ),
    ] = None,
    list_: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            help="Recordings of a corpus instead, a path in each line or a CSV column; DIR gets the folders of theirs.",
        ),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Of the list, only the I-th of N parts: for disks without locks.")
    ] = None,
    model: Model = "default",
    sources: Annotated[
        str | None,
        typer.Option(
            metavar="N|N-M|unknown",
            help="How many sources a recording has: a number, the least and the most as in 2-3, or 'unknown', for "
            "which it is heard first. Surplus slots are then not written; all are by default.",
        ),
    ] = None,
    joining: Annotated[
        str,
        typer.Option(
            help="How a speaker stays the same output: 'overlap' matches windows and voices, 'given' trusts the "
            "model's order, 'auto' does so where the model carries its slots."
        ),
    ] = "auto",
    overlap: Annotated[
        float | None,
        typer.Option(
            help="Share of a window that the next one covers too, 0 to 0.9; by default half, and a quarter of the long "
            "windows of models that take any length."
        ),
    ] = None,
    keep_noise: Annotated[
        bool,
        typer.Option(
            "--keep-noise",
            help="Let the outputs add up to the recording, even if the model has learned to leave noise out.",
        ),
    ] = False,
    channel: Channel = "mix",
    mask: Annotated[str | None, typer.Option(help="'wiener' or 'binary'; the model's own by default.")] = None,
    format: Annotated[str, typer.Option(help="'wav' or 'flac'.")] = "wav",
    subtype: Annotated[
        str | None, typer.Option(help="PCM_16, PCM_24 or FLOAT; by default as deep as the recording.")
    ] = None,
    force: Force = False,
    skip_existing: SkipExisting = False,
    plot: Annotated[
        bool,
        typer.Option(
            "--plot",
            help="Also write pictures: the first 20 s (NAME_slots.png), who is heard when (NAME_timeline.png), and how "
            "slots keep their identity (NAME_identity.png).",
        ),
    ] = False,
    device: Device = None,
    threads: Threads = None,
    precision: Annotated[
        str, typer.Option(help="'fp32', or 'bf16', which takes a quarter less time where the machine has it.")
    ] = "fp32",
    quiet: Quiet = False,
) -> None:
    """Separate recordings into their sources.

    A recording NAME.mp3 becomes DIR/NAME_slot1.wav, DIR/NAME_slot2.wav, ..., one per slot of the model, or
    DIR/NAME_vocals.wav and so on where its slots have names. They have its length, sample rate and level, and
    add up to it, but for noise and an offset if the model has learned to leave noise out; recordings of several
    channels are mixed down unless the model takes them. IN may be a pipe, or - for standard input. Memory does not
    grow with the length.

    Until a recording is done its files are NAME_slot1.part.wav and so on. If it is damaged, the disk is full or
    you press Ctrl-C, they stay, playable to the last window, and a warning says how far they go. The other
    recordings go on after a failure; the exit code is then 2, and 130 after Ctrl-C.

    With --list, start the same command as often as you like, on as many machines as share DIR: each recording is
    done by one of them. Whatever was killed, the same command does what is left.
    """
    if inputs is None and list_ is None:
        raise UserError("name the recordings, or give a --list of them")
    if inputs is not None and list_ is not None:
        raise UserError(f"{inputs[0]} and --list {list_} were given: name recordings, or give a --list, not both")
    if list_ is None and shard is not None:
        raise UserError("--shard is a part of a --list")
    if list_ is not None and (force or skip_existing or plot):
        raise UserError(
            "--list skips what is done, and goes with neither --force nor --plot; to do all of it anew, choose another "
            "folder"
        )
    with waiting("loading the model", quiet):
        from slotaudio.separation.files import output_paths

        options = {"joining": joining, "overlap": overlap, "sources": sources, "mask": mask, "precision": precision}
        options |= {"keep_noise": keep_noise, "channel": channel_number(channel)}
        recordings = recordings_in(inputs or (), output)
        separators = _separators(model, **options, device=device, threads=threads)
    if list_ is not None:
        kept = {"model": model, **{name: None if value is None else str(value) for name, value in options.items()}}
        code = separate_list(
            separators, list_, shard, output, settings=kept, format=format, subtype=subtype, quiet=quiet
        )
        raise typer.Exit(code)

    def work(path: Path) -> None:
        first = separators.first.model
        targets = output_paths(path, output, first.slots, format, first.names)
        for target in [*targets, *(_picture_paths(path, output) if plot else ())]:
            check_free(target, force)
        separator = counted(separators, path, quiet)
        pictures = _pictures(separator) if plot else None
        with progress_bar(path.name, quiet) as advance:
            written = separator.separate_file(
                path,
                output,
                format=format,
                subtype=subtype,
                force=force,
                progress=advance,
                observer=pictures,
                ordered=None if pictures is None else pictures.put_into_order,
            )
        if pictures is not None and written:
            names = output_paths(path, output, separator.model.slots, format, separator.model.names)
            slots = [names.index(name) for name in written]
            written = [*written, *pictures.write(path, written, slots, output, force)]
        if not quiet:
            print(*written, sep="\n", flush=True)

    raise typer.Exit(for_each(recordings, work, force=force, skip_existing=skip_existing, quiet=quiet))


def _separators(name: str, **options: Any) -> "Separators":
    from slotaudio.separation.counting import Separators

    return Separators(name, **options)


def _picture_paths(path: Path, folder: Path) -> list[Path]:
    from slotaudio.plotting.recording import picture_paths

    return list(picture_paths(path, folder).values())


def _pictures(separator: "Separator") -> "RecordingPictures":
    from slotaudio.plotting import RecordingPictures

    return RecordingPictures(separator)
