"""`slotaudio train`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slotaudio.cli.listing import recipe_names
from slotaudio.errors import UserError

if TYPE_CHECKING:
    from slotaudio.recipe import Recipe
    from slotaudio.training.run import Trained


def train(
    recipe: Annotated[
        str, typer.Argument(help="A TOML file, or a preset (see `slotaudio recipes`).", autocompletion=recipe_names)
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a value, e.g. --set bottleneck.iterations=5; repeatable."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run's folder; runs/NAME if left out.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint, if there is one.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Throw away what an earlier run left there.")] = False,
) -> None:
    """Train a model: checkpoints, logs and the model itself go to one folder."""
    from slotaudio.recipe import load_recipe

    loaded = load_recipe(recipe, changes or ())
    folder = output or Path("runs") / loaded.name
    if resume and (folder / "last.ckpt").exists() and (folder / "recipe.toml").exists():
        # the run's own recipe: what was changed by --set when it was started holds until it is changed again
        loaded = replace(load_recipe(folder / "recipe.toml", changes or ()), name=loaded.name)
    try:
        from slotaudio.training.processes import leads
        from slotaudio.training.run import train as run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("lightning", "tensorboard"):
            raise
        raise UserError(f'training needs {error.name}: pip install "slotaudio[train]"') from None
    done = run(loaded, folder, resume, force)
    if leads():  # the only one of several processes that talks
        _tell(done, loaded, folder)
    if done.stopped_by in ("SIGTERM", "SIGINT"):
        raise typer.Exit(130)


def _tell(done: "Trained", recipe: "Recipe", folder: Path) -> None:
    if done.stopped_by:
        print(f"stopped at step {done.step} of {recipe.train.steps}; the same command with --resume goes on from there")
    else:
        print(f"trained {done.step} steps")
    if done.score is not None:
        print(f"best {done.metric}: {done.score:.4g} at step {done.score_step}")
    print(f"model: {done.model}" + (f", of step {done.step}" if recipe.train.export == "last" else ""))
    separates = "none" not in (recipe.table["bottleneck"], recipe.table["decoder"])
    command, output = ("separate", "separated") if separates else ("embed", "features")
    print(f"try it: slotaudio {command} RECORDING.wav --model {done.model} -o {output}")
    print(f"curves, pictures and sound: tensorboard --logdir {folder}")
