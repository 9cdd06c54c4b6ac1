"""`LibriMix`: Libri2Mix and Libri3Mix from generated folders, from LibriSpeech and the lists, or beyond them."""

import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Int16
from torch import Tensor
from torch.utils.data import Dataset

from slotaudio.data.batches import Item
from slotaudio.data.bundled import located
from slotaudio.data.epochs import Epochs, OnError
from slotaudio.data.folder import FolderMixtures
from slotaudio.data.librimix_arithmetic import RATE
from slotaudio.data.librimix_dynamic import DynamicMixtures
from slotaudio.data.librimix_listed import Kind, ListedMixtures
from slotaudio.data.librimix_metadata import (
    NOISE_FOLDERS,
    SUBSETS,
    described,
    find_metadata,
    key_of,
    read_metadata,
    read_sexes,
)
from slotaudio.data.librimix_official import OfficialMixtures, official_root
from slotaudio.data.recordings import UnreadableUtterance
from slotaudio.data.speech import SpeechFolder
from slotaudio.errors import DataError
from slotaudio.schema import fits, readable

DYNAMIC_SIZE = 20000
"""Mixtures of an epoch without a list, if nothing else is asked for."""

_PATIENCE = 100


class MissingUtterances(UserWarning):
    """Mixtures of a list were left out, as the data set was told to."""


