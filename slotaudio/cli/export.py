"""`slotaudio export`: a model as one file for other runtimes, compared with the model before it is written."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slotaudio.cli.reporting import waiting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slotaudio.exporting.files import Axes


def export(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="model.onnx, or model.pt2 for torch.export.")
    ],
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Bundled name, folder, or organisation/name on the Hugging Face hub."),
    ] = "default",
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Export a model as an ONNX file or a torch.export program, for use without slotaudio.

    The program takes the spectrum of a mixture and gives a mask for every slot; the Fourier transform and its
    inverse stay outside. Batch and, where the model takes any length, time may have any size.

    What was exported is run and compared with the model on speech, and the file is written only if both agree.
    ONNX needs the extra 'export'; exporting takes a minute or two.
    """
    with waiting("exporting, and comparing what came of it with the model", quiet):
        from slotaudio.exporting import export
        from slotaudio.model import SlotModel

        done = export(SlotModel.from_pretrained(model), output, force)
    if quiet:
        return
    print(f"{done.path}: {done.path.stat().st_size / 1e6:.1f} MB, agrees with the model to {done.agreement:.0f} dB")
    for way, tensors in (("in", done.inputs), ("out", done.outputs)):
        _print(way, tensors)


def _print(way: str, tensors: "Mapping[str, Axes]") -> None:
    for name, axes in tensors.items():
        print(f"  {way:3}  {name:<8}  {' x '.join(map(str, axes))}")
