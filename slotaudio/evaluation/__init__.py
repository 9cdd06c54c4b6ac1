"""Evaluation: which rows are compared (`rows`), what bounds them (`informed`), and what came out (`results`).

Every row is a `slotaudio.Separator`, the oracle too: all of them see the same windows, masks, joining and metrics.
"""
