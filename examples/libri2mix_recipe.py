"""AudioSlots on Libri2Mix, from LibriSpeech to Table 1: trains, resumes, evaluates and exports, in one command.

On a laptop, with the few voices that ship with slotaudio (or a hundred utterances of your own), in minutes:

    python examples/libri2mix_recipe.py --small --steps 300

The paper's system on a GPU; mixtures are made on the fly, so that only LibriSpeech's FLAC files are needed. With
LibriMix's lists (the folder `metadata` of its repository) they are the official ones, sample for sample:

    python examples/libri2mix_recipe.py --librispeech LibriSpeech --librimix-metadata LibriMix/metadata

On several GPUs, or machines (SLURM's `srun` works as well); then one of the variants:

    torchrun --nproc-per-node 8 examples/libri2mix_recipe.py --librispeech LibriSpeech
    python examples/libri2mix_recipe.py --librispeech LibriSpeech --preset carry-over

A step of the paper's 64 mixtures takes 57 GB of memory at 0.5 s and twice as much at 1 s; several GPUs share it. With
`--set decoder.places_at_once=1024` a quarter is enough, for up to a third more computing and the same gradients. On a
CPU a step takes ten minutes of a core: --small is for those.

The same command goes on where it was interrupted. Table 1 has a line for every variant that is trained by then.
"""

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from slotaudio import SlotaudioError, Spec
from slotaudio.data.librimix import LibriMix
from slotaudio.evaluation.results import Result, evaluate, write_results
from slotaudio.evaluation.rows import Row, informed_rows, model_rows
from slotaudio.evaluation.table1 import table1
from slotaudio.modelcard import add_section
from slotaudio.pretrained import from_pretrained
from slotaudio.recipe import Recipe, load_recipe
from slotaudio.training.processes import leads
from slotaudio.training.run import train

SLOT_ATTENTION = '{name = "slot_attention", slot_dim = 512, iterations = %d}'
PRESETS = {
    "autoencoder": ["model.slots=1", "objective=autoencoder"],
    "audioslots": [],
    "audioslots-1s": ["model.window=1.0"],
    "slot-attention": ["bottleneck=" + SLOT_ATTENTION % 3],
    "carry-over": [  # clips of four windows, through which slots live on
        'bottleneck={name = "carry_over", bottleneck = %s}' % (SLOT_ATTENTION % 1),
        "data.train.seconds=2.0",
        "train.batch_size=16",
    ],
    "mask": ["objective={name = 'supervised', cost = 'snr'}", "data.train.seconds=3.0"],
}
"""What each variant changes of the paper's system; `mask` starts from the recipe `band-split` instead."""

VARIANTS = """autoencoder: one source, the bound of the others; audioslots: the paper's, 0.5 s; audioslots-1s: windows
of 1 s; slot-attention: that bottleneck; carry-over: slots live on through four windows; mask: complex masks at full
resolution (default: the first three)"""

CPU = """warning: no GPU. A step at the paper's sizes takes ten minutes of a CPU core and 57 GB of memory or more;
--small is for CPUs, and --help says how to get by with less memory"""

MASKS, JOININGS = ("ibm", "wiener"), ("reference", "blind")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--librispeech", metavar="DIR", help="LibriSpeech, or one folder per speaker")
    parser.add_argument("--librimix-metadata", metavar="DIR", help="LibriMix's lists; new mixtures are drawn without")
    parser.add_argument(
        "--unseen", metavar="DIR", help="speakers to validate and test on, unless LibriSpeech has dev- and test-clean"
    )
    parser.add_argument("--skip", action="store_true", help="go on without utterances that are missing or damaged")
    parser.add_argument(
        "--subset", default="train-360", choices=["train-360", "train-100"], help="to train on (default: %(default)s)"
    )
    parser.add_argument(
        "--preset", nargs="+", choices=PRESETS, default=["autoencoder", "audioslots", "audioslots-1s"], help=VARIANTS
    )
    parser.add_argument("--small", action="store_true", help="networks for two CPU cores (mask: always the same one)")
    parser.add_argument(
        "--steps",
        type=int,
        help="of each preset (default: 300,000 as in the paper; of its recipe with --small or mask)",
    )
    parser.add_argument("--minutes", type=float, help="stop each preset after so many; the same command goes on")
    parser.add_argument("--mixtures", type=int, help="to test on (default: 3000 as in LibriMix, or 50 with --small)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each (default: %(default)s, as in the paper)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as train.workers=8")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("runs/libri2mix"),
        help="a folder for each preset and the table (default: %(default)s)",
    )
    asked = parser.parse_args()
    if asked.mixtures is not None and asked.mixtures < 1:
        parser.error(f"--mixtures {asked.mixtures}: give 1 or more")
    root = Path(asked.librispeech or ".")
    for folder in filter(None, (asked.librispeech, asked.librimix_metadata, asked.unseen)):
        if not Path(folder).is_dir():
            parser.error(f"no such folder: {folder}")
    if asked.librispeech and not asked.unseen and not any((root / d).is_dir() for d in ("dev-clean", "LibriSpeech")):
        parser.error(f"{root} has no dev-clean: --unseen names a folder of speakers that are not trained on")
    return asked