class LibriMix(Dataset[Item]):
    """LibriMix (Cosentino et al. 2020, arXiv 2005.11262) from any of three places.

    - ``"official"``: folders that its generator wrote (`path` holds ``wav8k`` or ``wav16k``).
    - ``"listed"``: the very same mixtures, sample for sample, made from LibriSpeech (`path`) and a list of LibriMix's
      (`metadata`), without any file being written: of every utterance only the stretch that sounds is read.
    - ``"dynamic"``: new mixtures in every epoch, drawn from LibriSpeech by LibriMix's rules; `metadata`
      then limits the utterances to those of the list.

    Official and listed mixtures are those of the 16-bit files, in which mixture and sources were rounded one by one:
    the mixture is the sum of the sources but for one unit of 16 bits per source. Without `noise_source` noise is in
    the mixture alone. A mixture shorter than `seconds` is followed by silence.

    Args:
        path: the generated folder (``Libri2Mix`` or what holds it), LibriSpeech (or what holds it), or a folder with
            one folder per speaker, in which utterances are found by their names.
        subset: ``"train-360"``, ``"train-100"``, ``"dev"`` or ``"test"``.
        sources: speakers of a mixture, 2 or 3.
        seconds: length of the crops; None for whole mixtures.
        rate: samples per second, 8000 or 16000.
        length: ``"max"`` pads the shorter utterances of a mixture, ``"min"`` cuts the longer ones.
        kind: ``"mix_clean"``; ``"mix_both"`` with noise; ``"mix_single"``, one speaker with noise.
        seed: with epoch and index it decides the crop, and everything else of a dynamic mixture.
        metadata: a list (CSV) or a folder of lists, such as ``metadata`` of LibriMix's repository.
        mixing: which of the three; ``"auto"`` takes the first that path and metadata allow.
        noise: WHAM's noise (the folder with ``tr``, ``cv`` and ``tt``), which `kind` may need.
        noise_source: the noise is the last source, to be separated like the others.
        size: mixtures of an epoch: the first of a list; 20000 by default where there is none.
        missing: ``"raise"`` stops if files of the list are missing; ``"skip"`` goes on without them and warns.
        on_error: ``"raise"`` stops at an unreadable file; ``"skip"`` takes another mixture and counts in `skipped`.
        cache: keep the utterances in memory, 115 MB per hour.
        fixed: every epoch is the first one, and crops begin with the mixture, as validation wants it.

    Raises:
        DataError: what is wrong with folders, lists or options; missing files are counted and the first are named.
    """

    def __init__(
        self,
        path: str | Path,
        subset: Literal["train-360", "train-100", "dev", "test"] = "train-360",
        sources: int = 2,
        seconds: float | None = None,
        rate: int = RATE,
        length: Literal["max", "min"] = "max",
        kind: Kind = "mix_clean",
        seed: int = 0,
        *,
        metadata: str | Path | None = None,
        mixing: Literal["auto", "official", "listed", "dynamic"] = "auto",
        noise: str | Path | None = None,
        noise_source: bool = False,
        size: int | None = None,
        missing: Literal["raise", "skip"] = "raise",
        on_error: OnError = "raise",
        cache: bool = False,
        fixed: bool = False,
    ) -> None:
        _check(sources, seconds, rate, seed, size)
        _check_choices(subset=subset, length=length, kind=kind, mixing=mixing, missing=missing, on_error=on_error)
        place = located(path)
        if not place.is_dir():
            raise DataError(f"no such folder: {place}")
        self.sample_rate = rate
        self.epochs = Epochs(seed, fixed, on_error)
        self.samples = None if seconds is None else round(seconds * rate)
        generated = official_root(place, sources)
        self.mixing = _mixing(mixing, place, generated, metadata)
        """Which of the three places it is."""
        lists = None if metadata is None else find_metadata(Path(metadata).expanduser(), subset, sources)
        wham = None if kind == "mix_clean" or self.mixing == "official" else _wham(noise, kind)
        self.mixtures: OfficialMixtures | ListedMixtures | DynamicMixtures
        if self.mixing == "official":
            assert generated is not None
            sexes = read_sexes(lists)
            self.mixtures = OfficialMixtures(generated, subset, sources, rate, length, kind, noise_source, sexes)
        elif self.mixing == "listed":
            assert lists is not None
            rows = read_metadata(lists, sources, noise=wham is not None)
            self.mixtures = ListedMixtures(place, rows, rate, length, kind, wham, noise_source, lists)
        else:
            folder, sexes = _speech(place, subset, rate, lists, sources, missing)
            count = DYNAMIC_SIZE if size is None else size
            voices = 1 if kind == "mix_single" else sources
            options: Any = {"length": length, "cache": cache, "fixed": fixed, "on_error": on_error}
            drawn = FolderMixtures(folder, seconds, voices, rate, count, seed, **options)
            drawn.genders = {name: sexes[name] for name in folder.speakers if name in sexes} or drawn.genders
            part = None if wham is None else wham / NOISE_FOLDERS[subset]
            self.mixtures = DynamicMixtures(drawn, part if part is None or part.is_dir() else wham, noise_source)
        if not isinstance(self.mixtures, DynamicMixtures) and self.mixtures.dropped:
            _report_missing(self.mixtures.complaint(lists or Path()), len(self.mixtures), missing)
        if cache and isinstance(self.mixtures, ListedMixtures):
            self.mixtures.preload()
        self.size = len(self.mixtures) if size is None else min(size, len(self.mixtures))

    @property
    def folder(self) -> SpeechFolder | None:
        """The speakers that are heard, of listed and dynamic mixtures."""
        if isinstance(self.mixtures, OfficialMixtures):
            return None
        return self.mixtures.speech.folder if isinstance(self.mixtures, DynamicMixtures) else self.mixtures.folder

    @property
    def skipped(self) -> int:
        """How many mixtures were replaced by others because a file could not be read."""
        drawn = self.mixtures.speech.skipped if isinstance(self.mixtures, DynamicMixtures) else 0
        return drawn + self.epochs.skipped

    def set_epoch(self, epoch: int) -> None:
        """Move to the crops, or the dynamic mixtures, of another epoch, unless they are fixed."""
        self.epochs.move(epoch)
        if isinstance(self.mixtures, DynamicMixtures):
            self.mixtures.speech.set_epoch(epoch)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < self.size:
            raise IndexError(index)
        rng = self.epochs.rng(index)
        for _ in range(_PATIENCE):
            try:
                if isinstance(self.mixtures, DynamicMixtures):
                    return self.mixtures.item(index, self.epochs.rng(index, 1))
                return self._crop(self.mixtures, index, rng)
            except UnreadableUtterance as error:
                self.epochs.skip(error)
                index = int(rng.integers(self.size))
        raise DataError(f"{_PATIENCE} mixtures in a row held an unreadable file; are the data whole?")

    def _crop(self, mixtures: OfficialMixtures | ListedMixtures, index: int, rng: np.random.Generator) -> Item:
        total = mixtures.length(index)
        samples = total if self.samples is None else self.samples
        start = 0 if self.epochs.fixed or samples >= total else int(rng.integers(total - samples + 1))
        mixture, sources = mixtures.read(index, start, min(total, start + samples))
        metadata = {**mixtures.about(index), "start": start, "active": len(sources)}
        return _tensor(mixture[None], samples), rearrange(_tensor(sources, samples), "s time -> s 1 time"), metadata


