"""`FolderMixtures`: mixtures made on the fly from single-speaker recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import Dataset

from slotaudio.data.batches import Item
from slotaudio.data.drawing import Drawing
from slotaudio.data.epochs import Epochs, OnError
from slotaudio.data.mixing import LOUDNESS
from slotaudio.data.pitch import median_pitch
from slotaudio.data.plans import Plan, read, read_list, render
from slotaudio.data.recordings import UnreadableUtterance
from slotaudio.data.speakers import Meeting, Split, split_speakers
from slotaudio.data.speech import SpeechFolder, read_genders
from slotaudio.data.surroundings import Surroundings
from slotaudio.errors import DataError
from slotaudio.wildcards import fits

_PATIENCE = 100
_PITCH_SECONDS = 8.0

DRAWN = ("seconds", "sources", "size", "split", "validation", "speakers", "loudness", "speed", "length", "groups")
"""Options of `FolderMixtures` that decide about mixtures that are drawn; those of a list heed none of them."""


class FolderMixtures(Dataset[Item]):
    """Mix speakers of a folder (speaker/utterance.flac) on the fly.

    The speakers of a mixture are drawn first, then an utterance of each, then a crop, which is read
    without the rest of the file, then the loudness (see `slotaudio.data.drawing.Drawing`).

    Args:
        path: one folder per speaker; deeper folders such as LibriSpeech's belong to the speaker. Or such a folder
            that is open already, with whatever was left out of it.
        seconds: length of a mixture; None for whole utterances.
        sources: speakers of a mixture, or the least and the most: mixtures of fewer are
            then padded with silent sources, and ``metadata["active"]`` counts the others.
        rate: samples per second.
        size: mixtures of an epoch.
        seed: with the epoch and the index it decides everything.
        split: ``"train"`` and ``"validation"`` take disjoint speakers of one folder.
        validation: share of the speakers that validation gets.
        speakers: keep only folders that match one of these wildcards.
        loudness, speed, length: see `Drawing`.
        groups: how often speakers of one corpus meet (see `slotaudio.data.speakers.Meeting`).
        cache: keep all the audio in memory, 115 MB per hour at 16 kHz.
        fixed: every epoch is the first one, as validation wants it.
        mixtures: a frozen list (see `slotaudio.data.plans`) to render instead of drawing.
        resample: accept files of other rates.
        on_error: ``"raise"`` stops at an unreadable utterance; ``"skip"`` draws another mixture,
            warns, and counts in `skipped`.
        genders: CSV with the columns speaker and gender; by default ``speakers.csv`` in the folder
            or beside it, if there is one.
        pitch: the sources come in order of their pitch, the highest voice first, and each voice is at least so
            many times as high as the next (1.2 is three semitones): a first lesson with an answer that is never
            ambiguous, for the matcher `fixed`. 0 leaves the order to chance.
        noise, snr, rooms, reverberant: rooms around the voices and noise in the mixture, from folders or
            ``"synthetic"``, noise also ``"babble"`` of other speakers or several of these (see
            `slotaudio.data.surroundings.Surroundings`); none by default. The voices are the same with them and without.
        equaliser: most dB by which octaves of each voice get louder or softer, as if it had a microphone of its own.
        band: lowest and highest frequency in Hz of mixtures and sources, such as ``[300, 3400]`` of a telephone; or a
            range of each, out of which each mixture draws its own.
        slope: by how many dB per octave it falls beyond the band, or a range.

    Raises:
        DataError: what is wrong with the folder, the list or an option.
    """

    def __init__(
        self,
        path: str | Path | SpeechFolder,
        seconds: float | None = 4.0,
        sources: int | Sequence[int] = 2,
        rate: int = 16000,
        size: int = 20000,
        seed: int = 0,
        *,
        split: Split = "all",
        validation: float = 0.1,
        speakers: Sequence[str] | None = None,
        loudness: Sequence[float] = LOUDNESS,
        speed: Sequence[float] = (1.0, 1.0),
        length: Literal["max", "min"] = "max",
        groups: Mapping[str, float] | None = None,
        cache: bool = False,
        fixed: bool = False,
        mixtures: str | Path | None = None,
        resample: bool = False,
        on_error: OnError = "raise",
        genders: str | Path | None = None,
        pitch: float = 0.0,
        noise: str | Path | Sequence[str | Path] | None = None,
        snr: Sequence[float] = (5.0, 20.0),
        rooms: str | Path | None = None,
        reverberant: float = 0.5,
        equaliser: float = 0.0,
        band: Sequence[float | Sequence[float]] | None = None,
        slope: float | Sequence[float] = 24.0,
    ) -> None:
        self.least, self.most = _range(sources)
        if size < 0 or seed < 0:
            raise DataError(f"size = {size}, seed = {seed}: neither may be negative")
        if pitch and (pitch < 1 or self.least != self.most or mixtures is not None):
            raise DataError(
                f"pitch = {pitch} orders voices and must be at least 1, or 0 for no order; it needs mixtures of one "
                f"number of speakers (here {sources}) that are drawn, not listed (here {mixtures})"
            )
        self.sample_rate = rate
        self.epochs = Epochs(seed, fixed, on_error)
        self.drawing = Drawing(None if seconds is None else round(seconds * rate), length, loudness, speed)
        self.folder = path if isinstance(path, SpeechFolder) else SpeechFolder(path, rate, resample)
        self.plans = None if mixtures is None else read_list(mixtures, self.folder)
        if self.plans is None:
            names = _matching(self.folder, speakers)
            self.folder.keep(split_speakers(names, split, validation, self.most))
            self.meeting = Meeting(list(self.folder.speakers), self.most, groups)
        else:
            self.most = max(len(plan.takes) for plan in self.plans)
            self.folder.keep(take.speaker for plan in self.plans for take in plan.takes)
        if cache:
            self.folder.preload()
        self.size = size if self.plans is None else len(self.plans)
        self.genders = _genders(self.folder.path, genders)
        self.pitch = pitch
        clean = noise is None and rooms is None and not equaliser and band is None
        self.surroundings = (
            None
            if clean
            else Surroundings(rate, noise, snr, rooms, reverberant, equaliser, band, slope, self.folder, self.most)
        )
        self._pitches: dict[str, float] = {}

    @property
    def skipped(self) -> int:
        """How many mixtures were drawn again because an utterance could not be read."""
        return self.epochs.skipped

    def set_epoch(self, epoch: int) -> None:
        """Move to the mixtures of another epoch, unless they are fixed or listed."""
        self.epochs.move(epoch)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < self.size:
            raise IndexError(index)
        plan, waves = self._draw(index) if self.plans is None else _read(self.plans[index], self.folder)
        sources = render(plan, waves, self.most)
        metadata = self._metadata(plan)
        if self.surroundings is None:
            return sources.sum(0), sources, metadata
        for attempt in range(_PATIENCE):
            rng = self.epochs.rng(index, 1, *([attempt] if attempt else []))  # one of its own: the voices stay
            try:
                mixture, around, drawn = self.surroundings.around(rng, sources, metadata["speakers"])
            except UnreadableUtterance as error:
                self.epochs.skip(error)
            else:
                return mixture, around, {**metadata, **drawn}
        raise DataError(f"{_PATIENCE} unreadable noises or rooms in a row around a mixture of {self.folder.path}")

    def plan(self, index: int) -> Plan:
        """Return what item `index` of this epoch is made of, to be frozen with `write_list`."""
        return self._draw(index)[0] if self.plans is None else self.plans[index]

    def _draw(self, index: int) -> tuple[Plan, list[Any]]:
        rng = self.epochs.rng(index)
        for _ in range(_PATIENCE):
            speakers = self.meeting.draw(rng, int(rng.integers(self.least, self.most + 1)))
            try:
                plan, waves = self.drawing.draw(rng, self.folder, speakers)
                if not self.pitch:
                    return plan, waves
                order = self._by_pitch(plan)
                if order is not None:
                    return replace(plan, takes=tuple(plan.takes[i] for i in order)), [waves[i] for i in order]
            except UnreadableUtterance as error:
                self.epochs.skip(error)
        apart = f" or voices less than a factor of {self.pitch} apart" if self.pitch else ""
        raise DataError(
            f"{_PATIENCE} mixtures in a row held an unreadable utterance{apart}; is {self.folder.path} whole?"
        )

    def _by_pitch(self, plan: Plan) -> list[int] | None:
        """Return the order of the takes from the highest voice to the lowest; None where two are too close."""
        pitches = [self._pitch_of(take.utterance) * take.speed for take in plan.takes]
        order = sorted(range(len(pitches)), key=lambda i: -pitches[i])
        apart = all(pitches[high] >= self.pitch * pitches[low] for high, low in pairwise(order))  # not so for NaN
        return order if apart else None

    def _pitch_of(self, utterance: str) -> float:
        if utterance not in self._pitches:
            length = min(self.folder.length(utterance), round(_PITCH_SECONDS * self.sample_rate))
            self._pitches[utterance] = median_pitch(self.folder.read(utterance, 0, length), self.sample_rate)
        return self._pitches[utterance]

    def _metadata(self, plan: Plan) -> dict[str, Any]:
        nobody = ("",) * (self.most - len(plan.takes))
        speakers = (*(take.speaker for take in plan.takes), *nobody)
        return {
            "id": plan.id,
            "speakers": speakers,
            "genders": tuple(self.genders.get(speaker, "") for speaker in speakers),
            "utterances": (*(take.utterance for take in plan.takes), *nobody),
            "active": len(plan.takes),
        }


def _read(plan: Plan, folder: SpeechFolder) -> tuple[Plan, list[Any]]:
    return plan, read(plan, folder)


def _range(sources: int | Sequence[int]) -> tuple[int, int]:
    bounds = (sources, sources) if isinstance(sources, int) else tuple(sources)
    if len(bounds) != 2 or not 1 <= bounds[0] <= bounds[1]:
        raise DataError(f"sources = {sources!r}: give how many speakers a mixture has, or the least and the most")
    return bounds[0], bounds[1]


def _matching(folder: SpeechFolder, patterns: Sequence[str] | None) -> list[str]:
    names = [name for name in folder.speakers if patterns is None or fits(name, patterns)]
    if not names:
        some = ", ".join(list(folder.speakers)[:5])
        raise DataError(f"no speaker in {folder.path} matches {list(patterns or ())}; the first of them are: {some}")
    return names


def _genders(path: Path, given: str | Path | None) -> Mapping[str, str]:
    if given is not None:
        return read_genders(Path(given))
    for beside in (path / "speakers.csv", path.parent / "speakers.csv"):
        if beside.is_file():
            return read_genders(beside)
    return {}
