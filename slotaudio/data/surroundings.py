"""Rooms and noise around voices: from folders of recordings, or synthesised where there are none."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.data.acoustics import LONGEST_ROOM, synthetic_noise, synthetic_room
from slotaudio.data.babble import Babble
from slotaudio.data.convolution import convolve
from slotaudio.data.filters import Passbands, random_equaliser
from slotaudio.data.mixing import PEAK, SILENCE_DB, active_level, check_bounds, level
from slotaudio.data.recordings import SUFFIXES, Recordings
from slotaudio.data.speech import SpeechFolder
from slotaudio.errors import DataError

SYNTHETIC = "synthetic"
BABBLE = "babble"
BACKGROUND = 60.0
"""Seconds of noise at most that a conversation has, back and forth."""


class Surroundings:
    """Put voices into rooms and noise on top of them.

    The voices remain the references as they sound in the room: what is asked for is to separate, not to take the
    room away. The noise is in the mixture only. What is drawn depends on the generator alone, so that the same
    voices can be had with and without it.

    Args:
        rate: samples per second.
        noise: folder of audio files, of any rate and at any depth, or ``"synthetic"``, or ``"babble"`` for 4 to 8 other
            speakers at once, each in a place of its own; or several of these, one of which is drawn for each mixture;
            None for no noise.
        snr: least and most level of the voices, where there are any, over the noise, in dB.
        rooms: folder of impulse responses, or ``"synthetic"``; None for no rooms. Each voice gets one of its own.
        reverberant: share of the mixtures that are in a room.
        equaliser: most dB by which octaves of each voice get louder or softer, as if all voices had a microphone of
            their own: more voices than there are speakers, and no telling recordings apart.
        band: lowest and highest frequency in Hz that the recording has, as ``(300, 3400)`` of a telephone; each may be
            a range, ``((0, 400), (2800, 8000))``, out of which each mixture draws its own. None for all. Voices and
            noise have the levels, within it, that they would have without.
        slope: by how many dB per octave it falls beyond the edges of the band, in sixes; or a range of it. Filters of
            telephones and sound editors have about 24, brick walls hundreds.
        speech: whose speakers babble.
        most: how many speakers a mixture has at most.

    Raises:
        DataError: a folder is missing or holds no audio, too few speakers to babble, or a number is out of range; says
            what is possible.
    """

    def __init__(
        self,
        rate: int,
        noise: str | Path | Sequence[str | Path] | None = None,
        snr: Sequence[float] = (5.0, 20.0),
        rooms: str | Path | None = None,
        reverberant: float = 0.5,
        equaliser: float = 0.0,
        band: Sequence[float | Sequence[float]] | None = None,
        slope: float | Sequence[float] = 24.0,
        speech: SpeechFolder | None = None,
        most: int = 2,
    ) -> None:
        check_bounds("snr", snr, "in dB")
        if not 0 <= equaliser < np.inf:  # nor not a number
            raise DataError(f"equaliser = {equaliser}: give the most dB up or down, 0 for none")
        if not 0 <= reverberant <= 1:
            raise DataError(f"reverberant = {reverberant} is no share of the mixtures: give 0 to 1")
        self.rate = rate
        self.snr = snr
        self.reverberant = reverberant
        self.equaliser = equaliser
        self.rooms = rooms is not None
        self.band = None if band is None else Passbands(band, slope, rate)
        kinds = [] if noise is None else [noise] if isinstance(noise, (str, Path)) else noise
        self._noises = [_opened(kind, rate, speech, most) for kind in kinds]
        self._responses = _files(rooms, rate, "rooms")

    def around(
        self,
        rng: np.random.Generator,
        sources: Float[Tensor, "sources channels time"],
        speakers: Collection[str] = (),
    ) -> tuple[Float[Tensor, "channels time"], Float[Tensor, "sources channels time"], dict[str, Any]]:
        """Return the mixture, the sources as they are in it, and what was drawn: ``snr`` (dB) and ``reverberant``.

        The `speakers` whose voices these are do not babble. If the mixture would pass a peak of 0.9, all of it gets
        softer.

        Raises:
            UnreadableUtterance: see `Recordings.read`.
        """
        band, passed = self.passband(rng)
        responses, room = self.places(rng, len(sources), band)
        waves = np.stack(
            [
                wave if response is None else np.stack([in_room(row, response) for row in wave])
                for wave, response in zip(sources.numpy(), responses, strict=True)
            ]
        )
        mixture = waves.sum(axis=0)
        speech = active_level(mixture.mean(axis=0), self.rate)
        noise, snr = self.background(rng, speech, mixture.shape[-1], speakers, band)
        if noise is not None and speech > SILENCE_DB:
            mixture = mixture + noise
        peak = float(np.abs(mixture).max(initial=0.0))
        factor = np.float32(min(1.0, PEAK / peak) if peak > 0 else 1.0)
        return torch.from_numpy(mixture * factor), torch.from_numpy(waves * factor), passed | room | snr

    def passband(self, rng: np.random.Generator) -> tuple[Float[np.ndarray, "taps"] | None, dict[str, Any]]:
        """Return the impulse response of the band that a mixture has, None for all of it, and what was drawn."""
        return (None, {}) if self.band is None else self.band.draw(rng)

    def places(
        self, rng: np.random.Generator, voices: int, band: Float[np.ndarray, "taps"] | None = None
    ) -> tuple[list[Float[np.ndarray, "taps"] | None], dict[str, Any]]:
        """Return the impulse response of each voice, in the band, None for the voice as it is, and what was drawn.

        Raises:
            UnreadableUtterance: see `Recordings.read`.
        """
        responses: list[Float[np.ndarray, "taps"] | None] = [None] * voices
        drawn = {}
        if self.rooms:
            drawn["reverberant"] = bool(rng.random() < self.reverberant)
            responses = [self._response(rng) if drawn["reverberant"] else None for _ in range(voices)]
        if self.equaliser:
            filters = [random_equaliser(rng, self.rate, self.equaliser) for _ in range(voices)]
            responses = [_after(response, taps) for response, taps in zip(responses, filters, strict=True)]
        if band is not None:
            responses = [_after(response, band) for response in responses]
        return responses, drawn

    def background(
        self,
        rng: np.random.Generator,
        speech: float,
        samples: int,
        speakers: Collection[str] = (),
        band: Float[np.ndarray, "taps"] | None = None,
    ) -> tuple[Float[np.ndarray, "time"] | None, dict[str, Any]]:
        """Return noise in the band, as loud as it is to be below speech of a level of `speech` dB, and what was drawn.

        The `speakers` who are to be separated do not babble.

        Raises:
            UnreadableUtterance: see `Recordings.read`.
        """
        if not self._noises:
            return None, {}
        snr = float(rng.uniform(self.snr[0], self.snr[1]))
        noise = self._noise(rng, samples, speakers)
        if band is not None:
            noise = in_room(noise, band)
        hum = level(noise)
        factor = np.float32(10 ** ((speech - snr - hum) / 20) if hum > SILENCE_DB else 1.0)
        return noise * factor, {"snr": snr}

    def _response(self, rng: np.random.Generator) -> Float[np.ndarray, "taps"]:
        if self._responses is None:
            return synthetic_room(self.rate, _torch(rng)).numpy()
        name, length = self._responses.draw(rng)
        return self._responses.read(name, 0, min(length, round(LONGEST_ROOM * self.rate)))

    def _noise(self, rng: np.random.Generator, samples: int, speakers: Collection[str]) -> Float[np.ndarray, "time"]:
        # nothing is drawn where nothing is to choose: seeds stay what they were
        kind = self._noises[rng.integers(len(self._noises)) if len(self._noises) > 1 else 0]
        if isinstance(kind, Babble):
            return kind.draw(rng, samples, speakers, lambda voice: in_room(voice, self._response(rng)))
        if kind is None:
            return synthetic_noise(samples, _torch(rng)).numpy()
        name, available = kind.draw(rng)
        length = min(samples, available)
        crop = kind.read(name, int(rng.integers(available - length + 1)), length)
        return np.pad(crop, (0, samples - length), mode="reflect")  # back and forth, so that nothing clicks


def _after(response: Float[np.ndarray, "taps"] | None, taps: Float[np.ndarray, "taps2"]) -> Float[np.ndarray, "longer"]:
    return taps if response is None else convolve(response, taps)


def in_room(
    wave: Float[np.ndarray, "time"], response: Float[np.ndarray, "taps"], tail: int = 0
) -> Float[np.ndarray, "longer"]:
    """Convolve, with the direct sound where the voice was and with the voice's own energy.

    After the wave `tail` samples ring on, as far as the response goes.
    """
    direct = int(np.abs(response).argmax())
    wet = convolve(wave, response)[direct : direct + wave.size + tail]
    energy = float(np.square(wet).sum())
    return (wet * np.sqrt(float(np.square(wave).sum()) / energy) if energy > 0 else wet).astype(np.float32)


class _Files(Recordings):
    """The audio files at any depth of a folder."""

    def __init__(self, path: Path, rate: int, what: str) -> None:
        super().__init__(path, rate, resample=True)
        if not path.is_dir():
            named = f"{SYNTHETIC!r} or {BABBLE!r}" if what == "noise" else repr(SYNTHETIC)
            raise DataError(f"{what}: there is no folder {path}; give one, or {named}")
        found = [file.relative_to(path) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES]
        self.names = [file.as_posix() for file in sorted(found, key=lambda file: file.parts)]  # on Windows, too
        if not self.names:
            raise DataError(f"{what}: no audio in {path}; looked for {', '.join(SUFFIXES)}")

    def draw(self, rng: np.random.Generator) -> tuple[str, int]:
        """Return a file and its length."""
        name = self.names[rng.integers(len(self.names))]
        return name, self.length(name)


def _files(folder: str | Path | None, rate: int, what: str) -> _Files | None:
    return None if folder in (None, SYNTHETIC) else _Files(Path(folder).expanduser(), rate, what)


def _opened(kind: str | Path, rate: int, speech: SpeechFolder | None, most: int) -> "_Files | Babble | None":
    if kind != BABBLE:
        return _files(kind, rate, "noise")
    if speech is None:
        raise DataError(f"noise = {BABBLE!r} needs speakers: it is possible in data sets made of a folder of them")
    return Babble(speech, most)


def _torch(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**63)))
