"""The files that a recording's sources are written to, which outlive whatever ends the separation early."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.audio import AudioReader, AudioWriter
from slotaudio.errors import AudioFileError
from slotaudio.separation.hindsight import HindsightOrder
from slotaudio.separation.intake import SeparationWarning
from slotaudio.writing import check_free


class Outputs:
    """Write one file per slot; in a ``with`` block that fails, keep what is complete of them and say so.

    The files have temporary names (`slotaudio.audio.AudioWriter`) until `commit`. When an error or an
    interruption comes first, those that would have been written keep these names, all cut to one length.

    Args:
        targets: names of the files, one per slot.
        sample_rate, channels, subtype: of the files.
        force: replace existing files.
        widen: see `AudioWriter`.
        name: of the recording.
        choose: returns which of the slots are wanted, from what is known when it is called.
        partials: temporary names of the files; those that `AudioWriter` gives them by default.

    Raises:
        UserError: a file exists.
        AudioFileError: one cannot be written.
    """

    def __init__(
        self,
        targets: Sequence[Path],
        sample_rate: int,
        channels: int,
        subtype: str,
        *,
        force: bool,
        widen: bool,
        name: str,
        choose: Callable[[], Sequence[int]],
        partials: Sequence[Path | None] | None = None,
    ) -> None:
        self.name = name
        self.sample_rate = sample_rate
        self.loudest = 0.0
        """Largest sample written so far."""
        self._choose = choose
        self._writers: list[AudioWriter] = []
        for target in targets:
            check_free(target, force)  # all of them, before the first file is touched
        try:
            for target, partial in zip(targets, partials or [None] * len(targets), strict=True):
                self._writers.append(AudioWriter(target, sample_rate, channels, subtype, force, widen, partial))
        except BaseException:
            self._discard()
            raise

    def __enter__(self) -> "Outputs":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self._rescue()
        self._discard()

    def write(self, piece: Float[Tensor, "slots channels time"]) -> None:
        """Append to all files; where one has to turn into floats, all do."""
        if any(writer.too_narrow_for(wave) for writer, wave in zip(self._writers, piece, strict=True)):
            for writer in self._writers:
                writer.turn_into_floats()
        for writer, wave in zip(self._writers, piece, strict=True):
            writer.write(wave)
        if piece.numel():
            self.loudest = max(self.loudest, float(piece.abs().max()))

    def read(self) -> Iterator[Float[Tensor, "slots channels _"]]:
        """Yield what was written to all files, block by block; nothing can be appended after that."""
        with ExitStack() as readers:
            for writer in self._writers:
                writer.close()
            blocks = [readers.enter_context(AudioReader(writer.partial)) for writer in self._writers]
            yield from map(torch.stack, zip(*blocks, strict=True))

    def put_into_order(self, order: HindsightOrder) -> None:
        """Write all files anew if the order changes anything, beside the first ones, which are kept if that fails.

        A warning says so. Nothing can be appended after that.
        """
        if not order.changes:
            return
        others: list[AudioWriter] = []
        try:
            for writer in self._writers:
                others.append(writer.beside())
            for piece in self.read():
                for other, wave in zip(others, order.applied(piece, others[0].frames), strict=True):
                    other.write(wave)
            for other in others:
                other.close()
            for writer, other in zip(self._writers, others, strict=True):
                writer.exchange(other)
        except AudioFileError as error:  # all is separated: to end here would help nobody
            warnings.warn(
                f"{self.name}: voices that changed places are not brought back: {error}",
                SeparationWarning,
                stacklevel=5,
            )
        finally:
            for other in others:
                other.discard()

    def commit(self) -> list[Path]:
        """Give the files of the chosen slots their names, all or none; remove the others, and return their paths.

        Where one of them cannot have its name, older files that others have replaced by then are gone.

        Raises:
            AudioFileError: one is not whole, or cannot have its name.
        """
        kept = [self._writers[slot] for slot in self._choose()]
        for writer in kept:
            writer.close()
        named: list[AudioWriter] = []
        try:
            for writer in kept:
                writer.commit()
                named.append(writer)
        except BaseException:
            for writer in named:
                writer.uncommit()
            raise
        self._note(kept)
        return [writer.path for writer in kept]

    def _rescue(self) -> None:
        """Leave the temporary files of the chosen slots, playable and of one length."""
        if not any(writer.frames for writer in self._writers):
            return  # and nobody knows yet what to choose
        kept = [writer for writer in map(self._writers.__getitem__, self._choose()) if writer.partial.exists()]
        lengths = [writer.keep() for writer in kept]
        whole = min(lengths, default=0)
        if not whole:
            return
        for writer, length in zip(kept, lengths, strict=True):
            if length > whole:
                with suppress(AudioFileError):
                    writer.cut(whole)
        self._writers = [writer for writer in self._writers if writer not in kept]
        names = " and ".join(str(writer.partial) for writer in kept)
        warnings.warn(
            f"{self.name} was not separated to its end; its first {whole / self.sample_rate:.1f} s are in {names}",
            SeparationWarning,
            stacklevel=4,
        )

    def _discard(self) -> None:
        for writer in self._writers:
            writer.discard()  # does nothing to a file that has its name already

    def _note(self, written: Sequence[AudioWriter]) -> None:
        """Say what happened to a recording that its owner would not expect."""
        if self.loudest == 0:
            warnings.warn(f"{self.name} is silent, and so are its sources", SeparationWarning, stacklevel=4)
        _note_full_scale(written)


def _note_full_scale(writers: Sequence[AudioWriter]) -> None:
    """Say of the files of a recording if samples beyond full scale changed them."""
    for writer in writers:
        if writer.limited:
            warnings.warn(
                f"{writer.path}: {writer.limited} samples beyond full scale were limited; write float WAV to keep them",
                SeparationWarning,
                stacklevel=5,
            )
    widened = " and ".join(str(writer.path) for writer in writers if writer.widened)
    if widened:
        warnings.warn(
            f"samples beyond full scale were found: to keep them, {widened} became 32-bit float",
            SeparationWarning,
            stacklevel=5,
        )
