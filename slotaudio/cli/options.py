"""Options that several commands have, each with the same meaning and the same words."""

from collections.abc import Mapping
from typing import Annotated

import typer

from slotaudio.errors import UserError

Model = Annotated[
    str, typer.Option("--model", "-m", help="Bundled name, folder, or organisation/name on the Hugging Face hub.")
]
Channel = Annotated[
    str, typer.Option(metavar="N|mix", help="Of recordings with several: the one to take, from 1, or 'mix'.")
]
Device = Annotated[str | None, typer.Option(help="Where to compute, such as 'cpu' or 'cuda'.")]
Threads = Annotated[int | None, typer.Option(help="Threads to compute with; torch decides by default.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace existing outputs.")]
SkipExisting = Annotated[
    bool,
    typer.Option("--skip-existing", help="Leave recordings alone whose outputs are there: a second run does the rest."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no list of what was written.")]


def channel_number(text: str) -> int | None:
    """Return the channel that ``--channel`` stands for; None for a mix of all.

    Raises:
        UserError: it is neither.
    """
    if text == "mix":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--channel {text!r}: give a number from 1, or 'mix'")
    return int(text)


def refuse_unused(given: Mapping[str, bool], why: str) -> None:
    """Refuse options that would change nothing.

    Args:
        given: by name, whether an option was given.
        why: it would change nothing.

    Raises:
        UserError: at least one was.
    """
    found = " and ".join(name for name, value in given.items() if value)
    if found:
        raise UserError(f"{found} would change nothing: {why}")
