"""`slotaudio embed`: what a model's encoder makes of recordings, for use elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from slotaudio import UserError


def embed(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", help="Recordings: WAV, FLAC, OGG or MP3.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for NAME.npy; made if missing.")
    ],
    model: Annotated[str, typer.Option("--model", "-m", help="Folder, or organisation/name on the Hugging Face hub.")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace existing outputs.")] = False,
) -> None:
    """Write the encoder's tokens of each recording to DIR/NAME.npy, of the axes `tokens dim`."""
    import numpy as np

    from slotaudio import SlotModel
    from slotaudio.audio.reading import read
    from slotaudio_pase.embedding import embedding

    targets = [output / f"{path.stem}.npy" for path in inputs]
    if len(set(targets)) < len(targets):
        raise UserError("embed: two recordings have the same name, and would be written to one file")
    taken = [str(target) for target in targets if target.exists()]
    if taken and not force:
        raise UserError(f"embed: {taken[0]} exists; replace it with --force, or choose another --output")
    built = SlotModel.from_pretrained(model)
    output.mkdir(parents=True, exist_ok=True)
    for path, target in zip(inputs, targets, strict=True):
        wave, rate = read(path)
        tokens = embedding(built, wave, rate).numpy()
        with target.open("wb") as file:
            np.save(file, tokens)
        print(f"{target}: {tokens.shape[0]} tokens of {tokens.shape[1]}")
