"""How good ideal masks are: the ceiling of every separator of magnitudes, by framing of the STFT and joining.

    python benchmarks/oracle_rows.py path/to/speech --speakers 'librispeech-*' --output docs/results/oracle_rows.md

The folder holds one folder per speaker. Mixtures are of two speakers, 10 s, each at -33 to -25 dB; "max" pads
shorter utterances with silence, "min" cuts the mixture to the shorter one. Some 12 minutes on one core for 125.
"""

import argparse
import shlex
import sys
from pathlib import Path

import torch

from slotaudio import Spec
from slotaudio.data.folder import FolderMixtures
from slotaudio.evaluation.results import Result, evaluate, summarise
from slotaudio.evaluation.rows import informed_rows

END_PADDED = {"512/125, end-padded (AudioSlots)": Spec("stft")}
CENTRED = {
    "512/125, centred": Spec("stft", framing="centred"),
    "1024/256, centred": Spec("stft", framing="centred", window=1024, hop=256),
}
FRAMINGS = {"max": END_PADDED, "min": END_PADDED | CENTRED}
"""By what becomes of shorter utterances: silence matters to the end-padded framing alone."""

MASKS = ("ibm", "irm", "wiener")
BY = ("framing", "length", "window", "joining", "mask")


def main() -> None:
    """Measure every framing, and print or write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--speakers", nargs="*", help="wildcards of the speakers to take; all by default")
    parser.add_argument("--mixtures", type=int, default=125)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = [result for length in FRAMINGS for result in measure(arguments, length)]
    text = report(results, arguments)
    print(text)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text, encoding="utf-8")


def drawn(arguments: argparse.Namespace, length: str) -> FolderMixtures:
    """Return the mixtures of one kind."""
    return FolderMixtures(
        arguments.folder,
        arguments.seconds,
        size=arguments.mixtures,
        seed=arguments.seed,
        speakers=arguments.speakers,
        length=length,
        fixed=True,
    )


def measure(arguments: argparse.Namespace, length: str) -> list[Result]:
    """Return the results of all framings on mixtures of one kind."""
    mixtures = drawn(arguments, length)
    found = []
    for framing, spec in FRAMINGS[length].items():
        for window in (0.5, 1.0):
            rows = informed_rows(spec, window, MASKS, ("reference", "blind"))
            print(f"{length}, {framing}, {window} s", file=sys.stderr)
            for result in evaluate(rows, mixtures, mixtures.sample_rate, ("si_snr",)):
                found.append(Result({"framing": framing, "length": length, **result.labels}, result.values))
    return found


def report(results: list[Result], arguments: argparse.Namespace) -> str:
    """Return the means as Markdown."""
    means = {key: value["si_snr_i"] for key, value in summarise(results, BY).items()}
    command = shlex.join(["python", "benchmarks/oracle_rows.py", "path/to/speech", *_options(arguments)])
    lines = [
        "# Oracle rows",
        "",
        f"SI-SNR improvement in dB of ideal masks on {arguments.mixtures} mixtures of two real speakers out of "
        f"{len(drawn(arguments, 'max').folder.speakers)}, mean and 95 % confidence interval.",
        "",
        f"    {command}",
        "",
        "Masks are computed per window and applied to the mixture's phase. *Reference* joining puts windows side by "
        "side, ordered by the true sources (as AudioSlots was evaluated); *blind* is what `slotaudio separate` does: "
        "windows overlap by half, are matched on what they share, cross-faded, and what they leave of the mixture is "
        "shared out. In both the order of the slots is shuffled anew in every window. Length *max* pads shorter "
        f"utterances with silence to {arguments.seconds:g} s, *min* cuts the mixture to the shorter one.",
        "",
        "| STFT | length | window | joining | IBM | IRM | Wiener |",
        "|---|---|---|---|---|---|---|",
    ]
    for framing, length, window, joining in dict.fromkeys(key[:-1] for key in means):
        cells = " | ".join(str(means[framing, length, window, joining, mask]) for mask in MASKS)
        lines.append(f"| {framing} | {length} | {window} s | {joining} | {cells} |")
    return "\n".join(lines) + "\n"


def _options(arguments: argparse.Namespace) -> list[str]:
    speakers = ["--speakers", *arguments.speakers] if arguments.speakers else []
    return [*speakers, "--mixtures", str(arguments.mixtures), "--seed", str(arguments.seed)]


if __name__ == "__main__":
    main()
