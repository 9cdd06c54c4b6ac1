"""An encoder for slotaudio."""

import slotaudio


@slotaudio.hookimpl
def slotaudio_encoders() -> dict[str, str]:
    return {"template": "slotaudio_template.encoder:Template"}
