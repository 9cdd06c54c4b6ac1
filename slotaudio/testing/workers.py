"""Items of a data set in another process, as workers of a loader see it."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from slotaudio.testing.component import BrokenContract

_SCRIPT = """
import pickle, sys
from itertools import islice
from torch.utils.data import DataLoader
from slotaudio.testing.reading import Read
from slotaudio.testing.workers import as_it_is, digest
try:
    dataset, indices = pickle.loads(sys.stdin.buffer.read())
except (AttributeError, ImportError):
    sys.exit(3)
options = {"batch_size": None, "num_workers": 2, "collate_fn": as_it_is}
if isinstance(dataset, Read):
    loader = islice(DataLoader(dataset.dataset, **options), 2 * len(indices))
else:
    loader = DataLoader(dataset, sampler=indices, **options)
print(*map(digest, loader))
"""
_UNKNOWN_THERE = 3


def elsewhere(pickled: bytes) -> list[str] | None:
    """Return digests of the items of a pickled data set and its indices, as a fresh interpreter's loader gives them.

    Of an iterable one come the first that two workers give, twice as many. None where the class cannot be imported
    there, as it was written in a notebook.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", _SCRIPT]
    done = subprocess.run(command, env=environment, input=pickled, capture_output=True, timeout=300, check=False)
    if done.returncode == _UNKNOWN_THERE:
        return None
    if done.returncode:
        raise BrokenContract(f"a data set fails in another process: {done.stderr.decode().strip()[-1000:]}")
    return done.stdout.decode().split()


def as_it_is(item: Any) -> Any:
    """Return an item unchanged: what loaders that make no batches do with it."""
    return item


def digest(item: tuple[Tensor, Tensor, Mapping[str, Any]]) -> str:
    """Return a short name of everything that an item holds."""
    mixture, sources, metadata = item
    held = mixture.numpy().tobytes() + sources.numpy().tobytes() + repr(metadata).encode()
    return hashlib.sha256(held).hexdigest()
