"""`slotaudio stems-sdr`: how well a model separates tracks into their stems."""

from pathlib import Path
from typing import Annotated

import typer


def stems_sdr(
    model: Annotated[str, typer.Argument(help="A saved model whose slots are the stems, in order.")],
    path: Annotated[Path, typer.Argument(help="Folder that holds train and test, as MUSDB18-HQ does.")],
    split: Annotated[str, typer.Option(help="'test', 'train', 'validation' or 'all' (train and validation).")] = "test",
    device: Annotated[str | None, typer.Option(help="Where to compute, such as 'cpu' or 'cuda'.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads to compute with; torch decides by default.")] = None,
) -> None:
    """Measure the SDR of every stem, beside the mixture and a share of it as estimates.

    "track" is one ratio per track, then the mean over tracks (Music Demixing challenges). "median" is the median
    of a track's seconds, then the median over tracks, as museval does for the tables of MUSDB18.
    """
    from slotaudio import Separator, build
    from slotaudio_music.evaluation import evaluate

    separator = Separator.from_pretrained(model, device=device, threads=threads)
    stems = {} if separator.model.names is None else {"stems": list(separator.model.names)}
    wave = {"rate": separator.sample_rate, "channels": separator.model.frontend.channels}
    options = {"name": "musdb", "path": str(path), "split": split, "seconds": None, **stems}
    tracks = build("dataset", options, **wave)
    print(evaluate(separator, tracks))
