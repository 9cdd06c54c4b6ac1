"""Extraction by example: of the voices in a recording, the one that an example is of."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.audio import AudioReader
from slotaudio.audio.writing import format_of, subtype_for
from slotaudio.errors import AudioFileError, UserError
from slotaudio.resampling import Resampler
from slotaudio.separation.identity import FRAME_SECONDS, VoiceMemory
from slotaudio.separation.intake import SeparationWarning, Wave, as_batch, loaded, opened
from slotaudio.separation.joining import SlotWindow
from slotaudio.separation.outputs import Outputs
from slotaudio.separation.separated import like
from slotaudio.separation.voices import USUAL, moments
from slotaudio.separation.whole import WholeRecording
from slotaudio.writing import check_free, make_folder

if TYPE_CHECKING:
    from slotaudio.separation.separator import Separator

LEAST = 0.5
"""Probability from which on an output is taken for the voice of the example."""

_EVERYBODY = (
    9.9,
    0.9,
    2.5,
    -1.1,
    -1.3,
    -1.3,
    -1.1,
    -0.4,
    -0.5,
    -0.5,
    -0.6,
    -0.5,
    -0.5,
    -0.7,
    -0.5,
    -0.4,
    -0.2,
    -0.2,
    -0.1,
)
"""Mean cepstra of 251 speakers of LibriSpeech."""

_BETWEEN, _SESSION, _TRUST = 0.25, 0.04, 0.10
"""Variance of the voices' means, and of one voice's means from recording to recording, both relative to that within a
voice; independent frames per frame. All measured on the same speakers."""

_SHORTEST = 1.0


@dataclass(frozen=True)
class Extracted:
    """The output that sounds most like the example, and how much each of them does."""

    source: Any
    """Array or tensor, as the wave was, of its axes."""
    sample_rate: int
    """In hertz, that of the wave."""
    slot: int
    """Which of the outputs it is."""
    similarities: tuple[float, ...]
    """For each output the probability that it is the voice of the example, if that is as likely as not beforehand."""

    @property
    def similarity(self) -> float:
        """That of the output which was taken."""
        return self.similarities[self.slot]


class Voices:
    """Gather what each of several waves sounds like, piece by piece.

    Where they sound together, each is heard in the frames in which it is louder than all others
    (`slotaudio.separation.identity.VoiceMemory`).

    Args:
        sample_rate: of the pieces, in hertz.
        wanted: sample rate at which they are heard; voices can only be compared if it is the same.
    """

    def __init__(self, sample_rate: int, wanted: int) -> None:
        self._memory = VoiceMemory(wanted, fresh=1.0)
        self._resampler = Resampler(sample_rate, wanted)
        self._second = wanted
        self._rest: Tensor | None = None
        self._said: Float[Tensor, "voices statistics"] | None = None

    def push(self, waves: Float[Tensor, "voices channels time"]) -> None:
        """Take the next piece."""
        self._hear(self._resampler.push(waves.float().cpu()))

    def finish(self) -> Float[Tensor, "voices statistics"]:
        """Return the statistics of all pieces, for `same_voice`."""
        self._hear(self._resampler.finish(), last=True)
        assert self._said is not None  # the last part is heard, however short
        return self._said

    def _hear(self, waves: Float[Tensor, "voices channels _"], last: bool = False) -> None:
        buffer = waves if self._rest is None else torch.cat([self._rest, waves], dim=-1)
        while buffer.shape[-1] >= self._second or last:
            second, buffer = buffer[..., : self._second], buffer[..., self._second :]
            missing = max(0, round(2 * FRAME_SECONDS * self._second) - second.shape[-1])
            said = self._memory.describe(SlotWindow(torch.nn.functional.pad(second, (0, missing))[None]))[0]
            self._said = said if self._said is None else self._said + said
            last = last and buffer.shape[-1] > 0
        self._rest = buffer


def same_voice(
    example: Float[Tensor, "1 statistics"], voices: Float[Tensor, "voices statistics"]
) -> Float[Tensor, " voices"]:
    """Return the probability that each voice is that of the example, if it is as likely as not beforehand.

    The two-covariance model (Brümmer and de Villiers 2010, "The speaker partitioning problem"): means of voices are
    drawn around that of everybody, those of recordings around that of their voice. Voices not heard get 0.5: nothing
    is known of them.
    """
    usual, everybody = USUAL.double(), torch.tensor(_EVERYBODY, dtype=torch.float64)
    between = _BETWEEN * usual
    (number, mean, _), (numbers, means, _) = (moments(rows.double()[None]) for rows in (example, voices))
    x, y = mean - everybody, means - everybody
    own, theirs = (between + usual * (_SESSION + 1 / (_TRUST * count).clamp_min(1e-9)) for count in (number, numbers))
    common = own * theirs - between.square()
    together = (theirs * x * x - 2 * between * x * y + own * y * y) / common + common.log()
    apart = x * x / own + own.log() + y * y / theirs + theirs.log()
    heard = ((number > 0) & (numbers > 0))[0, :, 0]
    return torch.where(heard, (0.5 * (apart - together)).sum(dim=-1)[0], 0.0).sigmoid()


def extract(
    separator: "Separator",
    wave: Wave | str | os.PathLike[str],
    example: Wave | str | os.PathLike[str],
    sample_rate: int | None = None,
    example_rate: int | None = None,
    least: float = LEAST,
) -> Extracted:
    """Separate a recording in memory and return the voice that an example is of; see `Separator.extract`."""
    wave, rate, name = loaded(wave, sample_rate, separator.sample_rate)
    if as_batch(wave, rate).shape[0] != 1 or wave.ndim == 3:
        raise UserError("one recording is taken at a time, of the axes `time` or `channels time`, not a batch")
    wanted = voice_of(example, example_rate, separator.sample_rate)
    separated = separator(wave, rate)
    sources = torch.as_tensor(separated.sources).cpu()
    voices = Voices(rate, separator.sample_rate)
    voices.push(sources[:, None] if wave.ndim == 1 else sources)
    similarities = same_voice(wanted, voices.finish())
    slot = int(similarities.argmax())
    if similarities[slot] < least:
        warnings.warn(_nobody(name, "the example", similarities, least, "`least`"), SeparationWarning, stacklevel=3)
    source = like(sources[slot][None, None, None] if wave.ndim == 1 else sources[slot][None, None], wave)[0]
    return Extracted(source, rate, slot, tuple(similarities.tolist()))


def extract_file(
    separator: "Separator",
    path: str | os.PathLike[str],
    example: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    least: float = LEAST,
    force: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Extracted:
    """Write the voice that an example is of to a file, in constant memory.

    Outputs are put into order as those of `separate_file` are, before their voices are compared with the example's.

    Args:
        path, example: WAV, FLAC, OGG or MP3.
        target: ends in .wav or .flac; its folder is made if missing. See `slotaudio.audio.AudioWriter` for what
            happens to samples beyond full scale.
        least: similarity that it takes; 0 writes the most similar output whatever it is.
        force: replace an existing file.
        progress: called with the share that is done, 0 to 1.

    Returns:
        What was written, its `source` the path.

    Raises:
        UserError: no output is similar enough, or the example holds too little speech; nothing is written.
        AudioFileError: a recording cannot be read, or the output not written.
    """
    goal = Path(target)
    format_of(goal)
    wanted = voice_of(example, None, separator.sample_rate)
    with AudioReader(path) as reader:
        info, slots = reader.info, separator.model.slots
        for own in (info.path, Path(example)):
            if goal.exists() and goal.samefile(own):
                raise AudioFileError(f"{own} would be overwritten by the output; choose another name")
        check_free(goal, force)
        fit = separator.channel_map(info.channels, info.sample_rate, str(path))
        whole, voices = WholeRecording(separator, info.sample_rate), Voices(info.sample_rate, separator.sample_rate)
        chosen: list[int] = []
        make_folder(goal.parent)
        with Outputs(
            [goal] * slots,
            info.sample_rate,
            separator.model.frontend.channels,
            subtype_for(goal, info.depth),
            force=force,
            widen=True,
            name=str(path),
            choose=lambda: chosen,
            partials=[goal.with_name(f"{goal.stem}.part{slot}{goal.suffix}") for slot in range(1, slots + 1)],
        ) as outputs:
            for block in reader:
                outputs.write(whole.push(fit(block[None]))[0])
                if progress is not None and info.frames:
                    progress(min(1.0, whole.received / info.frames))
            outputs.write(whole.finish()[0])
            outputs.put_into_order(whole.order())
            for piece in outputs.read():
                voices.push(piece)
            similarities = same_voice(wanted, voices.finish())
            slot = int(similarities.argmax())
            if similarities[slot] < least:
                found = str(path), str(example), similarities, least
                raise UserError(_nobody(*found, "`least`"), on_command_line=_nobody(*found, "--least"))
            chosen.append(slot)
            outputs.commit()
    return Extracted(goal, info.sample_rate, slot, tuple(similarities.tolist()))


def voice_of(
    example: Wave | str | os.PathLike[str], sample_rate: int | None, wanted: int
) -> Float[Tensor, "1 statistics"]:
    """Return the statistics of an example of one voice.

    Raises:
        UserError: less than a second of speech, or as for `slotaudio.separation.intake.opened`.
        AudioFileError: the file cannot be read.
    """
    with opened(example, sample_rate, wanted) as (blocks, rate, name):
        voices = Voices(rate, wanted)
        for block in blocks:
            voices.push(block.mean(dim=1, keepdim=True))
        said = voices.finish()
    seconds = float(said[0, 0]) * FRAME_SECONDS / 2
    if seconds < _SHORTEST:
        raise UserError(
            f"{name} holds {seconds:.1f} s of sound; an example of a voice needs {_SHORTEST:g} s at least, and some "
            "seconds to be sure"
        )
    return said


def _nobody(recording: str, example: str, similarities: Float[Tensor, " voices"], least: float, option: str) -> str:
    found = ", ".join(f"slot{slot} {similarity:.0%}" for slot, similarity in enumerate(similarities.tolist(), start=1))
    return (
        f"no voice in {recording} is similar to {example} (probabilities: {found}; {least:.0%} is asked for): give a "
        f"longer example from the same microphone, or a smaller {option}"
    )
