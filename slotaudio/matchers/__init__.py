"""Matchers: cost to an assignment of slots to sources. One component per file; use `slotaudio.registry`."""