def data(asked: argparse.Namespace, subset: str) -> dict[str, str]:
    """Return where the mixtures of a subset come from."""
    options = {"subset": subset, **({"missing": "skip", "on_error": "skip"} if asked.skip else {})}
    if asked.librispeech is None:
        return {"path": "bundled:train" if subset == asked.subset else "bundled:dev", **options}
    if asked.unseen and subset != asked.subset:
        return {"path": asked.unseen, **options}
    lists = {"metadata": asked.librimix_metadata} if asked.librimix_metadata else {}
    return {"path": asked.librispeech, **options, **lists}


def recipe(asked: argparse.Namespace, name: str) -> Recipe:
    """Return the whole recipe of a preset."""
    paper = "audioslots-small" if asked.small else "audioslots"
    changes = [] if name == "mask" else ["frontend.framing=end_pad"]  # the paper's, in which Table 1 was measured
    changes += PRESETS[name]
    for part, subset in (("train", asked.subset), ("validation", "dev")):
        options = {"name": "librimix", **data(asked, subset)}
        changes += [f"data.{part}.{key}={json.dumps(value)}" for key, value in options.items()]
    changes += [] if asked.steps is None else [f"train.steps={asked.steps}"]
    changes += [] if asked.minutes is None else [f"train.max_minutes={asked.minutes}"]
    return replace(load_recipe("band-split" if name == "mask" else paper, changes + asked.set), name=name)


def rows(folder: Path) -> list[Row]:
    """Return the lines of Table 1: what is possible, and every variant that is trained."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    found = [row for window in (0.5, 1.0) for row in informed_rows(Spec("stft"), window, MASKS, JOININGS)]
    for name in PRESETS:
        if not (folder / name / "model/config.json").is_file():
            continue
        model = from_pretrained(folder / name / "model", "cpu" if name == "autoencoder" else device)  # as the oracle
        if name == "autoencoder":
            found += informed_rows(model.specs["frontend"], model.window or 0.5, MASKS, JOININGS, model)
        else:
            joinings = JOININGS if model.window else JOININGS[1:]  # without windows there is nothing to join
            found += [replace(row, system=name) for row in model_rows(model, MASKS, joinings)]
    return sorted(found, key=lambda row: row.window)


def evaluated(folder: Path, test: LibriMix) -> list[Result]:
    """Measure all rows on mixtures of speakers that no model was trained on."""
    return list(evaluate(rows(folder), track(test, "evaluating", total=len(test)), test.sample_rate, ("si_snr",)))


def main() -> None:
    asked = arguments()
    size = (50 if asked.small else 3000) if asked.mixtures is None else asked.mixtures
    if leads() and not (asked.small or torch.accelerator.is_available() or asked.preset == ["mask"]):
        print(CPU, file=sys.stderr)
    # made now, so that what is wrong with the test data shows before days of training
    test = LibriMix(**data(asked, "test"), seconds=asked.seconds, size=size, seed=2, fixed=True)
    for name in asked.preset:
        if leads():
            print(f"{name}:", flush=True)
        done = train(recipe(asked, name), asked.output / name, resume=True)
        if done.stopped_by in ("SIGINT", "SIGTERM"):
            print(f"stopped at step {done.step}; the same command goes on from there", file=sys.stderr)
            sys.exit(130)  # as of `slotaudio train`: a job script can tell that there is more to do
    if not leads():
        return  # of several processes one evaluates
    results = evaluated(asked.output, test)
    write_results(asked.output / "table1.csv", results)
    Console(width=140).print(table1(results))
    command = shlex.join(["python", *sys.argv])
    for name in asked.preset:
        own = [result for result in results if result.labels["system"] in ("oracle", name)]
        console = Console(width=140)
        with console.capture() as capture:
            console.print(table1(own))
        add_section(asked.output / name / "model", "Table 1", f"{capture.get()}\n`{command}`")
        print(f"model and card: {asked.output / name / 'model'}")


if __name__ == "__main__":
    try:
        main()
    except SlotaudioError as error:
        sys.exit(f"error: {error}")
