"""Bottlenecks: features and initial slots to slots. One component per file; import them through `slotaudio.registry`."""
