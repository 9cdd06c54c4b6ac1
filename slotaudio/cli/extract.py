"""`slotaudio extract`: one voice of a recording, by an example of it."""

from pathlib import Path
from typing import Annotated

import typer

from slotaudio.cli.options import Channel, Device, Model, Threads, channel_number
from slotaudio.cli.recordings import spooled
from slotaudio.cli.reporting import progress_bar, waiting
from slotaudio.errors import UserError


def extract(
    recording: Annotated[
        Path, typer.Argument(metavar="IN", help="Recording: WAV, FLAC, OGG or MP3 of any length, rate and level.")
    ],
    example: Annotated[
        Path,
        typer.Option(
            "--example", "-e", metavar="FILE", help="Some seconds of the wanted speaker alone, saying anything."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Ends in .wav or .flac.")],
    model: Model = "default",
    least: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Probability that the voice is the example's from which on it is written; 0 always is.",
        ),
    ] = 0.5,
    channel: Channel = "mix",
    joining: Annotated[str, typer.Option(help="As for `slotaudio separate`.")] = "auto",
    device: Device = None,
    threads: Threads = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no report.")] = False,
) -> None:
    """Extract the speaker of an example from a recording.

    The recording is separated, and of the voices in it the one written that sounds most like the example. How likely
    each is the example's is printed; where none is likely enough nothing is written, and the exit code is 2.

    The example is best from the same microphone and room as the recording: what is compared are voices as recorded.
    """
    if not 0 <= least <= 1:
        raise UserError(f"--least {least}: give a share between 0 and 1")
    with waiting("loading the model", quiet):
        from slotaudio.audio.writing import format_of
        from slotaudio.separation.extraction import extract_file
        from slotaudio.separation.separator import Separator

        format_of(output)
        options = {"channel": channel_number(channel), "joining": joining}
        separator = Separator.from_pretrained(model, **options, device=device, threads=threads)
    with spooled(recording) as readable, progress_bar(recording.name, quiet) as advance:
        found = extract_file(separator, readable, example, output, least=least, force=force, progress=advance)
    if not quiet:
        others = ", ".join(
            f"slot{slot + 1} {similarity:.1%}"
            for slot, similarity in enumerate(found.similarities)
            if slot != found.slot
        )
        print(f"{output}: slot{found.slot + 1}, with {found.similarity:.1%} the voice of {example} ({others})")
