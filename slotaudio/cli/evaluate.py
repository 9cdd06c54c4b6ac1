"""`slotaudio evaluate`: how well models separate, beside what is possible."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slotaudio.cli.evaluate_long import CONVERSATIONS, TIMELINES, evaluate_conversations
from slotaudio.cli.evaluate_options import refuse_masks, refuse_twice, refuse_unheard, tables
from slotaudio.cli.options import Device, Force, Threads, refuse_unused
from slotaudio.cli.reporting import progress_bar, waiting
from slotaudio.errors import DataError, UserError
from slotaudio.writing import check_free

if TYPE_CHECKING:
    from slotaudio.evaluation.results import Result

_NAMES = ("scores.csv", "summary.csv", "mixtures.csv", TIMELINES)
_MIXTURES, _SECONDS, _SOURCES, _SEED, _JOINING = 100, 10.0, 2, 0, "blind"


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="Bundled name, folder, or organisation/name on the Hugging Face hub; several with commas between. "
            "'oracle' for what ideal masks reach."
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(
            help="Folder with one folder per speaker, 'bundled' for the speech that comes with the package, or the "
            "name of a data set."
        ),
    ],
    mixtures: Annotated[int | None, typer.Option(help=f"How many; {_MIXTURES} by default, or all of a list.")] = None,
    seconds: Annotated[
        float | None, typer.Option(help=f"Length of a mixture; {_SECONDS:g} by default, or that in the list.")
    ] = None,
    sources: Annotated[
        int | None, typer.Option(help=f"Speakers of a mixture; {_SOURCES} by default, or those in the list.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help=f"Decides which mixtures are drawn; {_SEED} by default.")] = None,
    long: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            help="Conversations of so many minutes instead of mixtures: does everybody stay the same output?",
        ),
    ] = None,
    list_: Annotated[
        Path | None, typer.Option("--list", metavar="CSV", help="Frozen mixtures, as --output writes them.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help=f"Write {', '.join(_NAMES[:3])} there; with --long {TIMELINES}, no list of mixtures.",
        ),
    ] = None,
    joining: Annotated[
        str | None,
        typer.Option(
            help=f"How windows are joined: '{_JOINING}' (the default: overlapping, matched on what they share and on "
            "voices), 'given' (overlapping, in the model's order), 'adjacent' (side by side, by voices), "
            "'adjacent-given', 'reference' (side by side, ordered by the true sources)."
        ),
    ] = None,
    masks: Annotated[
        str, typer.Option(help="'ibm', 'irm', 'wiener' for models that leave the choice; their own by default.")
    ] = "",
    oracle: Annotated[str, typer.Option(metavar="MASKS", help="Rows of ideal masks: 'ibm', 'irm', 'wiener'.")] = "",
    windows: Annotated[
        str, typer.Option(metavar="SECONDS", help="Windows of the oracle; the model's by default.")
    ] = "",
    autoencoder: Annotated[
        str, typer.Option(metavar="MODEL", help="Rows of a model of one slot that hears each source by itself.")
    ] = "",
    keep_noise: Annotated[
        bool, typer.Option("--keep-noise", help="Let models leave no noise out; see `slotaudio separate`.")
    ] = False,
    table1: Annotated[
        bool,
        typer.Option("--table1", help="All rows of AudioSlots' Table 1: both masks, both ways of joining, oracle."),
    ] = False,
    by: Annotated[
        str,
        typer.Option(
            help="Also tell apart by 'pair' (of genders), 'genders', 'level', 'overlap', 'active', 'seconds'."
        ),
    ] = "",
    measures: Annotated[
        str,
        typer.Option(
            help="Also 'bss_sdr', the SDR of BSS Eval (slow; needs torchmetrics), or of speech 'stoi', 'estoi', 'pesq' "
            "(need the extra 'quality')."
        ),
    ] = "",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="An option of data or oracle: data.length=min, frontend.hop=256."
        ),
    ] = None,
    device: Device = None,
    threads: Threads = None,
    force: Force = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Measure how well models separate seeded mixtures, with confidence intervals, beside oracle masks.

    Several values are written with commas between: --joining blind,reference --oracle ibm,wiener. Mixtures are
    drawn from the folder's speakers, the same ones for the same seed.

    With --long, speakers talk to each other for minutes, and each has ONE output for all of it: the table says how
    often the right one speaks, and how often two swap. Manners are options of the data set 'conversations', such
    as --set data.overlap=0.5 or --set data.pauses=2.
    """
    if mixtures is not None and mixtures < 1:
        raise UserError(f"--mixtures {mixtures}: give 1 or more")
    if table1:
        refuse_unused({"--joining": joining is not None}, "--table1 has its two ways of joining")
    if long is not None:
        refuse_unused({"--seconds": seconds is not None}, f"conversations have the minutes of --long {long:g}")
    table = tables(set_ or ())
    given = {"--mixtures": mixtures, "--seconds": seconds, "--long": long, "--sources": sources, "--seed": seed}
    refuse_twice({**given, "--list": list_}, table["data"])
    if list_ is not None or "mixtures" in table["data"]:
        listed = f"--set data.mixtures={table['data']['mixtures']}" if list_ is None else f"--list {list_}"
        refuse_unheard({"--seconds": seconds is not None, "--sources": sources is not None}, table["data"], listed)
    # what was asked for is an option, which the data set must have; what is so by default is offered
    asked = {"seconds": seconds, "sources": sources, "seed": seed}
    options = {**table["data"], **{key: value for key, value in asked.items() if value is not None}}
    drawn: dict[str, Any] = {"sources": _SOURCES, "seed": _SEED}
    if output is not None:
        _prepare(output, force)
    with waiting("loading", quiet):
        from slotaudio.evaluation import results as found
        from slotaudio.evaluation.data import evaluation_data, items
        from slotaudio.evaluation.rows import rows_of
        from slotaudio.evaluation.table import BY
        from slotaudio.model import use_threads
        from slotaudio.spec import Spec

        use_threads(threads)
        ideal = _many(oracle) or (["ibm", "wiener"] if table1 or "oracle" in _many(model) else [])
        if not ideal:
            of_oracle = {f"--set {each}": True for each in set_ or () if each.startswith("frontend")}
            refuse_unused(
                {"--windows": bool(windows), **of_oracle}, "no ideal masks are asked for, as by --oracle wiener"
            )
        if all(name == "oracle" for name in _many(model)):
            of_model = {"--keep-noise": keep_noise, "--device": device is not None}
            refuse_unused({"--masks": bool(masks) and not autoencoder, **of_model}, "no model is evaluated")
        rows, rate = rows_of(
            _many(model),
            autoencoder,
            joinings=["reference", "blind"] if table1 else _many(joining or _JOINING),
            masks=_many(masks) or (["ibm", "wiener"] if table1 else []),
            oracle=ideal,
            windows=[_number(window) for window in _many(windows)],
            frontend=Spec.of(table["frontend"]),
            device=device,
            keep_noise=keep_noise,
        )
        refuse_masks(rows, masks)
    if long is not None:
        if long <= 0:
            raise UserError(f"--long {long:g}: give minutes, more than 0")
        others = {"--list": list_, "--table1": table1, "--by": by, "--measures": measures}
        if any(others.values()):
            found_too = " and ".join(name for name, value in others.items() if value)
            raise UserError(f"--long goes without {found_too}: conversations have a table of their own")
        drawn |= {"seconds": 60 * long, "size": mixtures or CONVERSATIONS}
        evaluate_conversations(rows, data, options, output, quiet, rate=rate, **drawn)
        return
    drawn |= {"seconds": _SECONDS, "size": mixtures or _MIXTURES}
    with waiting("loading", quiet):
        dataset = evaluation_data(data, options, rate=rate, mixtures=list_, **drawn)
        if list_ is not None and not hasattr(dataset, "plan"):
            raise UserError(f"--list is for folders of speakers; data set {data!r} does not read lists")
        labels = [*BY, *_known_labels(by)]
        metrics = (*found.METRICS, *_many(measures))
        total = min(len(dataset), mixtures or len(dataset))
    results: list[Result] = []
    try:
        with progress_bar("evaluating", quiet) as advance:
            for result in found.evaluate(rows, items(dataset, mixtures), rate, metrics):
                results.append(result)
                if advance is not None:
                    advance(len(results) / (total * len(rows)))
    finally:  # what an interrupted evaluation has measured, it has measured
        _publish(results, labels)
        _warn_of_unknown(results, _many(by))
        if output is not None and results:
            found.write_results(output / "scores.csv", results)
            found.write_summary(output / "summary.csv", results, labels)
            _freeze(output / "mixtures.csv", dataset, -(-len(results) // len(rows)))


def _many(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _known_labels(by: str) -> list[str]:
    from slotaudio.evaluation.labels import LABELS

    for label in _many(by):
        if label not in LABELS:
            raise UserError(f"--by {label!r} is not known of mixtures; choose from {', '.join(LABELS)}")
    return _many(by)


def _number(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise UserError(f"--windows {text!r} is no number of seconds; give numbers above 0, as in --windows 0.5,2")
    return seconds


def _prepare(output: Path, force: bool) -> None:
    """Find out before hours of computing whether the results can be written."""
    for name in _NAMES:
        check_free(output / name, force)
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".slotaudio-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DataError(f"cannot write to {output}: {error.strerror}") from None


def _publish(results: "Sequence[Result]", labels: Sequence[str]) -> None:
    from rich.console import Console

    from slotaudio.evaluation.table import results_table

    if results:
        console = Console()
        width = None if console.is_terminal else 120  # nobody's window is too narrow
        Console(width=width, highlight=False).print(results_table(results, labels))


def _warn_of_unknown(results: "Sequence[Result]", by: Sequence[str]) -> None:
    unknown = [label for label in by if all(result.labels[label] == "" for result in results)]
    if results and unknown:
        print(
            f"slotaudio: warning: --by {','.join(unknown)}: nothing is known of it here; genders come from "
            "speakers.csv (columns speaker and gender) in the folder or beside it, 'level' and 'overlap' are of two "
            "voices or more",
            file=sys.stderr,
        )


def _freeze(path: Path, dataset: Any, total: int) -> None:
    """Keep the list of mixtures, where the data set can say what they were made of."""
    from slotaudio.data.plans import write_list

    if hasattr(dataset, "plan"):
        write_list(path, [dataset.plan(index) for index in range(total)])
