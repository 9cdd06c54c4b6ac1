"""Long recordings: does everybody stay the same output? One assignment for a whole conversation."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from slotaudio.data.conversation import Conversation
from slotaudio.errors import UserError
from slotaudio.evaluation.results import Result
from slotaudio.evaluation.rows import Row
from slotaudio.identity import IdentityMeter, IdentityScore
from slotaudio.separation.observation import Observation
from slotaudio.separation.oracle import Truth
from slotaudio.separation.separated import in_order
from slotaudio.separation.whole import WholeRecording

VALUES = ("si_sdri", "right_windows", "right_joins", "swaps_per_minute", "right_returns", "right_counts")
"""What `slotaudio.identity.IdentityScore` says of a conversation, and an evaluation keeps."""


def evaluate_long(
    rows: Sequence[Row],
    conversations: Any,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Result]:
    """Yield the results of all rows, conversation by conversation; models are given them in blocks.

    Args:
        rows: oracles hold a conversation in memory, models what they make of it.
        conversations: a data set whose items can be rendered in blocks (`slotaudio.data.conversations`).
        progress: called with the share that is done, 0 to 1.

    Raises:
        UserError: joining by reference, which looks at the sources in every window and hides what is measured here.
    """
    if any(row.joining == "reference" for row in rows):
        raise UserError("joining 'reference' orders every window by the true sources: no speaker could be lost")
    total, done = len(conversations) * len(rows), 0
    for index in range(len(conversations)):
        conversation = conversations.conversation(index)
        for row in rows:

            def advance(share: float) -> None:
                if progress is not None:
                    progress((done + share) / total)  # noqa: B023  (called before the loop goes on)

            began = time.perf_counter()
            found, windows, number = follow(row, conversation, advance)
            seconds = conversation.samples / conversation.sample_rate
            yield Result(
                {
                    "system": row.system,
                    "mask": row.mask,
                    "window": "" if row.window == float("inf") else row.window,
                    "joining": row.joining,
                    "mixture": conversation.name,
                    "seconds": round(seconds, 3),
                    "speakers": " ".join(conversation.speakers),
                    "overlap": round(conversation.metadata()["overlap"], 4),
                },
                {name: float(getattr(found, name)) for name in VALUES}
                | {"returns": float(found.returns), "right_presence": windows, "right_number": float(number)}
                | {"real_time_factor": (time.perf_counter() - began) / seconds},
                conversation.speakers,
            )
            done += 1


def follow(
    row: Row, conversation: Conversation, progress: Callable[[float], None] | None = None, block: float = 10.0
) -> tuple[IdentityScore, float, bool]:
    """Separate one conversation in blocks; return its identity metrics, and how well speakers are counted.

    Its outputs are put into order when all of them are there, as `Separator.separate_file` does.

    The count of a window is that of the slots whose presence is more likely than not, against the number of speakers
    whose turn the window's middle is in: the second value is the share of windows in which both agree, nan for models
    without presence. The third is whether as many sources were found in all of the conversation
    (`slotaudio.separation.presence`) as it has speakers.
    """
    sources = conversation.sources()[None] if row.informed else torch.zeros(1, len(conversation.speakers), 1, 0)
    separator = row.separator(sources)
    if isinstance(separator.model.decoder, Truth):
        separator.model.decoder.rewind(separator.framing)
    middle = separator.framing.window / separator.sample_rate / 2
    right: list[bool] = []

    def count(seen: Observation) -> None:
        if seen.slots.presence is not None:
            at = seen.start + middle
            present = int((seen.slots.presence.mean(dim=1) > 0).sum())
            right.append(present == sum(turn.start <= at < turn.end for turn in conversation.turns))

    whole = WholeRecording(separator, conversation.sample_rate, observer=count)
    meter = IdentityMeter(conversation.sample_rate)
    if row.matcher is not None:
        meter.matcher = row.matcher
    pieces = []
    for mixture, _ in conversation.blocks(block):
        pieces.append(whole.push(mixture[None]))
        if progress is not None:
            progress(whole.received / conversation.samples)
    outputs = torch.cat([*pieces, whole.finish()], dim=-1)
    in_order(outputs, whole)
    start = 0
    for _, true in conversation.blocks(block):
        end = start + true.shape[-1]
        meter.update(outputs[0, ..., start:end].mean(dim=1), true[:, 0])
        start = end
    number = int(whole.meter.found()[0])
    windows = sum(right) / len(right) if right else float("nan")
    return meter.compute(), windows, number == len(conversation.speakers)
