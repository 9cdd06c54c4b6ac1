"""Decoders: slots to estimates. One component per file; import them through `slotaudio.registry`."""
