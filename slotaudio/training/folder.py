"""`RunFolder`: where a run keeps what it makes, and whether it may start or go on there."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from slotaudio import __version__
from slotaudio.errors import UserError
from slotaudio.pluginmanager import plugin_manager
from slotaudio.recipe import Recipe
from slotaudio.toml import dump
from slotaudio.training.processes import leads
from slotaudio.writing import replacing

FORMAT = 1
"""Of checkpoints; they say it, so that another version can tell."""

_OURS = ("recipe.toml", "last.ckpt", "best.ckpt", "logs", "tensorboard", "model")


_KEPT = ("train.accumulate", "train.optimizer", "train.remix")
"""Options on which the meaning of a checkpoint depends: where in the data it is, and what the optimiser remembers."""


class RunFolder:
    """The folder of one run: ``recipe.toml``, checkpoints, ``logs``, ``tensorboard`` and ``model``.

    The first line of ``recipe.toml`` names the packages that were loaded; checkpoints name them too.

    Of several processes that train together only the first changes anything there.

    Args:
        path: of the folder; made if it is not there.
        recipe: what is to be trained.
        resume: go on from ``last.ckpt``, or start if there is none yet.
        force: throw away what an earlier run left there.

    Raises:
        UserError: the folder holds a run and neither `resume` nor `force` is given, or both are; it cannot be
            written, its checkpoint cannot be read, or the recipe has another model than the checkpoint or another of
            what a run's state depends on.
    """

    def __init__(self, path: str | Path, recipe: Recipe, resume: bool = False, force: bool = False) -> None:
        self.path = Path(path)
        self.recipe = recipe
        self.last = self.path / "last.ckpt"
        self.model = self.path / "model"
        self.force = force
        if resume and force:
            raise UserError("--resume goes on with a run, --force throws it away: give one of them")
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; -o takes a folder")
        if leads() and self.last.exists() and not (resume or force):
            raise UserError(
                f"{self.path} holds a run already: --resume goes on with it, --force starts anew, "
                "-o names another folder"
            )
        self.checkpoint = self._checkpoint() if resume and self.last.exists() else None
        self.changes = [] if self.checkpoint is None else self._changes(self.checkpoint["slotaudio"])

    @property
    def step(self) -> int:
        """The step that the run starts from."""
        return 0 if self.checkpoint is None else self.checkpoint["global_step"]

    def prepare(self) -> None:
        """Make the folder and write the recipe.

        Raises:
            UserError: it cannot be written.
        """
        if not leads():
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self.force:
                for name in _OURS:
                    found = self.path / name
                    shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
            packages = ", ".join(f"{name} {version}" for name, version in plugin_manager().packages().items())
            with replacing(self.path / "recipe.toml") as partial:  # another process may be reading it
                partial.write_text(f"# with {packages}\n{dump(self.recipe.table)}", encoding="utf-8")
        except OSError as error:
            raise UserError(f"the run's folder {self.path} cannot be written: {error}") from None

    def extra(self) -> dict[str, Any]:
        """Return the plain values that checkpoints carry beside Lightning's."""
        packages = plugin_manager().packages()
        return {"format": FORMAT, "version": __version__, "packages": packages, "recipe": dict(self.recipe.table)}

    def _checkpoint(self) -> dict[str, Any]:
        try:
            checkpoint = dict(torch.load(self.last, map_location="cpu", weights_only=True, mmap=True))
            about = checkpoint["slotaudio"]
        except Exception as error:  # whatever a damaged file makes torch raise
            first = str(error).partition("\n")[0]
            raise UserError(f"{self.last} cannot be resumed from: {type(error).__name__}: {first}") from None
        if about["format"] != FORMAT:
            raise UserError(
                f"{self.last} was written by slotaudio {about['version']} in format {about['format']}; "
                f"this is {__version__}, which reads format {FORMAT}"
            )
        # not the weights: they lie in the file, which no other could replace on Windows
        return {"global_step": int(checkpoint["global_step"]), "slotaudio": about}

    def _changes(self, before: Mapping[str, Any]) -> list[str]:
        """Return what the recipe and the packages at hand change for the rest of the run.

        Raises:
            UserError: the model or the objective is another one.
        """
        lines = _differing(dict(_flat(before["recipe"])), dict(_flat(self.recipe.table)), "not set")
        fixed = [line for key, line in lines.items() if key.partition(".")[0] not in ("about", "data", "train")]
        if fixed:
            raise UserError(f"{self.path} cannot be resumed with another model:\n  " + "\n  ".join(fixed))
        kept = [line for key, line in lines.items() if key in _KEPT]
        if kept:
            raise UserError(
                f"{self.path} cannot be resumed with other batches in a step or another optimiser:\n  "
                + "\n  ".join(kept)
                + f"\nStart another run from its weights instead: train.init={self.model}"
            )
        now = plugin_manager().packages()
        return [*lines.values(), *_differing(before.get("packages", now), now, "not there").values()]


def _differing(old: Mapping[str, Any], new: Mapping[str, Any], absent: str) -> dict[str, str]:
    return {
        key: f"{key}: {old.get(key, absent)} in the checkpoint, {new.get(key, absent)} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    }


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, list(value) if isinstance(value, tuple) else value
