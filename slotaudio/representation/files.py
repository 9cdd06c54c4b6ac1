"""Embeddings in ``.npz`` files: NumPy's own format, written in one pass and constant memory, never pickled."""

import contextlib
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from slotaudio.audio import AudioReader
from slotaudio.errors import UserError
from slotaudio.representation.embedding import Embedder, Embedding, Named, joined, stepwise
from slotaudio.separation.channels import channel_map
from slotaudio.writing import check_free, replacing

_BUFFER = 1 << 20


def embed_file(
    embedder: Embedder,
    path: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    channel: int | None = None,
    force: bool = False,
    progress: Callable[[float], None] | None = None,
    **about: str | float,
) -> int:
    """Embed an audio file of any length into an ``.npz`` file; see `write_embedding` for what is in it.

    Args:
        embedder: from `slotaudio.representation.embedder`.
        path: WAV, FLAC, OGG or MP3.
        target: ends in .npz.
        channel: the one to be taken of the recording's, from 1; None gives the embedder all.
        force: replace an existing file.
        progress: called with the share that is done, 0 to 1.
        about: written beside the arrays, such as the name of the model.

    Returns:
        The number of steps.

    Raises:
        AudioFileError: the recording cannot be read.
        UserError: the file exists, or cannot be written; there is no such channel.
    """
    with AudioReader(path) as reader:
        info, about = reader.info, {**about, "recording": reader.info.path.name}
        wanted = info.channels if channel is None else 1
        take = channel_map(info.channels, wanted, str(path), info.sample_rate, channel)

        def blocks() -> Iterator[Any]:
            done = 0
            for block in reader:
                yield take(block[None])[0]
                done += block.shape[-1]
                about["duration"] = done / info.sample_rate
                if progress is not None and info.frames:
                    progress(min(1.0, done / info.frames))

        return write_embedding(target, embedder(Named(blocks(), str(path)), info.sample_rate), about, force)


def write_embedding(
    path: str | os.PathLike[str],
    stretches: Iterable[Embedding],
    about: Mapping[str, str | float] | None = None,
    force: bool = False,
) -> int:
    """Write stretches that follow each other; the file gets its name when it is complete.

    ``numpy.load`` gives the arrays of `Embedding` by their names, those that are there: ``times`` (seconds, ``steps``),
    ``vectors`` (``steps slots dim``), ``window`` (seconds), ``presence`` (probability, ``steps slots``), ``level``
    (decibels, ``steps slots``), ``attention`` (``steps slots tokens``), ``positions`` (``tokens axes``); beside them
    what `about` says. Vectors, presence, level and attention are 32-bit floats.

    Args:
        path: ends in .npz.
        stretches: of one recording, in order.
        about: texts and numbers to write beside the arrays; looked at after the last stretch.
        force: replace an existing file.

    Returns:
        The number of steps.

    Raises:
        UserError: the file exists or cannot be written, or there is no stretch.
    """
    target = Path(path)
    if target.suffix != ".npz":
        raise UserError(f"cannot write {target}: choose a name that ends in .npz")
    check_free(target, force)
    try:
        with contextlib.ExitStack() as stack:
            grown: dict[str, _Grown] = {}
            last = None
            for last in stretches:
                for name in stepwise(last):
                    if getattr(last, name) is not None:
                        if name not in grown:
                            grown[name] = _Grown(stack.enter_context(TemporaryFile(dir=target.parent)))
                        grown[name].append(getattr(last, name))
            if last is None:
                joined([])
            assert last is not None  # joined() raises
            single = {**(about or {}), "window": last.window, "positions": last.positions}
            with replacing(target) as partial, zipfile.ZipFile(partial, "w", allowZip64=True) as archive:
                for name, array in grown.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                        array.copy_to(file)
                for name, value in single.items():
                    if value is not None:
                        with archive.open(f"{name}.npy", "w") as file:
                            np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)
        return grown["times"].shape[0]
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error


def read_embedding(path: str | os.PathLike[str]) -> Embedding:
    """Read what `write_embedding` wrote; `numpy.load` gives the texts and numbers beside it.

    Raises:
        UserError: the file cannot be read, or holds no embedding.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = [*Embedding.__dataclass_fields__]
            found = {name: arrays[name] for name in names if name in arrays}
            return Embedding(**{**found, "window": float(found["window"])})
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} holds no embedding as `slotaudio embed` writes it: {error}") from None


class _Grown:
    """An array that grows along its first axis on the disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.shape: tuple[int, ...] = ()
        self._type = np.dtype(np.float32)

    def append(self, part: np.ndarray) -> None:
        self._type = part.dtype
        self.shape = (part.shape[0] + (self.shape[0] if self.shape else 0), *part.shape[1:])
        self._file.write(np.ascontiguousarray(part).tobytes())

    def copy_to(self, file: Any) -> None:
        """Write all of it in NumPy's format."""
        header = {"descr": np.lib.format.dtype_to_descr(self._type), "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_2_0(file, header)
        self._file.seek(0)
        while data := self._file.read(_BUFFER):
            file.write(data)
