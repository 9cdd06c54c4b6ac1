"""`slotaudio probe`: whether features tell whose voice they are of."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slotaudio.cli.embed import make
from slotaudio.cli.options import Device, Threads
from slotaudio.cli.reporting import progress_bar, waiting
from slotaudio.errors import UserError
from slotaudio.writing import check_free, make_folder, replacing

if TYPE_CHECKING:
    from slotaudio.evaluation.probe import Probed


def probe(
    data: Annotated[
        str,
        typer.Argument(
            help="Folder with one folder per speaker, or 'bundled' for the speech that comes with the package."
        ),
    ],
    features: Annotated[
        str, typer.Option(help="As for `slotaudio embed`, several with commas between.")
    ] = "auto,mfcc,log_mel",
    model: Annotated[
        str, typer.Option("--model", "-m", help="As for `slotaudio embed`, several with commas between.")
    ] = "default",
    span: Annotated[
        str,
        typer.Option(help="What an example shows, several with commas: 'frame', 'window' (see --window), 'utterance'."),
    ] = "frame,window,utterance",
    window: Annotated[float, typer.Option(metavar="SECONDS", help="Length of a window.")] = 0.25,
    folds: Annotated[
        int, typer.Option(help="Parts that a speaker's utterances are dealt out to, each tested once.")
    ] = 5,
    utterances: Annotated[int, typer.Option(help="Of each speaker, at most.")] = 20,
    examples: Annotated[int, typer.Option(help="That a classifier is fitted on, at most.")] = 20000,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Another speaker talks over every utterance: whose voice is which slot?")
    ] = False,
    seed: Annotated[int, typer.Option(help="Decides which utterances are in which part.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="CSV", help="Also write the table there.")
    ] = None,
    device: Device = None,
    threads: Threads = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Measure how well features tell whose voice they are of, beside MFCC and mel bands.

    A multinomial logistic regression is fitted on the features of some utterances of every speaker and tested on his
    others. Printed are the accuracy and its 95 % confidence interval (over utterances) against chance.

    Examples are single steps, windows or whole utterances; of these two the mean and the standard deviation over the
    steps count. Of slots, the one whose output is loudest is taken. With --mixed, another speaker talks over every
    utterance, and the slot is taken whose output follows the utterance; other features hear both at once.
    """
    if output is not None:
        check_free(output, force)
    with waiting("loading", quiet):
        from slotaudio.data.speech import SpeechFolder
        from slotaudio.evaluation.probe import probe as run

        embedders = {}
        for name in _many(features):
            for each in _many(model):
                embedder, about = make(name, each, device=device, threads=threads)
                of_model = hasattr(embedder, "model") or hasattr(embedder, "separator")
                embedders[f"{about['features']} of {Path(each).name}" if of_model else name] = embedder
        folder = SpeechFolder("bundled:dev" if data == "bundled" else data, resample=True)
    if output is not None:
        make_folder(output.parent)
    found: list[Probed] = []
    spans = _many(span)
    with progress_bar("listening", quiet) as advance:
        found.extend(
            run(
                folder,
                embedders,
                spans,
                window=window,
                folds=folds,
                utterances=utterances,
                examples=examples,
                mixed=mixed,
                seed=seed,
                progress=advance,
            )
        )
    _publish(found, mixed)
    if output is not None:
        _write(output, found)


def _many(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _publish(found: "Sequence[Probed]", mixed: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    first = found[0]
    caption = f"{first.speakers} speakers, {first.utterances} utterances, each tested by what was fitted on others"
    if mixed:
        caption += "; another speaker talks over all of them"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption)
    for heading in ("features", "example"):
        table.add_column(heading)
    for heading in ("numbers", "examples", "accuracy", "95 %", "chance"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in sorted(found, key=lambda row: [each.span for each in found].index(row.span)):
        table.add_row(
            row.features,
            row.span,
            str(row.dim),
            str(row.examples),
            f"{row.accuracy:.1%}",
            f"{row.low:.1%} to {row.high:.1%}",
            f"{row.chance:.1%}",
        )
    console = Console()
    Console(width=None if console.is_terminal else 120, highlight=False).print(table)


def _write(path: Path, found: "Sequence[Probed]") -> None:
    from dataclasses import asdict

    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(found[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in found)
    try:
        with replacing(path) as partial:
            partial.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
