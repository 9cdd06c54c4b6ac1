"""`slotaudio embed`: what a model makes of recordings over time, as arrays for use elsewhere."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slotaudio.cli.options import Channel, Device, Force, Model, Quiet, SkipExisting, Threads, channel_number
from slotaudio.cli.recordings import for_each, recordings_in
from slotaudio.cli.reporting import progress_bar, waiting
from slotaudio.errors import UserError
from slotaudio.writing import make_folder

if TYPE_CHECKING:
    from slotaudio.representation import Embedder


def embed(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN...", help="Recordings, or folders of them: WAV, FLAC, OGG or MP3 of any length and rate."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for NAME.npz; made if missing.")
    ],
    model: Model = "default",
    features: Annotated[
        str,
        typer.Option(
            help="'slots', 'tokens' (of the encoder), 'mfcc', 'log_mel' or what a plug-in offers; 'auto' is slots "
            "where the model has them, else tokens."
        ),
    ] = "auto",
    attention: Annotated[
        bool, typer.Option("--attention", help="Also write where the slots looked (much larger files).")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the features: bands=40.")
    ] = None,
    channel: Channel = "mix",
    device: Device = None,
    threads: Threads = None,
    force: Force = False,
    skip_existing: SkipExisting = False,
    quiet: Quiet = False,
) -> None:
    """Write slots, or other features, of recordings over time to NumPy files.

    A recording NAME.mp3 becomes DIR/NAME.npz with the arrays `times` (seconds; of the axis steps), `vectors`
    (steps, slots, dim; one slot for features that are no sets), `level` of the slots in decibels and, where the
    model knows, `presence` (probability); besides `window`, `duration` (seconds), `recording`, `model` and
    `features`. Slots are in the order in which windows are joined: a speaker stays the same slot. `slotaudio
    separate` also brings back who changed places inside of a window, which has one set of slots.

    Memory does not grow with the length. A recording that fails leaves no output, and the others go on; the exit
    code is then 2.
    """
    recordings = recordings_in(inputs, output)
    with waiting("loading the model", quiet):
        from slotaudio.representation import embed_file

        taken = channel_number(channel)
        embedder, about = make(features, model, set_ or (), attention, device, threads)

    def work(path: Path) -> None:
        make_folder(output)
        target = output / f"{path.stem}.npz"
        with progress_bar(path.name, quiet) as advance:
            steps = embed_file(embedder, path, target, channel=taken, force=force, progress=advance, **about)
        if not quiet:
            print(f"{target}: {steps} step{'s' * (steps != 1)}", flush=True)

    raise typer.Exit(for_each(recordings, work, force=force, skip_existing=skip_existing, quiet=quiet))


def make(
    features: str,
    model: str,
    assignments: "list[str] | tuple[str, ...]" = (),
    attention: bool = False,
    device: str | None = None,
    threads: int | None = None,
) -> tuple["Embedder", dict[str, str]]:
    """Build an embedder from what a command was given; return with it what to write beside the arrays.

    Raises:
        UserError: attention of features without slots; see `slotaudio.representation.embedder`.
    """
    from slotaudio.model import use_threads
    from slotaudio.registry import embedders
    from slotaudio.representation import embedder
    from slotaudio.representation.naming import resolved
    from slotaudio.toml import set_value

    use_threads(threads)
    table: dict[str, Any] = {"name": features}
    for assignment in assignments:
        set_value(table, assignment)
    spec, loaded = resolved(table, model)
    if attention and "attention" not in inspect.signature(embedders[spec.name]).parameters:
        raise UserError(f"--attention is where slots looked, and {spec.name!r} has none: leave it out, or take slots")
    return embedder(spec, loaded, attention=attention or None, device=device), {"model": model, "features": spec.name}
