"""`slotaudio diarise`: who speaks when, as RTTM."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slotaudio.cli.counting import counted, share_of
from slotaudio.cli.options import Channel, Device, Force, Model, Quiet, SkipExisting, Threads, channel_number
from slotaudio.cli.recordings import for_each, recordings_in
from slotaudio.cli.reporting import progress_bar, waiting
from slotaudio.errors import UserError
from slotaudio.writing import check_free, make_folder

if TYPE_CHECKING:
    from slotaudio.rttm import Turn


def diarise(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN...", help="Recordings, or folders of them: WAV, FLAC, OGG or MP3 of any length, rate and level."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for NAME.rttm; made if missing.")
    ],
    model: Model = "default",
    speakers: Annotated[
        str, typer.Option(help="How many speak: a number, the least and the most as in 2-3, or 'unknown'.")
    ] = "unknown",
    reference: Annotated[
        Path | None,
        typer.Option(metavar="RTTM", help="True turns of one recording: also print the diarisation error rate."),
    ] = None,
    collar: Annotated[
        float, typer.Option(metavar="SECONDS", help="Around true beginnings and ends, not counted as errors.")
    ] = 0.25,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="What counts as a turn; by default gap=1.0 (seconds of silence within, at most), least=0.25 (seconds "
            "of a turn), pad=0.0 (seconds before and after what is heard), and in decibels depth=30.0 (below the "
            "speech), noise=10.0 (above the noise), leak=6.0 (below the loudest output), slack=4.0 (below the level "
            "that begins a turn).",
        ),
    ] = None,
    channel: Channel = "mix",
    joining: Annotated[str, typer.Option(help="As for `slotaudio separate`.")] = "auto",
    device: Device = None,
    threads: Threads = None,
    force: Force = False,
    skip_existing: SkipExisting = False,
    quiet: Quiet = False,
) -> None:
    """Write who speaks when in recordings, as RTTM.

    A recording NAME.mp3 becomes DIR/NAME.rttm. Its speakers are the outputs of `slotaudio separate`, by the same
    names: slot1, slot2, ... They are sources, whether of speech or not: music counts. When they are heard is told
    by the levels of the outputs.

    A recording that fails leaves no output, and the others go on; the exit code is then 2.
    """
    recordings = recordings_in(inputs, output)
    if reference is not None and len(recordings) > 1:
        raise UserError("--reference holds the true turns of one recording: give one at a time")
    if collar < 0:
        raise UserError(f"--collar {collar:g}: give 0 seconds or more")
    with waiting("loading the model", quiet):
        from slotaudio.diarisation import TurnRule
        from slotaudio.diarisation import diarise as run
        from slotaudio.rttm import read_rttm, write_rttm
        from slotaudio.separation.counting import Separators

        rule = _rule(TurnRule, set_ or ())
        true = None if reference is None else read_rttm(reference)
        options = {"channel": channel_number(channel), "joining": joining}
        separators = Separators(model, speakers, **options, device=device, threads=threads)

    def work(path: Path) -> None:
        target = output / f"{path.stem}.rttm"
        check_free(target, force)
        make_folder(output)
        separator = counted(separators, path, quiet)
        with progress_bar(path.name, quiet) as advance:
            turns = run(separator, path, rule=rule, recording=path.stem, progress=share_of(path, advance))
        write_rttm(target, turns)
        if not turns:
            warnings.warn(f"nobody speaks in {path}: {target} is empty", UserWarning, stacklevel=1)
        if not quiet:
            names = {turn.speaker for turn in turns}
            said = f"{len(turns)} turn{'s' * (len(turns) != 1)} of {len(names)} speaker{'s' * (len(names) != 1)}"
            print(f"{target}: {said}", flush=True)
        if true is not None:
            print(_compared(true, turns, collar), flush=True)

    raise typer.Exit(for_each(recordings, work, force=force, skip_existing=skip_existing, quiet=quiet))


def _rule(kind: Any, assignments: "list[str] | tuple[str, ...]") -> Any:
    """Build the rule from KEY=VALUE.

    Raises:
        UserError: no such key, or a value that is no number.
    """
    from slotaudio.toml import set_value

    table: dict[str, Any] = {}
    for assignment in assignments:
        set_value(table, assignment)
    for key, value in table.items():
        if key not in kind.__dataclass_fields__ or isinstance(value, bool) or not isinstance(value, (int, float)):
            known = ", ".join(f"{name}={field.default}" for name, field in kind.__dataclass_fields__.items())
            raise UserError(f"--set {key}={value}: give numbers for any of {known}")
    return kind(**{key: float(value) for key, value in table.items()})


def _compared(true: "list[Turn]", turns: "list[Turn]", collar: float) -> str:
    from slotaudio.evaluation.diarisation import diarisation_error

    found = diarisation_error(true, turns, collar)
    if not found.total:
        return f"no diarisation error rate: the reference has no speech that counts (collar {collar:g} s)"
    parts = [f"{getattr(found, name) / found.total:.1%} {name.replace('_', ' ')}" for name in _PARTS]
    speakers = ", ".join(f"{slot} is {speaker}" for slot, speaker in sorted(found.speakers.items()))
    return f"diarisation error rate {found.rate:.1%} ({', '.join(parts)}; collar {collar:g} s); {speakers}"


_PARTS = ("missed", "false_alarm", "confusion")
