"""How long slotaudio takes to start: ``python benchmarks/startup.py [--runs 10] [--output FILE]``.

Whole processes, warm (one run of each goes uncounted), against an interpreter that does nothing.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    'python -c "import slotaudio"': ["-c", "import slotaudio"],
    "slotaudio --help": ["-m", "slotaudio", "--help"],
    "slotaudio components": ["-m", "slotaudio", "components"],
    'python -c "import torch"': ["-c", "import torch"],
}


def seconds(arguments: list[str], runs: int) -> list[float]:
    """Return the wall time of each counted run."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return times[1:]


def main() -> None:
    """Measure, print a table and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    lines = ["| command | median s | least s |", "|---|---|---|"]
    for name, arguments in COMMANDS.items():
        times = seconds(arguments, options.runs)
        lines.append(f"| `{name}` | {statistics.median(times):.2f} | {min(times):.2f} |")
    table = "\n".join(lines)
    print(table)
    if options.output:
        command = f"python benchmarks/startup.py --runs {options.runs}"
        options.output.write_text(f"# Start-up time\n\n`{command}`, two CPU cores:\n\n{table}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
