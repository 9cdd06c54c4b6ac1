"""Slot attention that depletes explained evidence, as a plug-in of slotaudio. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from slotaudio import hookimpl


@hookimpl
def slotaudio_bottlenecks() -> Mapping[str, str]:
    return {"evidence": "slotaudio_evidence.bottleneck:EvidenceSlotAttention"}


@hookimpl
def slotaudio_recipes() -> Mapping[str, str]:
    return {"evidence-small": "slotaudio_evidence:recipes/evidence-small.toml"}


@hookimpl
def slotaudio_commands(app: Any) -> None:
    from slotaudio_evidence.command import collapse

    app.command("collapse")(collapse)
