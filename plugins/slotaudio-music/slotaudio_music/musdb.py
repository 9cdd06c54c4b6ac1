"""`Musdb`: MUSDB18-HQ and whatever is laid out like it, as labelled stems."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from slotaudio.errors import DataError
from slotaudio_music.tracks import VALIDATION, Track, find_tracks

Item = tuple[Tensor, Tensor, dict[str, Any]]

STEMS = ("drums", "bass", "other", "vocals")
PEAK = 0.999
"""No mixture passes this; remixed stems could."""


class Musdb(Dataset[Item]):
    """Stems of MUSDB18-HQ (Rafii et al. 2019, doi 10.5281/zenodo.3338373); the mixture is their sum.

    The layout is ``path/train/TRACK/drums.wav`` and so on, ``test`` beside ``train``, WAV or FLAC. Only the
    stretch that an item needs is read.

    With a `size`, items are drawn and augmented (Uhlich et al. 2017, doi 10.1109/ICASSP.2017.7952158): stems of
    different tracks are mixed anew, each with a gain and sometimes with its channels swapped. Without, the items
    are all tracks, cut into adjacent stretches, as they are.

    Args:
        path: the folder that holds ``train`` and ``test``.
        seconds: length of an item; None for whole tracks. The last stretch of a track may be shorter.
        rate, channels: of the stems; mono stems are copied to both channels, and mixed down if one is wanted.
        split: ``"train"`` is the folder without the tracks that the MUSDB18 tools set aside, ``"validation"`` those,
            ``"all"`` both together, ``"test"`` the folder of that name.
        size: items of an epoch that are drawn; None for everything in order.
        seed: with the epoch and the index it decides everything that is drawn.
        stems: names of the files, in the order of the sources.
        remix: probability that the stems of a drawn item come from tracks and moments of their own.
        gains: least and largest factor of a drawn stem.
        swap: probability that a drawn stem's channels are swapped.
        fixed: every epoch is the first one.

    Raises:
        DataError: what is wrong with the folder or an option.
    """

    def __init__(
        self,
        path: str | Path,
        seconds: float | None = 6.0,
        rate: int = 44100,
        channels: int = 2,
        split: Literal["train", "validation", "all", "test"] = "train",
        size: int | None = None,
        seed: int = 0,
        *,
        stems: Sequence[str] = STEMS,
        remix: float = 0.5,
        gains: tuple[float, float] = (0.25, 1.25),
        swap: float = 0.5,
        fixed: bool = False,
    ) -> None:
        self.samples = None if seconds is None else round(seconds * rate)
        if (self.samples is not None and self.samples < 1) or (size is not None and size < 1) or seed < 0:
            raise DataError(f"musdb: seconds = {seconds}, size = {size}, seed = {seed}: something must be left to hear")
        if self.samples is None and size is not None:
            raise DataError("musdb: drawn items need seconds; without size, items are whole tracks")
        if not stems or not (0 <= remix <= 1 and 0 <= swap <= 1 and 0 <= gains[0] <= gains[1]):
            raise DataError(
                f"musdb: stems = {list(stems)}, remix = {remix}, swap = {swap}, gains = {list(gains)}: at least "
                "one stem, two probabilities, and the least and the largest gain are needed"
            )
        self.stems, self.sample_rate, self.channels = tuple(stems), rate, channels
        self.remix, self.gains, self.swap = remix, gains, swap
        self.seed, self.fixed = seed, fixed
        folder = Path(path) / ("test" if split == "test" else "train")
        self.tracks = _of_split(find_tracks(folder, self.stems, rate, channels), split, folder, self.samples, size)
        self.stretches = None if size else [piece for track in self.tracks for piece in _stretches(track, self.samples)]
        self.size = size or len(self.stretches or ())
        # in shared memory, so that worker processes that live on see the next epoch
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Move to other drawn items, unless they are fixed."""
        self._epoch[0] = 0 if self.fixed else epoch

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < self.size:
            raise IndexError(index)
        if self.stretches is not None:
            track, start, length = self.stretches[index]
            takes, starts = [track] * len(self.stems), [start] * len(self.stems)
            sources = torch.stack([track.read(n, start, length, self.channels) for n in range(len(self.stems))])
        else:
            sources, takes, starts = self._draw(index)
        sources = sources * min(1.0, PEAK / max(float(sources.sum(0).abs().max()), 1e-9))
        metadata = {
            "id": f"{takes[0].name}-{starts[0] / self.sample_rate:.2f}"
            if self.stretches
            else f"remix-{self.seed}-{index}",
            "stems": self.stems,
            "tracks": tuple(track.name for track in takes),
            "starts": tuple(start / self.sample_rate for start in starts),
        }
        return sources.sum(0), sources, metadata

    def _draw(self, index: int) -> tuple[Float[Tensor, "sources channels time"], list[Track], list[int]]:
        rng = np.random.default_rng([self.seed, int(self._epoch[0]), index])
        length = self.samples
        assert length is not None  # checked at the beginning
        together = rng.random() >= self.remix
        sources: list[Tensor] = []
        tracks: list[Track] = []
        starts: list[int] = []
        for stem in range(len(self.stems)):
            if not (together and tracks):
                track = self.tracks[rng.integers(len(self.tracks))]
                start = int(rng.integers(track.length - length + 1))
            wave = track.read(stem, start, length, self.channels) * float(rng.uniform(*self.gains))
            sources.append(wave.flip(0) if rng.random() < self.swap else wave)
            tracks.append(track)
            starts.append(start)
        return torch.stack(sources), tracks, starts


def _of_split(tracks: list[Track], split: str, folder: Path, samples: int | None, size: int | None) -> list[Track]:
    """Keep the tracks of a split, and of those drawn from the ones that are long enough.

    Raises:
        DataError: none is left, or there is no such split.
    """
    if split not in ("train", "validation", "all", "test"):
        raise DataError(f"musdb: split = {split!r} is not known; choose 'train', 'validation', 'all' or 'test'")
    kept = [t for t in tracks if split in ("all", "test") or (t.name in VALIDATION) == (split == "validation")]
    if not kept:
        raise DataError(
            f"musdb: none of the {len(tracks)} tracks in {folder} belongs to split {split!r}, which goes by the "
            "names of MUSDB18; choose split = 'all'"
        )
    long = [track for track in kept if size is None or (samples or 0) <= track.length]
    if not long:
        longest = max(track.length for track in kept)
        raise DataError(f"musdb: no track in {folder} has the {samples} samples of an item; the longest has {longest}")
    return long


def _stretches(track: Track, samples: int | None) -> list[tuple[Track, int, int]]:
    hop = samples or track.length
    return [(track, start, min(hop, track.length - start)) for start in range(0, track.length, hop)]
