"""`slotaudio stream`: raw samples from standard input, separated while they come."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slotaudio.cli.options import Channel, Device, Force, Model, Threads, channel_number
from slotaudio.cli.recordings import check_folder
from slotaudio.cli.reporting import waiting
from slotaudio.errors import UserError
from slotaudio.pluginmanager import prints_to_stderr
from slotaudio.writing import partial_path

if TYPE_CHECKING:
    from slotaudio.audio.pcm import PcmReader


def stream(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the sources; made if missing.")
    ],
    rate: Annotated[int, typer.Option("--rate", "-r", help="Samples per second of what comes in.")] = 16000,
    channels: Annotated[int, typer.Option(help="Channels of what comes in, interleaved.")] = 1,
    channel: Channel = "mix",
    encoding: Annotated[
        str, typer.Option(help="Of the samples: s16le, s32le or f32le, as ffmpeg calls them.")
    ] = "s16le",
    name: Annotated[
        str | None,
        typer.Option(
            help="Of the recording: the files are DIR/NAME_slot1.wav and so on. By default 'stream', or 'stream-2' "
            "and so on where that is there."
        ),
    ] = None,
    slot: Annotated[
        int | None,
        typer.Option(metavar="N", help="Also write slot N to standard output, encoded as what comes in, for a player."),
    ] = None,
    model: Model = "default",
    sources: Annotated[
        str | None, typer.Option(metavar="N|N-M|unknown", help="How many sources there are; see `slotaudio separate`.")
    ] = None,
    window: Annotated[
        float, typer.Option(help="Seconds that models of any length hear at once; others have their own.")
    ] = 8.0,
    ahead: Annotated[
        float, typer.Option(help="Seconds heard before a speaker is given an output; 0 delays least.")
    ] = 8.0,
    joining: Annotated[str, typer.Option(help="'overlap', 'given' or 'auto'; see `slotaudio separate`.")] = "auto",
    keep_noise: Annotated[
        bool, typer.Option("--keep-noise", help="Leave no noise out; see `slotaudio separate`.")
    ] = False,
    force: Force = False,
    device: Device = None,
    threads: Threads = None,
    precision: Annotated[str, typer.Option(help="'fp32' or 'bf16'; see `slotaudio separate`.")] = "fp32",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say neither the delay nor what was written.")] = False,
) -> None:
    """Separate raw samples from standard input while they come.

    A microphone, for instance: `arecord -q -t raw -f S16_LE -r 16000 -c 1 | slotaudio stream -o live`. Or what
    ffmpeg plays, one voice of it to be heard at once:
    `ffmpeg -i URL -f s16le -ac 1 -ar 16000 - | slotaudio stream -o live --slot 1 | aplay -t raw -f S16_LE -r 16000`.

    The files grow as DIR/NAME_slot1.part.wav and so on, playable at any time, and get their names at the end: that of
    the pipe, or the first Ctrl-C, after which what was heard is separated to its last sample. Memory does not grow.
    """
    if sys.stdin.isatty():
        raise UserError("nothing is piped in: `arecord -q -t raw -f S16_LE -r 16000 -c 1 | slotaudio stream -o live`")
    check_folder(output)
    if name is not None and (name in ("", ".", "..") or "/" in name or "\\" in name):
        raise UserError(f"--name {name!r}: give a name without folders, as in --name meeting; folders go into -o")
    with waiting("loading the model", quiet):
        from slotaudio.audio.pcm import PcmReader
        from slotaudio.separation.files import output_paths, separate_into
        from slotaudio.separation.separator import Separator

        pipe = open(sys.stdin.fileno(), "rb", closefd=False)  # noqa: SIM115 (not ours to close)
        reader = PcmReader(pipe, rate, channels, encoding)
        options = {
            "sources": sources,
            "joining": joining,
            "ahead": ahead,
            "long_window": window,
            "keep_noise": keep_noise,
            "channel": channel_number(channel),
        }
        separator = Separator.from_pretrained(
            model, **options, windows_at_once=1, device=device, threads=threads, precision=precision
        )
    if slot is not None and not 1 <= slot <= separator.model.slots:
        raise UserError(f"slot {slot} does not exist: the model has {separator.model.slots}, from 1 on")

    def named(name: str) -> list[Path]:
        return output_paths(name, output, separator.model.slots, "wav", separator.model.names)

    targets = named(name) if name else next(paths for paths in map(named, _names()) if force or _free(paths))
    play, going = None if slot is None else _player(slot, encoding), quiet

    def listener(piece: Any) -> None:
        nonlocal going
        if not going:
            going, delay = True, separator.open(rate).latency
            print(f"slotaudio: {delay:.1f} s behind, and what computing takes; Ctrl-C ends the stream", file=sys.stderr)
        if play is not None:
            play(piece)

    with prints_to_stderr(), _ends_at_interrupt(reader):
        written = separate_into(separator, reader, targets, force=force, listener=listener)
    if not quiet:
        print(*written, sep="\n", file=sys.stdout if slot is None else sys.stderr)


def _names() -> Iterator[str]:
    yield "stream"
    yield from (f"stream-{number}" for number in count(2))


def _free(paths: list[Path]) -> bool:
    """Whether no stream that is over, going on or broken off has these files."""
    return not any(path.exists() or partial_path(path).exists() for path in paths)


def _player(slot: int, encoding: str) -> Callable[[Any], None]:
    """Return what writes a slot to standard output, until whoever reads there has gone."""
    from slotaudio.audio.pcm import encoded

    gone, player = False, sys.stdout.buffer

    def play(piece: Any) -> None:
        nonlocal gone
        if gone:
            return
        try:
            player.write(encoded(piece[slot - 1], encoding))
            player.flush()
        except BrokenPipeError:
            gone = True  # the files go on

    return play


@contextmanager
def _ends_at_interrupt(reader: "PcmReader") -> Iterator[None]:
    """Let the first Ctrl-C (or SIGTERM) end the stream; the next one interrupts as usual."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def end(*_: object) -> None:
        restore()
        reader.end()

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        restore()
