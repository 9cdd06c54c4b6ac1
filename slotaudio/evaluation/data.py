"""What an evaluation is run on: a folder of speakers, the bundled sample, or any data set by name."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from slotaudio.compose import build
from slotaudio.errors import DataError
from slotaudio.evaluation.results import Item
from slotaudio.registry import datasets

BUNDLED = "bundled"


def evaluation_data(data: str, options: Mapping[str, Any], **offered: Any) -> Any:
    """Return the data set behind a name, with fixed mixtures.

    Args:
        data: a folder of ``speaker/utterance.flac``, ``"bundled"`` (unseen speakers that come with the package), or
            the name of a data set.
        options: of the data set.
        offered: further options, for those data sets that take them; None is not offered.

    Raises:
        DataError: neither of the three, or a second folder among the options; or see the data set.
    """
    if data == BUNDLED:
        data = f"{BUNDLED}:dev"
    if data.startswith(f"{BUNDLED}:") or Path(data).is_dir():
        if "path" in options:
            raise DataError(
                f"data {data!r} and path = {options['path']!r} are both folders of speakers: give one of them"
            )
        base = {"name": "folder", "path": data}
    elif data in datasets:
        base = {"name": data}
    else:
        what = "is a file" if Path(data).exists() else "does not exist"
        raise DataError(
            f"{data!r} {what}: give a folder with one folder per speaker, {BUNDLED!r}, or a data set by name "
            f"({', '.join(datasets)})"
        )
    return build("dataset", {**base, **options}, fixed=True, **offered)


def items(dataset: Any, most: int | None) -> Iterator[Item]:
    """Yield the items of a data set in order, `most` of them at most."""
    ordered = (dataset[index] for index in range(len(dataset))) if hasattr(dataset, "__getitem__") else iter(dataset)
    return islice(ordered, most)
