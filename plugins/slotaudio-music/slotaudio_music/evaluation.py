"""Scores of whole tracks, stem by stem, beside what costs nothing: the mixture, and a share of it."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio import Separator, UserError
from slotaudio_music.metrics import museval_sdr, track_sdr

SYSTEMS = ("model", "mixture", "mixture / stems")


@dataclass(frozen=True)
class Scores:
    """SDR in dB of every track; printed, a table of means and medians over the tracks."""

    stems: tuple[str, ...]
    track: Float[Tensor, "tracks systems stems"]
    """One ratio per track; systems as in `SYSTEMS`."""
    median: Float[Tensor, "tracks systems stems"]
    """Median over a track's seconds; NaN where none counts."""

    def __str__(self) -> str:
        rows = [("SDR in dB", *self.stems, "mean")]
        for how, values in (("track", self.track.mean(0)), ("median", self.median.nanquantile(0.5, dim=0))):
            for system, row in zip(SYSTEMS, values, strict=True):
                rows.append((f"{how}, {system}", *(f"{value:.2f}" for value in (*row.tolist(), float(row.mean())))))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([f"{len(self.track)} tracks", *lines])


def evaluate(separator: Separator, tracks: Any) -> Scores:
    """Separate every track as `slotaudio separate` would and compare slot n with stem n.

    Args:
        separator: of a model with labelled slots.
        tracks: a `Musdb` of whole tracks, at the model's sample rate.

    Raises:
        UserError: the model has another number of slots than tracks have stems.
    """
    if separator.model.slots != len(tracks.stems):
        raise UserError(f"the model has {separator.model.slots} slots; the tracks have {len(tracks.stems)} stems")
    track, median = [], []
    for index in range(len(tracks)):
        mixture, sources, _ = tracks[index]
        copies = mixture.expand_as(sources)
        systems = (separator(mixture, tracks.sample_rate).sources, copies, copies / len(sources))
        track.append(torch.stack([track_sdr(system, sources) for system in systems]))
        median.append(torch.stack([museval_sdr(system, sources, tracks.sample_rate) for system in systems]))
    return Scores(tracks.stems, torch.stack(track), torch.stack(median))
