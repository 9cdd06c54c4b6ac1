"""Fit the space of voices: ``python benchmarks/voice_space.py path/to/speech [--held-out path/to/others] [--write]``.

By which axes does the joining of windows tell voices apart (`slotaudio.separation.voices`)? Conversations between
speakers of the folder, half of them in noise and rooms, are separated by a model; what its outputs say, half second by
half second, is held against the true sources. Within a voice, points scatter by 1 / (frames + few); between the two
voices of one conversation by what the axes are chosen for (linear discriminant analysis). Once for what is below 8 kHz
and once for what is below 4 kHz. Printed is how often stretches of 1.6 s of one conversation are told apart wrongly, at
the threshold at which both errors are as frequent; with ``--write`` the package gets the axes.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

import slotaudio
from slotaudio import Separator
from slotaudio.data.conversations import Conversations
from slotaudio.resampling import resample
from slotaudio.separation.identity import FRAME_SECONDS, VoiceMemory
from slotaudio.separation.turns import AUDIBLE
from slotaudio.separation.voices import ASSET, CEPSTRA, VoiceSpace, top

BLOCK = 0.5
FRAMES = (15, 30, 60, 120)
"""Frames of the stretches whose scatter is measured."""
LEAST = 120
"""Frames that a voice needs in a conversation to count."""

Said = Float[Tensor, "voices blocks statistics"]


def conversations(
    path: str, number: int, seed: int, groups: dict[str, float] | None
) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """Yield mixture, sources, and whether both voices are of one corpus."""
    manner = {"overlap": (0.0, 0.6), "turn": (0.5, 5.0), "pauses": 2.0, "pause": (1.0, 4.0), "groups": groups}
    around = {"noise": ["synthetic", "babble"], "snr": (3.0, 20.0), "rooms": "synthetic", "reverberant": 0.4}
    quiet = Conversations(path, 20.0, size=number, seed=seed, cache=True, **manner)
    noisy = Conversations(path, 20.0, size=number, seed=seed + 1, cache=True, **manner, **around)
    for index in range(number):
        mixture, sources, metadata = (noisy if index % 2 else quiet)[index]
        first, second = (name.rpartition("-")[0] for name in metadata["speakers"])
        yield mixture, sources[:, 0], first == second


def said(outputs: Float[Tensor, "2 time"], sources: Float[Tensor, "2 time"], rate: int) -> Said:
    """Return what each source's output says in each half second in which the source is heard."""
    size = round(BLOCK * rate)
    count = outputs.shape[1] // size
    cut = torch.cat([outputs, sources])[:, : count * size].unflatten(1, (count, size)).double()
    products = torch.einsum("ibt,jbt->bij", cut, cut)
    power = products[:, 2:, 2:].diagonal(dim1=1, dim2=2)
    heard = power > 1e-3 * power.amax(dim=0)
    errors = (products[:, :2, :2].diagonal(dim1=1, dim2=2)[:, :, None] - 2 * products[:, :2, 2:]) * heard[:, None]
    crossed = errors[:, 0, 0] + errors[:, 1, 1] > errors[:, 0, 1] + errors[:, 1, 0]
    frames = VoiceMemory(rate, audible=AUDIBLE).frames(outputs[None, :, None, : count * size])[0]
    hop = round(FRAME_SECONDS * rate) // 2
    block = ((torch.arange(frames.shape[1]) + 1) * hop // size).clamp_max(count - 1)
    blocks = torch.zeros(2, count, frames.shape[2]).index_add_(1, block, frames)
    blocks = torch.where(crossed[:, None], blocks.flip(0), blocks)
    return blocks * heard.T[..., None]


def stretches(blocks: Float[Tensor, "blocks statistics"], frames: int) -> Float[Tensor, "stretches statistics"]:
    """Add up neighbouring half seconds until there are so many frames."""
    found, now = [], torch.zeros(blocks.shape[1])
    for block in blocks:
        now = now + block
        if now[0] >= frames:
            found.append(now)
            now = torch.zeros_like(now)
    return torch.stack(found) if found else blocks[:0]


def fit(voices: list[tuple[Said, bool]], axes: int) -> VoiceSpace:
    """Fit the axes to what was said in conversations."""
    plain = VoiceSpace(torch.eye(2 * CEPSTRA), torch.ones(2 * CEPSTRA), 0.0)
    scatter = {frames: torch.zeros(2 * CEPSTRA, 2 * CEPSTRA) for frames in FRAMES}
    freedom, counted = dict.fromkeys(FRAMES, 0), dict.fromkeys(FRAMES, 0.0)
    apart, numbers = [], []
    for blocks, alike in voices:
        if not alike or float(blocks[..., 0].sum(dim=1).min()) < LEAST:
            continue
        for voice in blocks:
            for frames in FRAMES:
                parts = stretches(voice, frames)
                if len(parts) > 1:
                    number, points = plain.place(parts)
                    points = points - points.mean(dim=0)
                    scatter[frames] += points.T @ points
                    freedom[frames] += len(parts) - 1
                    counted[frames] += float(number.mean()) * (len(parts) - 1)
        number, points = plain.place(blocks.sum(dim=1))
        away = points[0] - points[1]
        apart.append(torch.outer(away, away) / 2)
        numbers.append(float(1 / (1 / number).mean()))
    within = [scatter[frames] / freedom[frames] for frames in FRAMES]
    shape = torch.stack([each / each.trace() for each in within]).mean(dim=0)
    shape = shape + 1e-3 * shape.diagonal().mean() * torch.eye(len(shape))
    size = torch.tensor([float((torch.linalg.inv(shape) @ each).trace()) / len(shape) for each in within])
    line = torch.stack([torch.tensor([counted[f] / freedom[f] for f in FRAMES]), torch.ones(len(FRAMES))], dim=1)
    slope, offset = torch.linalg.lstsq(line, 1 / size[:, None]).solution[:, 0]  # size = 1 / (slope * frames + offset)
    few = float(offset / slope)
    whiten = torch.linalg.inv(torch.linalg.cholesky(shape / slope))
    between = torch.stack(apart).mean(dim=0) - shape / slope / (sum(numbers) / len(numbers) + few)
    values, vectors = torch.linalg.eigh(whiten @ between @ whiten.T)
    return VoiceSpace((vectors.T @ whiten).flip(0)[:axes], values.flip(0)[:axes].clamp_min(1e-6), few)


def equal_error(voices: list[tuple[Said, bool]], space: VoiceSpace, frames: int = 100) -> float:
    """Return how often stretches of one conversation are told apart wrongly, by the likelihood of one voice or two."""
    same, other = [], []
    for blocks, _ in voices:
        parts = [stretches(voice, frames) for voice in blocks]
        number, points = space.place(torch.cat(parts))
        points = points - space.place(blocks.sum(dim=(0, 1)))[1]
        total = space.between + space.noise(number)
        x, y, own, theirs = points[:, None], points[None], total[:, None], total[None]
        common = own * theirs - space.between.square()
        together = (theirs * x * x - 2 * space.between * x * y + own * y * y) / common + common.log()
        scores = 0.5 * (x * x / own + own.log() + y * y / theirs + theirs.log() - together).sum(dim=-1)
        first = len(parts[0])
        same += [scores[:first, :first], scores[first:, first:]]
        other.append(scores[:first, first:].flatten())
    alike = torch.cat([each[torch.triu_indices(len(each), len(each), 1).unbind()] for each in same]).sort().values
    unlike = torch.cat(other).sort().values
    missed = torch.searchsorted(alike, unlike) / len(alike)
    taken = 1 - torch.arange(len(unlike)) / len(unlike)
    return float(torch.maximum(missed, taken).min())


def main() -> None:
    """Separate, fit, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", help="one folder per speaker: those to learn from")
    parser.add_argument("--held-out", help="one folder per speaker: those to measure on")
    parser.add_argument("--model", default="default")
    parser.add_argument("--conversations", type=int, default=300, help="of 20 s, half of them in noise and rooms")
    parser.add_argument("--librispeech", type=float, default=0.7, help="share of conversations within LibriSpeech")
    parser.add_argument("--axes", type=int, default=32)
    parser.add_argument("--write", action="store_true", help="put the axes into the package")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # one window each, as it comes: nothing here may depend on the axes that are looked for
    separator = Separator.from_pretrained(options.model, precision="bf16", joining="given", long_window=20.0)
    if separator.model.slots != 2:
        parser.error(f"{options.model} has {separator.model.slots} slots; two voices need a model of two")
    rate = separator.sample_rate
    groups = {"librispeech": options.librispeech} if options.librispeech else None
    heard: dict[tuple[str, int], list[tuple[Said, bool]]] = {}
    for name, path, number in (("fit", options.speech, options.conversations), ("held out", options.held_out, 60)):
        if path:
            for mixture, sources, alike in conversations(path, number, 1, groups if name == "fit" else None):
                outputs = separator(mixture, rate).sources[:, 0]
                for to in (16000, 8000):
                    waves = resample(torch.cat([outputs, sources]), rate, to)
                    heard.setdefault((name, to), []).append((said(waves[:2], waves[2:], to), alike))
    tensors = {}
    for to in (16000, 8000):
        space, band = fit(heard["fit", to], options.axes), 2 * top(to)
        few = torch.tensor(space.few)
        tensors |= {f"{band}.axes": space.axes.contiguous(), f"{band}.between": space.between, f"{band}.few": few}
        for name, at in heard:
            if at == to:
                errors = equal_error(heard[name, at], space)
                print(f"below {top(to)} Hz, {name}: {errors:.1%} errors; few = {space.few:.0f}")
    if options.write:
        save_file(tensors, Path(slotaudio.__file__).parent / "assets" / ASSET)


if __name__ == "__main__":
    main()
