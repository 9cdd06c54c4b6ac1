"""Encoders: spectrum to features. One component per file; import them through `slotaudio.registry`."""
