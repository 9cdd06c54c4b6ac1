"""Music separation for slotaudio: the hooks, which import nothing heavy."""

from collections.abc import Mapping
from typing import Any

from slotaudio import hookimpl


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
def slotaudio_recipes() -> Mapping[str, str]:
    return {
        "music": "slotaudio_music:recipes/music.toml",
        "music-small": "slotaudio_music:recipes/music-small.toml",
        "music-slots": "slotaudio_music:recipes/music-slots.toml",
    }


@hookimpl
def slotaudio_commands(app: Any) -> None:
    from slotaudio_music.commands import stems_sdr

    app.command("stems-sdr")(stems_sdr)
