"""`slotaudio separate --list`: a whole corpus, by as many workers as there are."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slotaudio.cli.reporting import progress_bar, report
from slotaudio.writing import check_free

if TYPE_CHECKING:
    from slotaudio.separation.counting import Separators


def separate_list(
    separators: "Separators",
    recordings: Path,
    part: str | None,
    output: Path,
    *,
    settings: dict[str, Any],
    format: str,
    subtype: str | None,
    quiet: bool,
) -> int:
    """Do the share of this worker and return the exit code: 0, or that of the worst failure."""
    from slotaudio.separation.bulk import Corpus, read_list, shard
    from slotaudio.separation.files import output_paths

    todo = read_list(recordings)
    if part is not None:
        todo = shard(todo, part)
    corpus = Corpus(output, {**settings, "format": format, "subtype": subtype})

    def work(path: Path, folder: Path, force: bool) -> list[Path]:
        first = separators.first.model
        for target in output_paths(path, folder, first.slots, format, first.names):
            check_free(target, force)  # before it is listened to
        return separators.of(path).separate_file(path, folder, format=format, subtype=subtype, force=force)

    # the bar leaves room for lines on its own screen only
    place = None if sys.stdout.isatty() and sys.stderr.isatty() else sys.stdout
    codes, counts = {0}, {"separated": 0, "done before or by others": 0, "failed": 0}
    with progress_bar(str(recordings), quiet) as advance:
        for number, outcome in enumerate(corpus.separate(todo, work), start=1):
            if outcome.error is not None:
                codes.add(report(outcome.error))
                counts["failed"] += 1
            else:
                counts["done before or by others" if outcome.before else "separated"] += 1
                if not (quiet or outcome.before):
                    print(*outcome.outputs, sep="\n", file=place, flush=True)
            if advance is not None:
                advance(number / len(todo))
    if not quiet:
        print(", ".join(f"{count} {what}" for what, count in counts.items()), file=sys.stderr)
    return 1 if 1 in codes else max(codes)
