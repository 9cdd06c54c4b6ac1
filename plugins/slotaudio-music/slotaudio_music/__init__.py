"""Music separation for slotaudio: the hooks, which import nothing heavy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slotaudio import hookimpl

RECIPES = Path(__file__).parent / "recipes"
"""Folder of this package's recipes; ``python -m slotaudio_music`` prints their paths."""


@hookimpl
def slotaudio_encoders() -> Mapping[str, str]:
    return {"music_unet": "slotaudio_music.encoder:MusicUNetEncoder"}


@hookimpl
def slotaudio_bottlenecks() -> Mapping[str, str]:
    return {"dual_path_transformer": "slotaudio_music.bottleneck:DualPathTransformer"}


@hookimpl
def slotaudio_decoders() -> Mapping[str, str]:
    return {"music_unet": "slotaudio_music.decoder:MusicUNetDecoder"}


@hookimpl
def slotaudio_objectives() -> Mapping[str, str]:
    return {"relative_mse": "slotaudio_music.objective:RelativeMSE"}


@hookimpl
def slotaudio_datasets() -> Mapping[str, str]:
    return {"musdb": "slotaudio_music.musdb:Musdb"}


@hookimpl
def slotaudio_commands(app: Any) -> None:
    from slotaudio_music.commands import stems_sdr

    app.command("stems-sdr")(stems_sdr)
