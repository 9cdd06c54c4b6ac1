"""`Checkpoints`: last and best, written so that a full disk or a power cut leaves the one before."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from slotaudio.errors import SlotaudioError
from slotaudio.training.options import TrainOptions
from slotaudio.training.processes import agreed, due
from slotaudio.writing import replacing

MONITORED = ("validation/si_sdr_i", "validation/si_sdr", "validation/loss")
"""What "best" means: the first of these that a validation gave."""


class AtomicFiles(TorchCheckpointIO):
    """Write beside the file, then take its place; load tensors and plain values only, never pickled objects.

    What goes wrong is kept in `failure` instead of raised: only one of several processes writes, and the others
    would wait for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        self.failure = None
        try:
            with replacing(path) as partial, open(partial, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch reports a full disk as either
            self.failure = error

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: Any = True) -> dict[str, Any]:
        return dict(torch.load(path, map_location=map_location, weights_only=True))


class Checkpoints(lightning.Callback):
    """Save the last state by steps, minutes and at the end, and the best by validation.

    Lightning's own callback keeps each of these rules in a separate instance and lets a failed write end the run.

    Args:
        folder: gets ``last.ckpt`` and ``best.ckpt``.
        options: how often.
        extra: plain values to save with each checkpoint.
    """

    def __init__(self, folder: Path, options: TrainOptions, extra: Mapping[str, Any]) -> None:
        self.last = folder / "last.ckpt"
        self.best = folder / "best.ckpt"
        self.options = options
        self.extra = dict(extra)
        self.files = AtomicFiles()
        self.on_best: Callable[[Path], None] = lambda path: None
        """Called with the path of each new best checkpoint."""
        self.best_score: float | None = None
        self.best_metric = ""
        self.best_step = 0
        self.latest: tuple[int, str, float | None] = (0, "", None)
        """Step, metric and score of the last validation."""
        self.failure: str | None = None
        """Why the last attempt to save failed; None if it did not."""
        self._saved_step = -1
        self._saved_at = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        step = trainer.global_step
        if step == self._saved_step or not self.options.ends_step(args[-1]):
            return  # gradients that are still adding up could not be resumed
        late = (time.monotonic() - self._saved_at) / 60 >= self.options.checkpoint_every_minutes
        late = bool(due(trainer) and agreed(trainer, int(late)))
        if trainer.should_stop or step >= self.options.steps or step % self.options.checkpoint_every == 0 or late:
            self._save(trainer, self.last)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        metrics = trainer.callback_metrics
        metric = next((name for name in MONITORED if name in metrics), None)
        if metric is None:
            return
        value, best = float(metrics[metric]), self.best_score
        self.latest = trainer.global_step, metric, value
        better = best is None or (value < best if metric.endswith("loss") else value > best)
        if metric == self.best_metric and not better:
            return
        self.best_score, self.best_metric, self.best_step = value, metric, trainer.global_step
        if self._save(trainer, self.best) and trainer.is_global_zero:
            try:
                self.on_best(self.best)
            except SlotaudioError as error:
                self._failed(f"the best model, of step {self.best_step}, was not exported: {error}")

    def on_save_checkpoint(self, trainer: lightning.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["slotaudio"] = self.extra

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.best_score, "metric": self.best_metric, "step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.best.exists():  # the run may have got further than its last checkpoint before it was cut short
            with contextlib.suppress(Exception):
                best = torch.load(self.best, map_location="cpu", weights_only=True, mmap=True)
                state_dict = best["callbacks"][self.state_key]
        self.best_score = state_dict["score"]
        self.best_metric, self.best_step = state_dict["metric"], state_dict["step"]

    def _save(self, trainer: lightning.Trainer, path: Path) -> bool:
        if path == self.last:  # the only one that a run goes on from
            self._saved_at = time.monotonic()
        for logger in trainer.loggers:  # the log reaches as far as the checkpoint, whatever happens next
            logger.save()
        trainer.save_checkpoint(path)
        if self.files.failure is not None:
            kept = f"; the one of step {self._saved_step} is kept" if self._saved_step >= 0 else ""
            self._failed(
                f"the checkpoint of step {trainer.global_step} was not saved to {path}: {self.files.failure}{kept}"
            )
            return False
        self.failure = None
        if path == self.last:
            self._saved_step = trainer.global_step
        return True

    def _failed(self, sentence: str) -> None:
        self.failure = sentence
        print(f"slotaudio: warning: {sentence}", file=sys.stderr)
