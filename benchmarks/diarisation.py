"""Diarisation error rate on seeded conversations: with ideal masks, and with a model.

    python benchmarks/diarisation.py path/to/speech
    python benchmarks/diarisation.py path/to/speech --conversations 10 --minutes 3 --model runs/mine/model

The reference is the timeline of the conversation, in which a turn goes on through its speaker's pauses, and, for
comparison, what the same rule finds in the true sources. Prints Markdown.
"""

import argparse
import platform
import sys

import numpy as np
import torch

from slotaudio import Spec
from slotaudio.data.conversations import Conversations
from slotaudio.diarisation import TurnRule, diarise, turns_by_level
from slotaudio.evaluation.diarisation import diarisation_error
from slotaudio.evaluation.rows import informed_rows
from slotaudio.separation.counting import Separators
from slotaudio.separation.oracle import Truth

PARTS = ("missed", "false_alarm", "confusion", "total")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", help="folder with one folder per speaker")
    parser.add_argument("--conversations", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--model", default="default", help="bundled name, folder or hub name; '' for ideal masks only")
    parser.add_argument("--speakers", type=int, default=2, help="of each conversation")
    parser.add_argument("--count", action="store_true", help="let the number of speakers be found, not told")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = Conversations(
        options.speech,
        seconds=60 * options.minutes,
        sources=options.speakers,
        size=options.conversations,
        seed=options.seed,
        overlap=(0.0, 0.4),
        fixed=True,
        resample=True,
    )
    (row,) = informed_rows(Spec("stft", framing="centred"), 0.5, ["wiener"])
    separators = Separators(options.model, "unknown" if options.count else options.speakers) if options.model else None
    errors: dict[tuple[str, str], np.ndarray] = {}
    for index in range(len(data)):
        conversation = data.conversation(index)
        sources = conversation.sources()
        mixture = sources.sum(0)
        true = turns_by_level(sources, data.sample_rate, TurnRule())
        for system in ("oracle", "model")[: 1 + bool(options.model)]:
            if separators is not None and system == "model":
                separator = separators.of(mixture, data.sample_rate)
            else:
                separator = row.separator(sources[None])
                assert isinstance(separator.model.decoder, Truth)
                separator.model.decoder.rewind(separator.framing)
            found = diarise(separator, mixture, data.sample_rate)
            for name, reference, collar in (
                ("timeline, no collar", conversation.turns, 0.0),
                ("timeline, collar 0.25 s", conversation.turns, 0.25),
                ("true sources, collar 0.25 s", true, 0.25),
            ):
                error = diarisation_error(reference, found, collar)
                parts = np.array([getattr(error, part) for part in PARTS])
                errors[system, name] = errors.get((system, name), 0) + parts
        print(f"\r{index + 1} of {len(data)}", end="", flush=True, file=sys.stderr)
    print(
        f"\n{options.conversations} conversations of {options.minutes:g} min, {options.speakers} speakers "
        f"({'counted' if options.count else 'told'}), overlap 0 to 40 %, seed "
        f"{options.seed}, model `{options.model}`, {platform.machine()}, {torch.get_num_threads()} thread(s)\n"
    )
    print("| system | reference | error rate | missed | false alarm | confusion |")
    print("|---|---|---|---|---|---|")
    for (system, name), parts in errors.items():
        missed, false_alarm, confusion = parts[:3] / parts[3]
        rate = missed + false_alarm + confusion
        print(f"| {system} | {name} | {rate:.1%} | {missed:.1%} | {false_alarm:.1%} | {confusion:.1%} |")


if __name__ == "__main__":
    main()
