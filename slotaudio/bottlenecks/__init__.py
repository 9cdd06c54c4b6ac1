"""Bottlenecks: features and initial slots to slots. One component per file; use `slotaudio.registry`."""
