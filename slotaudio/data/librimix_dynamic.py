"""`DynamicMixtures`: mixtures beyond LibriMix's lists, other ones in every epoch, drawn by its rules."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from slotaudio import audio
from slotaudio.data import librimix_arithmetic as arithmetic
from slotaudio.data.batches import Item
from slotaudio.data.folder import FolderMixtures
from slotaudio.data.mixing import LOUDNESS, PEAK, SILENCE_DB, active_level
from slotaudio.data.recordings import UnreadableUtterance
from slotaudio.errors import AudioFileError, DataError

NOISE_LOUDNESS = (LOUDNESS[0] - 5, LOUDNESS[1] - 5)
"""LibriMix's noise is 5 dB quieter than its speech."""


class DynamicMixtures:
    """Mixtures of `FolderMixtures`, with a crop of WHAM's noise added to each if its folder is given.

    Args:
        speech: draws the speakers.
        noise: folder of WAV files, such as WHAM's ``tr``; None for clean mixtures.
        noise_source: deliver the noise as one more source.

    Raises:
        DataError: no noise in its folder.
    """

    def __init__(self, speech: FolderMixtures, noise: Path | None, noise_source: bool) -> None:
        self.speech, self.noise, self.noise_source = speech, noise, noise_source
        self.noises: list[Path] = []
        if noise is not None:
            self.noises = sorted(noise.rglob("*.wav"), key=lambda file: file.parts)  # the same order on Windows
        if noise is not None and not self.noises:
            raise DataError(f"{noise} holds no WAV files of noise")

    def __len__(self) -> int:
        return len(self.speech)

    def item(self, index: int, rng: np.random.Generator) -> Item:
        """Return an item, whose noise is drawn with `rng`.

        Raises:
            UnreadableUtterance: a file cannot be read.
        """
        mixture, sources, metadata = self.speech[index]
        if self.noise is None:
            return mixture, sources, metadata
        path = self.noises[rng.integers(len(self.noises))]
        try:
            noise = self._noise(path, rng, mixture.shape[-1])
        except AudioFileError as error:
            raise UnreadableUtterance(str(error)) from None
        every = torch.cat([sources, noise[None, None]])
        peak = float(every.sum(0).abs().max())
        every = every * min(1.0, PEAK / peak) if peak > PEAK else every
        kept = len(every) if self.noise_source else len(sources)
        return every.sum(0), every[:kept], _with_noise(metadata, path.name) if self.noise_source else metadata

    def _noise(self, path: Path, rng: np.random.Generator, samples: int) -> Tensor:
        with audio.AudioReader(path) as reader:
            info, frames = reader.info, reader.count()
        if info.sample_rate != arithmetic.RATE:
            raise DataError(f"{path} has {info.sample_rate} samples per second; {arithmetic.RATE} are needed")
        rate = self.speech.sample_rate
        start = int(rng.integers(max(0, arithmetic.resampled_length(frames, rate) - samples) + 1))
        loudness = float(rng.uniform(*NOISE_LOUDNESS))
        wave = arithmetic.stretch(
            lambda first, last: audio.read(path, first, last)[0][0].numpy(), frames, 1.0, rate, start, start + samples
        )
        level = active_level(wave, rate)
        factor = 10 ** ((loudness - level) / 20) if level > SILENCE_DB else 1.0
        return torch.from_numpy((wave * factor).astype(np.float32))


def _with_noise(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        **metadata,
        "speakers": (*metadata["speakers"], ""),
        "genders": (*metadata["genders"], ""),
        "utterances": (*metadata["utterances"], name),
    }
