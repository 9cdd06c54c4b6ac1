"""Frontends: wave to spectrum and back. One component per file; import them through `slotaudio.registry`."""
