"""`slotaudio doctor`: what is installed, what of it works, and how to mend what does not."""

from typing import Annotated

import typer

from slotaudio.cli.reporting import waiting

_COLOURS = {"ok": "green", "absent": "bright_black", "note": "yellow", "broken": "red"}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print findings as JSON, for programs and bug reports.")] = False,
) -> None:
    """Check the installation: versions, libraries, extras, plug-ins, devices, disks, models, and a short separation.

    Whatever is broken comes with a sentence on how to mend it, and the exit code is then 1. Works where PyTorch
    cannot be loaded. Copy the output into bug reports.
    """
    with waiting("looking around, and separating four seconds"):
        from slotaudio.doctor.checks import diagnose, summary

        findings = diagnose()
    found = summary(findings)
    if json:
        from json import dumps

        print(dumps(found, indent=2))
        raise typer.Exit(0 if found["ok"] else 1)

    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    area, width = "", max(len(one.name) for one in findings)
    for one in findings:
        if one.area != area:
            area = one.area
            console.print(f"[bold]{area}[/bold]")
        state = f"[{_COLOURS[one.state]}]{one.state:<6}[/]"
        console.print(f"  {state}  [cyan]{one.name:<{width}}[/cyan]  {escape(one.found)}")
        if one.cure:
            console.print(f"  {'':<6}  {'':<{width}}  [italic]{escape(one.cure)}[/italic]")
    broken = [one.name for one in findings if one.state == "broken"]
    console.print(f"[red]Broken: {', '.join(broken)}.[/]" if broken else "[green]Everything that is needed works.[/]")
    raise typer.Exit(1 if broken else 0)