def _tensor(samples: Int16[np.ndarray, "rows time"], length: int) -> Tensor:
    wave = torch.from_numpy(samples.astype(np.float32)) / 32768
    return torch.nn.functional.pad(wave, (0, length - wave.shape[-1]))


def _check(sources: int, seconds: float | None, rate: int, seed: int, size: int | None) -> None:
    if sources not in (2, 3):
        raise DataError(f"sources = {sources}: LibriMix has mixtures of 2 and of 3 speakers")
    if seconds is not None and round(seconds * rate) <= 0:
        raise DataError(f"seconds = {seconds}: a mixture needs at least one sample; leave it out for whole mixtures")
    if rate not in (8000, 16000):
        raise DataError(f"rate = {rate}: LibriMix has 8000 and 16000 samples per second")
    if seed < 0 or (size is not None and size < 1):
        raise DataError(f"seed = {seed}, size = {size}: a seed is 0 or more, a size 1 or more")


def _check_choices(**chosen: str) -> None:
    for name, value in chosen.items():
        choices = LibriMix.__init__.__annotations__[name]
        if not fits(choices, value):
            raise DataError(f"{name} = {value!r} is not {readable(choices)}")


def _mixing(asked: str, path: Path, generated: Path | None, metadata: str | Path | None) -> str:
    if asked == "auto":
        return "official" if generated is not None else "dynamic" if metadata is None else "listed"
    if asked == "official" and generated is None:
        raise DataError(f"mixing = 'official', but {path} holds no folder wav8k or wav16k of generated mixtures")
    if asked == "listed" and metadata is None:
        raise DataError("mixing = 'listed' needs metadata: the folder of that name in LibriMix's repository")
    if asked == "dynamic" and generated is not None:
        raise DataError(f"mixing = 'dynamic' draws from LibriSpeech; {path} holds generated mixtures")
    return asked


def _wham(noise: str | Path | None, kind: str) -> Path:
    if noise is None:
        raise DataError(f"kind = {kind!r} needs noise: the folder of WHAM's noise, which holds tr, cv and tt")
    folder = Path(noise).expanduser()
    if not folder.is_dir():
        raise DataError(f"no such folder of noise: {folder}")
    return folder


def _speech(
    path: Path, subset: str, rate: int, lists: Path | None, sources: int, missing: str
) -> tuple[SpeechFolder, dict[str, str]]:
    """Return LibriSpeech's part of a subset, limited to the utterances of a list, and the speakers' sexes."""
    root = path / "LibriSpeech" if (path / "LibriSpeech").is_dir() else path
    place = root / SUBSETS[subset]
    if not place.is_dir():
        others = sorted(name for name in (*SUBSETS.values(), "train-other-500") if (root / name).is_dir())
        if others:
            raise DataError(f"{root} holds no {SUBSETS[subset]} for subset {subset!r}; it holds {', '.join(others)}")
        place = root
    folder = SpeechFolder(place, rate, resample=rate != RATE)
    if lists is not None:
        wanted = {key for row in read_metadata(lists, sources) for key in row.keys}
        kept = {u: key_of(u) for us in folder.speakers.values() for u in us if key_of(u) in wanted}
        folder.keep_utterances(kept)
        gone = sorted(wanted.difference(kept.values()))
        if gone:
            complaint = f"{len(gone)} of the {len(wanted)} utterances of {lists} ({described(gone)}) are not in {place}"
            _report_missing(complaint, len(folder.speakers), missing)
    return folder, dict(read_sexes(lists, root, path))


def _report_missing(complaint: str, left: int, missing: str) -> None:
    if missing == "raise":
        raise DataError(f"{complaint}; missing = 'skip' goes on without them")
    if not left:
        raise DataError(f"{complaint}: nothing is left")
    warnings.warn(f"left out: {complaint}", MissingUtterances, stacklevel=3)
