"""Objectives: model and batch to named losses. One component per file; import them through `slotaudio.registry`."""
