"""`Contamination`: speech as it is heard in rooms, in the street and over bad lines."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio import Spec, UserError
from slotaudio.compose import check_options
from slotaudio.data.acoustics import synthetic_noise, synthetic_room
from slotaudio_pase.distortions import band_dropped, chopped, clipped, narrowed, reverberated, with_added
from slotaudio_pase.surroundings import LONGEST, recordings

MOST_PAUSES = 5
_FRAME = 160
_SPEECH_DB = 20.0


class Contamination:
    """Spoil speech at random: PASE+'s on-line contaminations (arXiv 2001.09239, section 2.1; its ``pase+.cfg``).

    Every wave by itself meets each of them with its probability, in the order of the arguments. The defaults are the
    published ones; impulse responses, noises and filters of the authors are not public, and what stands in for
    them is said below.

    Args:
        reverberation: probability of a room.
        overlap: of another voice of the batch, which starts somewhere in the first three quarters and goes on to the
            end, in a room of its own.
        noise: of noise.
        clipping: of clipping, at one of `clip_factors` of the largest sample.
        chopping: of 1 to 5 silenced stretches within speech (frames within 20 dB of the loudest, where the authors
            use a detector), of one of the means and deviations `pauses`, in seconds.
        band_drop: of a missing band; its centre is even on the mel scale between 100 Hz and 7/8 of the highest
            frequency, its width is 100 to 600 mel.
        narrow_band: of nothing above 4 kHz.
        overlap_snr, noise_snr: in decibels, one of which is drawn.
        clip_factors, pauses: see above.
        rooms: folder of impulse responses; synthetic ones by default (`slotaudio.data.surroundings`).
        noises: folder of noises; synthetic ones by default.
        sample_rate: in hertz.

    Raises:
        UserError: a probability outside 0 to 1, nothing to draw from, or a folder without sound.
    """

    def __init__(
        self,
        reverberation: float = 0.5,
        overlap: float = 0.1,
        noise: float = 0.4,
        clipping: float = 0.2,
        chopping: float = 0.2,
        band_drop: float = 0.35,
        narrow_band: float = 0.25,
        overlap_snr: Sequence[float] = (5.0, 7.5, 10.0),
        noise_snr: Sequence[float] = (0.0, 5.0, 10.0),
        clip_factors: Sequence[float] = (0.1, 0.3, 0.5),
        pauses: Sequence[Sequence[float]] = ((0.05, 0.025), (0.1, 0.05)),
        rooms: str | None = None,
        noises: str | None = None,
        sample_rate: int = 16000,
    ) -> None:
        self.probabilities = {
            "reverberation": reverberation,
            "overlap": overlap,
            "noise": noise,
            "clipping": clipping,
            "chopping": chopping,
            "band_drop": band_drop,
            "narrow_band": narrow_band,
        }
        for name, probability in self.probabilities.items():
            if not 0 <= probability <= 1:
                raise UserError(f"contamination: {name} = {probability} is no probability; choose one from 0 to 1")
        draws = {"overlap_snr": overlap_snr, "noise_snr": noise_snr, "clip_factors": clip_factors, "pauses": pauses}
        for name, values in draws.items():
            if not values:
                raise UserError(f"contamination: {name} is empty; give at least one value to draw from")
        if any(len(pause) != 2 for pause in pauses):
            raise UserError(f"contamination: pauses = {pauses}; each is a mean and a deviation, in seconds")
        self.overlap_snr, self.noise_snr = overlap_snr, noise_snr
        self.clip_factors, self.pauses = clip_factors, pauses
        self.sample_rate = sample_rate
        self.rooms = None if rooms is None else recordings(rooms, sample_rate, "contamination: rooms")
        self.noises = None if noises is None else recordings(noises, sample_rate, "contamination: noises")

    @torch.no_grad()
    def __call__(
        self, waves: Float[Tensor, "utterances time"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "utterances time"]:
        """Return the waves as they are heard; the ones given are left as they are.

        Args:
            waves: one utterance each, so that one may overlap with another.
            generator: on the CPU; torch's global one by default.
        """
        return torch.stack([self._spoiled(waves, row, _Draw(generator)) for row in range(len(waves))])

    def _spoiled(self, waves: Float[Tensor, "utterances time"], row: int, draw: "_Draw") -> Float[Tensor, " time"]:
        steps: dict[str, Callable[[Tensor], Tensor]] = {
            "reverberation": lambda wave: reverberated(wave, self._room(draw).to(wave)),
            "overlap": lambda wave: self._overlapped(wave, waves, row, draw),
            "noise": lambda wave: with_added(wave, self._noise(wave, draw), draw.one_of(self.noise_snr)),
            "clipping": lambda wave: clipped(wave, draw.one_of(self.clip_factors)),
            "chopping": lambda wave: self._chopped(wave, draw),
            "band_drop": lambda wave: self._band_dropped(wave, draw),
            "narrow_band": lambda wave: narrowed(wave, self.sample_rate),
        }
        wave = waves[row]
        for name, spoil in steps.items():
            if draw.share() < self.probabilities[name]:
                wave = spoil(wave)
        return wave.clone()

    def _overlapped(
        self, wave: Float[Tensor, " time"], waves: Float[Tensor, "utterances time"], row: int, draw: "_Draw"
    ) -> Float[Tensor, " time"]:
        if len(waves) < 2:
            return wave
        voice = waves[(row + draw.whole(1, len(waves))) % len(waves)]
        start = draw.whole(0, max(1, 3 * len(wave) // 4))
        voice = reverberated(voice[: len(wave) - start], self._room(draw).to(wave))
        return with_added(wave, torch.nn.functional.pad(voice, (start, 0)), draw.one_of(self.overlap_snr))

    def _room(self, draw: "_Draw") -> Float[Tensor, " taps"]:
        if self.rooms is None:
            return synthetic_room(self.sample_rate, draw.generator)
        return draw.one_of(self.rooms)[:LONGEST]

    def _noise(self, wave: Float[Tensor, " time"], draw: "_Draw") -> Float[Tensor, " time"]:
        if self.noises is None:
            return synthetic_noise(len(wave), draw.generator).to(wave)
        noise = draw.one_of(self.noises)
        noise = noise.repeat(-(-len(wave) // len(noise)))
        start = draw.whole(0, len(noise) - len(wave) + 1)
        return noise[start : start + len(wave)].to(wave)

    def _chopped(self, wave: Float[Tensor, " time"], draw: "_Draw") -> Float[Tensor, " time"]:
        level = wave[: len(wave) // _FRAME * _FRAME].reshape(-1, _FRAME).square().mean(-1)
        if not level.any():
            return wave
        speech = (level > level.max() * 10 ** (-_SPEECH_DB / 10)).nonzero()[:, 0].tolist()
        for _ in range(draw.whole(1, MOST_PAUSES + 1)):
            mean, deviation = draw.one_of(self.pauses)
            length = max(0, round((mean + deviation * draw.normal()) * self.sample_rate))
            wave = chopped(wave, draw.one_of(speech) * _FRAME + _FRAME // 2, length)
        return wave

    def _band_dropped(self, wave: Float[Tensor, " time"], draw: "_Draw") -> Float[Tensor, " time"]:
        ends = _mel(100.0), _mel(7 / 16 * self.sample_rate)
        centre, width = ends[0] + draw.share() * (ends[1] - ends[0]), 100 + 500 * draw.share()
        return band_dropped(wave, _hertz(centre - width / 2), _hertz(centre + width / 2), self.sample_rate)


def contamination(options: Mapping[str, Any], sample_rate: int) -> Contamination:
    """Build from a recipe's table.

    Raises:
        UserError: an option that there is not, a value that cannot be, or see `Contamination`.
    """
    checked = check_options(
        "contamination", Spec.of({**options, "name": "pase"}), Contamination, {"sample_rate": sample_rate}
    )
    return Contamination(**checked)


class _Draw:
    """Random choices from one generator."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self.generator = generator

    def share(self) -> float:
        return float(torch.rand((), generator=self.generator))

    def normal(self) -> float:
        return float(torch.randn((), generator=self.generator))

    def whole(self, least: int, end: int) -> int:
        return int(torch.randint(least, end, (), generator=self.generator))

    def one_of(self, values: Sequence[Any]) -> Any:
        return values[self.whole(0, len(values))]


def _mel(frequency: float) -> float:
    return 2595 * float(torch.log10(torch.tensor(1 + frequency / 700)))


def _hertz(mel: float) -> float:
    return 700 * (10 ** (mel / 2595) - 1)
