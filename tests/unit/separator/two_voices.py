"""Two voices of the package, and outputs in which they change places for a while."""

import torch

from slotaudio import audio
from slotaudio.data.bundled import speech

RATE = 16000
SWAPPED = (20, 26)


def spoken(*speakers: int) -> torch.Tensor:
    voices = []
    for folder in (sorted(speech("dev").iterdir())[number] for number in speakers):
        wave = torch.cat([audio.read(file)[0][0] for file in sorted(folder.glob("*.flac"))])
        wave = 0.05 * wave / wave.square().mean().sqrt()
        voices.append(wave.repeat(1 + 40 * RATE // len(wave))[: 40 * RATE])
    return torch.stack(voices)[None, :, None]


def swapped(talk: torch.Tensor, most: int | None = None) -> torch.Tensor:
    """Let outputs change places for a while: the first ones, or all."""
    changed = talk.clone()
    start, end = (second * RATE for second in SWAPPED)
    changed[:, :most, :, start:end] = talk[:, :most, :, start:end].flip(1)
    return changed
