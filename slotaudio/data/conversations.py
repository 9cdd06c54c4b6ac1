"""`Conversations`: talks of two or three people, made on the fly from single-speaker recordings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from slotaudio.data.batches import Item
from slotaudio.data.conversation import Conversation, Voice
from slotaudio.data.epochs import Epochs, OnError
from slotaudio.data.mixing import LOUDNESS, check_bounds
from slotaudio.data.recordings import UnreadableUtterance
from slotaudio.data.speakers import Meeting, Split, split_speakers
from slotaudio.data.speech import SpeechFolder
from slotaudio.data.surroundings import BACKGROUND, Surroundings
from slotaudio.data.timeline import Manner, draw_timeline
from slotaudio.errors import DataError

_PATIENCE = 100


class Conversations(Dataset[Item]):
    """Let speakers of a folder (speaker/utterance.flac) talk to each other: turns, gaps, overlaps, pauses.

    Clips of a few seconds teach slots to stay with a voice that falls silent and comes back; recordings of
    up to an hour show whether they do. ``conversations[n]`` is a whole item; ``conversations.conversation(n)``
    is the same one to be rendered in blocks, with its timeline (`slotaudio.data.conversation.Conversation`).

    Args:
        path: one folder per speaker.
        seconds: length of a conversation.
        sources: speakers of a conversation, or the least and the most: those of fewer are then padded
            with silent sources.
        rate: samples per second.
        size: conversations of an epoch.
        seed: with the epoch and the index it decides everything.
        overlap: wanted share of the time with speech in which two speak at once, or the least and the most
            of it; the outcome, in ``metadata["overlap"]``, comes close where there is room for a few turns.
        turn, gap, pauses, pause: see `slotaudio.data.timeline.Manner`.
        split, validation: as for the data set ``folder``: disjoint speakers of one folder.
        loudness: least and most of a speaker, in dB.
        speed: least and most speed of a speaker, the same for all that is said in a conversation.
        noise, snr, rooms, reverberant: rooms around the voices and noise in the mixture, from folders or
            ``"synthetic"``, noise also ``"babble"`` of other speakers or several of these (see
            `slotaudio.data.surroundings.Surroundings`); none by default. `snr` is over the mean power of the speakers.
            What is said, and when, is the same with them and without.
        equaliser: most dB by which octaves of each voice get louder or softer, as if it had a microphone of its own.
        band: lowest and highest frequency in Hz of mixtures and sources, such as ``[300, 3400]`` of a telephone; or a
            range of each, out of which each mixture draws its own.
        slope: by how many dB per octave it falls beyond the band, or a range.
        groups: see `slotaudio.data.speakers.Meeting`.
        cache: keep all the audio in memory, 115 MB per hour at 16 kHz.
        fixed: every epoch is the first one, as validation wants it.
        resample: accept files of other rates.
        on_error: ``"raise"`` stops at an unreadable utterance; ``"skip"`` draws another conversation in the place of an
            item that has one, warns, and counts in `skipped`.

    Raises:
        DataError: what is wrong with the folder or an option.
    """

    def __init__(
        self,
        path: str | Path,
        seconds: float = 60.0,
        sources: int | Sequence[int] = 2,
        rate: int = 16000,
        size: int = 100,
        seed: int = 0,
        *,
        overlap: float | Sequence[float] = 0.2,
        turn: Sequence[float] = (1.0, 8.0),
        gap: Sequence[float] = (0.1, 0.8),
        pauses: float = 0.5,
        pause: Sequence[float] = (5.0, 8.0),
        split: Split = "all",
        validation: float = 0.1,
        loudness: Sequence[float] = LOUDNESS,
        speed: Sequence[float] = (1.0, 1.0),
        noise: str | Path | Sequence[str | Path] | None = None,
        snr: Sequence[float] = (5.0, 20.0),
        rooms: str | Path | None = None,
        reverberant: float = 0.5,
        equaliser: float = 0.0,
        band: Sequence[float | Sequence[float]] | None = None,
        slope: float | Sequence[float] = 24.0,
        groups: Mapping[str, float] | None = None,
        cache: bool = False,
        fixed: bool = False,
        resample: bool = False,
        on_error: OnError = "raise",
    ) -> None:
        self.least, self.most = (sources, sources) if isinstance(sources, int) else tuple(sources)
        if not 1 <= self.least <= self.most:
            raise DataError(f"sources = {sources!r}: give how many speakers a conversation has, or the least and most")
        if seconds * rate < 1 or size < 0 or seed < 0:
            raise DataError(
                f"seconds = {seconds}, size = {size}, seed = {seed}: "
                "a conversation has at least one sample, and nothing is negative"
            )
        check_bounds("loudness", loudness, "in dB")
        check_bounds("speed", speed, "from 0.5 to 2", 0.5, 2.0)
        self.overlap = (overlap, overlap) if isinstance(overlap, (int, float)) else tuple(overlap)
        # both ends are checked now, not when an item happens to be drawn near them
        self.manners = [Manner(share, turn, gap, pauses, pause) for share in self.overlap]
        if len(self.overlap) != 2 or self.overlap[0] > self.overlap[1]:
            raise DataError(f"overlap = {overlap!r}: give one share, or the least and the most")
        self.turn, self.gap, self.pauses, self.pause = turn, gap, pauses, pause
        self.seconds = seconds
        self.sample_rate = rate
        self.size = size
        self.epochs = Epochs(seed, fixed, on_error)
        self.loudness = loudness
        self.speed = speed
        self.folder = SpeechFolder(path, rate, resample)
        self.folder.keep(split_speakers(list(self.folder.speakers), split, validation, self.most))
        self.meeting = Meeting(list(self.folder.speakers), self.most, groups)
        self.surroundings = Surroundings(
            rate, noise, snr, rooms, reverberant, equaliser, band, slope, self.folder, self.most
        )
        if cache:
            self.folder.preload()

    @property
    def skipped(self) -> int:
        """How many conversations were drawn again because an utterance could not be read."""
        return self.epochs.skipped

    def set_epoch(self, epoch: int) -> None:
        """Move to the conversations of another epoch, unless they are fixed."""
        self.epochs.move(epoch)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Item:
        for attempt in range(_PATIENCE):
            try:
                conversation = self.conversation(index, attempt)
                sources = conversation.sources()
                mixture = conversation.mixture(sources)
            except UnreadableUtterance as error:
                self.epochs.skip(error)
                continue
            silent = sources.new_zeros(self.most - len(sources), *sources.shape[1:])
            sources = torch.cat([sources, silent])
            return mixture, sources, conversation.metadata()
        raise DataError(
            f"{_PATIENCE} conversations in a row held an unreadable utterance; is {self.folder.path} whole?"
        )

    def conversation(self, index: int, attempt: int = 0) -> Conversation:
        """Return item `index` of this epoch, to be rendered in blocks; another one for each `attempt`.

        Raises:
            IndexError: there is no such item.
        """
        if not 0 <= index < self.size:
            raise IndexError(index)
        rng = self.epochs.rng(index, *([attempt] if attempt else []))
        speakers = self.meeting.draw(rng, int(rng.integers(self.least, self.most + 1)))
        manner = Manner(
            float(rng.uniform(self.overlap[0], self.overlap[1])), self.turn, self.gap, self.pauses, self.pause
        )
        name = f"conversation-{self.epochs.seed}-{self.epochs.current}-{index}"
        turns = draw_timeline(rng, speakers, self.seconds, manner, name)
        loudness = [float(rng.uniform(self.loudness[0], self.loudness[1])) for _ in speakers]
        speeds = [1.0] * len(speakers)
        if tuple(self.speed) != (1.0, 1.0):  # nothing is drawn where nothing is to choose: seeds stay what they were
            speeds = [round(float(rng.uniform(self.speed[0], self.speed[1])), 2) for _ in speakers]
        around = self.epochs.rng(index, attempt, 1)  # one of its own: the voices stay
        band, passed = self.surroundings.passband(around)
        places, room = self.surroundings.places(around, len(speakers), band)
        speech = 10 * np.log10(np.mean(10 ** (np.array(loudness) / 10)))
        samples = round(min(self.seconds, BACKGROUND) * self.sample_rate)
        noise, snr = self.surroundings.background(around, speech, samples, speakers, band)
        voices = [Voice(*voice) for voice in zip(speakers, loudness, speeds, places, strict=True)]
        return Conversation(rng, self.folder, voices, turns, self.seconds, noise, name, passed | room | snr)
