"""An encoder for slotaudio."""

import slotaudio


@slotaudio.hookimpl
def slotaudio_encoders():
    return {"template": "slotaudio_template.encoder:Template"}
