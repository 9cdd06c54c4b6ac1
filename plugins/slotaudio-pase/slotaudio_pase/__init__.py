"""PASE as a plug-in of slotaudio: Sinc frontend, PASE and PASE+ encoders, self-supervised workers. Imports no torch."""

from collections.abc import Mapping

from slotaudio import hookimpl


@hookimpl
def slotaudio_frontends() -> Mapping[str, str]:
    return {"sinc": "slotaudio_pase.frontend:SincFrontend"}


@hookimpl
def slotaudio_encoders() -> Mapping[str, str]:
    return {"pase": "slotaudio_pase.encoder:Pase", "pase_plus": "slotaudio_pase.encoder_plus:PasePlus"}


@hookimpl
def slotaudio_objectives() -> Mapping[str, str]:
    return {"pase": "slotaudio_pase.objective:PaseWorkers", "slot_workers": "slotaudio_pase.slots:SlotWorkers"}


@hookimpl
def slotaudio_recipes() -> Mapping[str, str]:
    return {
        "pase": "slotaudio_pase:recipes/pase.toml",
        "pase-small": "slotaudio_pase:recipes/pase-small.toml",
        "pase-plus": "slotaudio_pase:recipes/pase-plus.toml",
        "pase-plus-small": "slotaudio_pase:recipes/pase-plus-small.toml",
    }
