"""The border: waves as users have them, checked and brought to `batch channels time`, and back again."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from slotaudio.audio import AudioReader, check_finite
from slotaudio.errors import UserError

BLOCK = 2.0
"""Seconds of a wave in memory that are taken at a time."""

Wave = Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."]
Blocks = Iterable[Wave | tuple[Wave, int]]
"""Waves as they come, with or without their sample rate."""


class SeparationWarning(UserWarning):
    """Something about a recording that its owner should know; the separation goes on."""


def as_batch(wave: object, sample_rate: int, position: int = 0) -> Float[Tensor, "batch channels time"]:
    """Check a wave of the axes ``time``, ``channels time`` or ``batch channels time`` and give it all three.

    Args:
        wave: what a user calls one.
        sample_rate: of it, in hertz.
        position: of its first sample in the recording, for messages.

    Raises:
        UserError: the wrong type, axes or numbers.
        AudioFileError: samples that are not finite.
    """
    if not isinstance(wave, (Tensor, np.ndarray)):
        raise UserError(
            f"a wave is a numpy array or a tensor, not {type(wave).__name__} (of bytes: numpy.frombuffer makes an "
            "array of raw samples, soundfile.read of a file)",
            page="howto/service#what-goes-in",
        )
    if not (wave.is_floating_point() if isinstance(wave, Tensor) else wave.dtype.kind == "f"):
        raise UserError(
            f"the samples are {wave.dtype}; give floats with full scale at -1 and 1 (of int16: wave / 32768)"
        )
    # torch takes neither other byte orders nor, without a warning, memory that is read-only
    tensor = wave.detach() if isinstance(wave, Tensor) else torch.from_numpy(np.require(wave, np.float32, ["C", "W"]))
    if not 1 <= tensor.ndim <= 3:
        raise UserError(
            f"a wave has the axes `time`, `channels time` or `batch channels time`; this one has {tensor.ndim} axes"
        )
    if tensor.ndim > 1 and tensor.shape[-2] > max(64, tensor.shape[-1]):
        raise UserError(
            f"the axes are `channels time`: {tensor.shape[-2]} channels of {tensor.shape[-1]} samples look "
            "transposed (soundfile returns `time channels`; use wave.T)"
        )
    if tensor.ndim > 1 and 0 in tensor.shape[:-1]:
        raise UserError(f"the wave has no channels (its shape is {tuple(tensor.shape)})")
    check_rate(sample_rate)
    tensor = tensor.to("cpu", torch.float32)
    check_finite(tensor, "the wave", position, sample_rate)
    return {1: lambda: tensor[None, None], 2: lambda: tensor[None], 3: lambda: tensor}[tensor.ndim]()


def check_rate(sample_rate: int) -> None:
    """Refuse what cannot be a sample rate.

    Raises:
        UserError: no integer, or out of any use.
    """
    if not isinstance(sample_rate, Integral) or not 1000 <= sample_rate <= 768_000:
        raise UserError(f"a sample rate of {sample_rate!r} Hz is not an int from 1000 to 768000")


def as_sources(reference: Wave, wave: Wave) -> Float[Tensor, "batch sources channels time"]:
    """Give true sources, of the axes of their wave and `sources` after `batch`, all axes.

    Raises:
        UserError: another number of axes.
    """
    axes = wave.ndim
    if reference.ndim != axes + 1:
        raise UserError(f"the reference needs the axes of the wave and `sources`: {axes + 1}, not {reference.ndim}")
    tensor = torch.as_tensor(reference, dtype=torch.float32).cpu()
    return {1: lambda: tensor[None, :, None], 2: lambda: tensor[None], 3: lambda: tensor}[axes]()


@contextmanager
def opened(
    source: Wave | str | os.PathLike[str] | Blocks, sample_rate: int | None, assumed: int
) -> Iterator[tuple[Iterator[Float[Tensor, "1 channels time"]], int, str]]:
    """Give the checked blocks of a recording, their sample rate, and what to call it in messages.

    Args:
        source: an audio file, a wave (``time`` or ``channels time``), or an iterable of such waves.
        sample_rate: of the waves, in hertz. A file knows its own.
        assumed: sample rate of waves that come without one.

    Raises:
        UserError: a file of another rate than given, or as for `as_batch`.
        AudioFileError: the file cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        with AudioReader(source) as reader:
            if sample_rate not in (None, reader.info.sample_rate):
                raise UserError(f"{source} is at {reader.info.sample_rate} Hz, not at {sample_rate} Hz")
            yield (block[None] for block in reader), reader.info.sample_rate, str(source)
        return
    rate = assumed if sample_rate is None else sample_rate
    check_rate(rate)
    if isinstance(source, (Tensor, np.ndarray)):
        if source.ndim == 3:
            raise UserError("one recording is taken at a time, of the axes `time` or `channels time`, not a batch")
        split = as_batch(source, rate).split(round(BLOCK * rate), dim=-1)
        yield checked_blocks((block[0] for block in split), rate), rate, "the wave"
    else:
        yield checked_blocks(source, rate), rate, "the stream"


def loaded(source: Wave | str | os.PathLike[str], sample_rate: int | None, assumed: int) -> tuple[Wave, int, str]:
    """Return a recording that is taken whole as one wave, its sample rate, and what to call it in messages.

    Args:
        source: an audio file, whose wave has the axes ``channels time``, or a wave, which is left as it is.
        sample_rate: of the wave, in hertz. A file knows its own.
        assumed: sample rate of a wave that comes without one.

    Raises:
        UserError: a file of another rate than given.
        AudioFileError: the file cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        with opened(source, sample_rate, assumed) as (blocks, rate, name):
            return torch.cat(list(blocks), dim=-1)[0], rate, name
    return source, assumed if sample_rate is None else sample_rate, "the wave"


class UpToDamage:
    """The blocks of a source up to where it fails; `damage` then holds why, None at a good end."""

    def __init__(self, blocks: Iterable[Tensor]) -> None:
        self.blocks = blocks
        self.damage: Exception | None = None

    def __iter__(self) -> Iterator[Tensor]:
        try:
            yield from self.blocks
        except Exception as error:  # whatever it is: what came before is good
            self.damage = error


def checked_blocks(blocks: Blocks, sample_rate: int) -> Iterator[Float[Tensor, "1 channels time"]]:
    """Check blocks of the axes ``time`` or ``channels time``, or pairs of these and their rate, as they come.

    Raises:
        UserError: a block of another kind, rate or number of channels than the first.
    """
    channels, position = None, 0
    for number, given in enumerate(blocks):
        block, rate = given if isinstance(given, tuple) and len(given) == 2 else (given, sample_rate)
        if rate != sample_rate:
            raise UserError(
                f"block {number} of the stream is at {rate} Hz, the stream at {sample_rate} Hz: "
                "begin a new stream where the rate changes"
            )
        wave = as_batch(block, sample_rate, position)
        position += wave.shape[-1]
        if block.ndim == 3:
            raise UserError("the blocks of a stream have the axes `time` or `channels time`, not a batch")
        channels = channels or wave.shape[1]
        if wave.shape[1] != channels:
            raise UserError(f"block {number} of the stream has {wave.shape[1]} channels, the first had {channels}")
        yield wave
