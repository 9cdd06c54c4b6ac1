"""`remixed`: the same voices once more, in other pairs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from slotaudio.types import Batch


@dataclass(frozen=True)
class Repeat:
    """A batch that is used once more, for the `turn`-th time (from 1 on); it is remixed where it is moved to."""

    batch: Batch
    turn: int

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device, in other pairs."""
        return remixed(self.batch.to(device), self.turn)


def remixed(batch: Batch, turn: int) -> Batch:
    """Return a batch whose sources have changed places between its items: random mixing (arXiv 2402.18407).

    The first source of an item and its noise stay, the second comes from the `turn`-th item after it, the third from
    twice as far, and so on. Items change places with those of the same part of a blend and the same number of voices,
    so that a voice of a telephone stays among those. Left as they are: items where a speaker would be heard twice, and
    those without labels.
    """
    origins = _origins(batch.metadata, len(batch.sources), batch.sources.shape[1], turn)
    order = torch.tensor(origins, device=batch.sources.device)
    sources = batch.sources[order, torch.arange(order.shape[1], device=order.device)]
    mixture = batch.mixture - batch.sources.sum(1) + sources.sum(1)
    return Batch(mixture, sources, tuple(_told(batch.metadata, *both) for both in enumerate(origins)))


def _origins(metadata: Sequence[Mapping[str, Any]], items: int, sources: int, turn: int) -> list[list[int]]:
    """Return from which item each source of each item comes."""
    origins = [[number] * sources for number in range(items)]
    alike: dict[Any, list[int]] = defaultdict(list)
    for number, item in enumerate(metadata):
        if not item.get("unlabelled"):
            alike[item.get("part"), sum(map(bool, item.get("speakers", ())))].append(number)
    for others in alike.values():
        for place, number in enumerate(others):
            new = [others[(place + turn * source) % len(others)] for source in range(sources)]
            heard = [name for name in _told(metadata, number, new).get("speakers", ()) if name]
            if len(set(heard)) == len(heard):
                origins[number] = new
    return origins


def _told(metadata: Sequence[Mapping[str, Any]], number: int, origins: Sequence[int]) -> dict[str, Any]:
    """Return what is known of an item whose sources come from these items."""
    own = metadata[number]
    return {**own} | {
        key: tuple(metadata[item][key][source] for source, item in enumerate(origins[: len(own[key])]))
        for key in ("speakers", "genders", "utterances")
        if key in own
    }
